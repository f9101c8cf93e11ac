package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// series is a line of a chart.
type series struct {
	Label string
	X, Y  []float64
}

func (s *series) add(x, y float64) {
	s.X, s.Y = append(s.X, x), append(s.Y, y)
}

// chart draws lines as SVG.
type chart struct {
	Title, X, Y string
	LogY        bool
	Nines       bool // x is a percentage; 90, 99, 99.9 are as far from each other
	Series      []series
}

// Sizes of a chart, in its own units.
const (
	chartWidth, chartHeight = 760.0, 300.0
	left, right, top, below = 64.0, 16.0, 28.0, 48.0
)

// colours of lines: told apart also by those who do not see red or green.
var colours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666"}

// svg returns the chart; without points it is empty.
func (c chart) svg() template.HTML {
	x0, x1, y0, y1, ok := c.bounds()
	if !ok {
		return ""
	}
	px := func(x float64) float64 {
		return left + (c.scaleX(x)-c.scaleX(x0))/(c.scaleX(x1)-c.scaleX(x0))*(chartWidth-left-right)
	}
	py := func(y float64) float64 {
		return chartHeight - below - (c.scaleY(y)-c.scaleY(y0))/(c.scaleY(y1)-c.scaleY(y0))*(chartHeight-top-below)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg viewBox="0 0 %g %g" role="img" aria-label="%s">`,
		html.EscapeString(c.Title), chartWidth, chartHeight, html.EscapeString(c.Title))
	for _, y := range c.ticksY(y0, y1) {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="y" x="%g" y="%.1f">%s</text>`,
			left, chartWidth-right, py(y), py(y), left-8, py(y)+4, figure(y))
	}
	for _, x := range c.ticksX(x0, x1) {
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%g">%g</text>`, px(x), chartHeight-below+18, x)
	}
	fmt.Fprintf(&b, `<text class="x" x="%g" y="%g">%s</text><text class="axis" x="12" y="12">%s</text>`,
		chartWidth/2, chartHeight-8, html.EscapeString(c.X), html.EscapeString(c.Y))
	for i, s := range c.Series {
		c.line(&b, s, colours[i%len(colours)], px, py)
	}
	b.WriteString(`</svg><p class="legend">`)
	for i, s := range c.Series {
		if len(s.X) > 0 {
			fmt.Fprintf(&b, `<span><i style="background:%s"></i>%s</span> `, colours[i%len(colours)], html.EscapeString(s.Label))
		}
	}
	b.WriteString(`</p></figure>`)
	return template.HTML(b.String()) //nolint:gosec // numbers, and text that was escaped
}

func (c chart) line(b *strings.Builder, s series, colour string, px, py func(float64) float64) {
	if len(s.X) == 0 {
		return
	}
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colour)
	for i := range s.X {
		fmt.Fprintf(b, "%.1f,%.1f ", px(s.X[i]), py(max(s.Y[i], c.floor())))
	}
	b.WriteString(`"/>`)
}

// floor is the least value that a logarithmic axis shows.
func (c chart) floor() float64 {
	if c.LogY {
		return 0.01
	}
	return 0
}

func (c chart) bounds() (x0, x1, y0, y1 float64, ok bool) {
	x0, y0 = math.Inf(1), math.Inf(1)
	x1, y1 = math.Inf(-1), math.Inf(-1)
	for _, s := range c.Series {
		for i := range s.X {
			x0, x1 = min(x0, s.X[i]), max(x1, s.X[i])
			y0, y1 = min(y0, max(s.Y[i], c.floor())), max(y1, max(s.Y[i], c.floor()))
			ok = true
		}
	}
	if c.LogY {
		y0, y1 = math.Pow(10, math.Floor(math.Log10(y0))), math.Pow(10, math.Ceil(math.Log10(y1)))
	} else {
		y0, y1 = 0, roundUp(y1)
	}
	if x1 <= x0 {
		x1 = x0 + 1
	}
	if y1 <= y0 {
		y1 = y0 + 1
	}
	return x0, x1, y0, y1, ok
}

// roundUp returns the next 1, 2, 4 or 8 times a power of ten.
func roundUp(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(max(v, 1))))
	for _, n := range []float64{1, 2, 4, 8} {
		if n*unit >= v {
			return n * unit
		}
	}
	return 10 * unit
}

func (c chart) scaleY(y float64) float64 {
	if c.LogY {
		return math.Log10(y)
	}
	return y
}

// scaleX puts 100 % one step behind the last share that was looked at.
func (c chart) scaleX(x float64) float64 {
	if c.Nines {
		return -math.Log10(max(1-x/100, 0.00005))
	}
	return x
}

func (c chart) ticksY(y0, y1 float64) (all []float64) {
	if c.LogY {
		for y := y0; y <= y1*1.01; y *= 10 {
			all = append(all, y)
		}
		return all
	}
	for i := range 5 {
		all = append(all, y1*float64(i)/4)
	}
	return all
}

func (c chart) ticksX(x0, x1 float64) (all []float64) {
	if c.Nines {
		return []float64{10, 50, 90, 99, 99.9, 99.99}
	}
	step := math.Max(1, math.Ceil((x1-x0)/10))
	for x := math.Ceil(x0); x <= x1; x += step {
		all = append(all, x)
	}
	return all
}
