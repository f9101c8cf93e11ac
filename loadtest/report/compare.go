package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Compare writes two results side by side, with the ratio of the second to the
// first.
func Compare(w io.Writer, a, b *Result, nameA, nameB string) error {
	if a.Scenario != b.Scenario {
		fmt.Fprintf(w, "! different scenarios: %s and %s\n", a.Scenario, b.Scenario)
	}
	for _, side := range []struct {
		name string
		r    *Result
	}{{nameA, a}, {nameB, b}} {
		if side.r.Partial {
			fmt.Fprintf(w, "! %s is partial\n", side.name)
		}
		if !side.r.Generator.Trustworthy {
			fmt.Fprintf(w, "! %s is not trustworthy: %v\n", side.name, side.r.Generator.Reasons)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t%s\tratio\t\n", nameA, nameB)
	for _, m := range metrics() {
		va, okA := m.value(a)
		vb, okB := m.value(b)
		if !okA && !okB {
			continue
		}
		ratio := "–"
		if okA && okB && va != 0 {
			ratio = fmt.Sprintf("%.2f", vb/va)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", m.label, side(m, va, okA), side(m, vb, okB), ratio)
	}
	return t.Flush()
}

func side(m metric, v float64, measured bool) string {
	if !measured {
		return "–"
	}
	return m.text(v)
}
