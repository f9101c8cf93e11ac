package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
)

//go:embed page.html
var pageText string

// WritePage writes a page that shows a result. It needs nothing but itself.
func WritePage(path string, r *Result) error {
	page, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	err = page.Execute(f, pageData(r))
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// pageRow is a figure on the page.
type pageRow struct{ Label, Value string }

// timesRow is a histogram on the page.
type timesRow struct{ Label, P50, P90, P99, P999, Max, Count string }

func pageData(r *Result) any {
	var rows []pageRow
	for _, m := range metrics() {
		if v, ok := m.value(r); ok && m.unit != "ms" {
			rows = append(rows, pageRow{m.label, m.text(v)})
		}
	}
	var table []timesRow
	var curves []series
	add := func(label string, t Times) {
		if t.Count == 0 {
			return
		}
		table = append(table, timesRow{label, figure(t.P50), figure(t.P90), figure(t.P99), figure(t.P999), figure(t.Max), thousands(t.Count)})
		curves = append(curves, quantiles(label, t))
	}
	add("delivery", r.Delivery)
	add("first to last receiver", r.Spread)
	add("publish", r.Publish.Times)
	add("connect", r.Connect)
	add("subscribe", r.Subscribe)
	if r.Storm != nil {
		add("reconnect of the dropped", r.Storm.Reconnect)
		add("connect of others meanwhile", r.Storm.Others)
	}
	return map[string]any{
		"Result": r, "Rows": rows, "Times": table,
		"Latency": chart{Title: "Delivery over time", X: "seconds", Y: "milliseconds", LogY: true, Series: overTime(r.Timeline)}.svg(),
		"Rate":    chart{Title: "Events a second", X: "seconds", Y: "events", Series: rates(r.Timeline)}.svg(),
		"Curves":  chart{Title: "How long it took, up to which share", X: "percent", Y: "milliseconds", LogY: true, Nines: true, Series: curves}.svg(),
	}
}

func overTime(all []Second) []series {
	p50, p99, highest := series{Label: "p50"}, series{Label: "p99"}, series{Label: "max"}
	for _, s := range all {
		if s.Max > 0 {
			p50.add(s.At, s.P50)
			p99.add(s.At, s.P99)
			highest.add(s.At, s.Max)
		}
	}
	return []series{p50, p99, highest}
}

func rates(all []Second) []series {
	received, published := series{Label: "received"}, series{Label: "published"}
	for _, s := range all {
		received.add(s.At, float64(s.Received))
		published.add(s.At, float64(s.Published))
	}
	return []series{received, published}
}

func quantiles(label string, t Times) series {
	s := series{Label: label}
	for _, p := range t.Curve {
		s.add(p.Percent, p.Time)
	}
	return s
}
