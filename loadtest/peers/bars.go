package main

import (
	"fmt"
	"html"
	"strings"
)

// Sizes of the chart.
const (
	barHeight  = 16
	labelWidth = 430
	barsWidth  = 360
	mostRatio  = 2.5 // longer bars are cut
)

var barColours = map[string]string{"channels": "#0072b2", "soketi": "#d55e00", "broadcast": "#999999"}

// bars draws each figure in parts of Soketi's.
func bars(r *results, chosen []work, all []peer) string {
	var body strings.Builder
	y := 40
	for _, w := range chosen {
		for _, f := range w.figures {
			base := median(r.values[f.label]["soketi"])
			if base == 0 {
				continue
			}
			hint := ""
			if f.more {
				hint = " (more is better)"
			}
			fmt.Fprintf(&body, `<text x="8" y="%d">%s</text>`+"\n", y+14, html.EscapeString(strings.Replace(f.label, "server CPU", "CPU", 1)+hint))
			for _, p := range all {
				ratio := median(r.values[f.label][p.name]) / base
				width := int(min(ratio, mostRatio) / mostRatio * barsWidth)
				fmt.Fprintf(&body, `<rect x="%d" y="%d" width="%d" height="%d" rx="2" fill="%s"/><text x="%d" y="%d">%.2f</text>`+"\n",
					labelWidth+80, y, width, barHeight-2, barColours[p.name], labelWidth+86+width, y+12, ratio)
				y += barHeight
			}
			y += 12
		}
	}
	var legend strings.Builder
	for i, p := range all {
		fmt.Fprintf(&legend, `<rect x="%d" y="10" width="12" height="12" fill="%s"/><text x="%d" y="21">%s</text>`,
			8+180*i, barColours[p.name], 26+180*i, html.EscapeString(p.text))
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>%s%s</svg>`+"\n", labelWidth+barsWidth+140, y+10, legend.String(), body.String())
}
