package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteSummary writes a result as a table for people; its last line is one plain
// sentence.
func WriteSummary(w io.Writer, r *Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t)
	row := func(label string, of *Times) {
		if of != nil && of.Count > 0 {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", label, figure(of.P50), figure(of.P90),
				figure(of.P99), figure(of.P999), figure(of.Max), thousands(of.Count))
		}
	}
	fmt.Fprintln(t, "milliseconds\tp50\tp90\tp99\tp99.9\tmax\tcount")
	row("delivery", &r.Delivery)
	row("first to last receiver", &r.Spread)
	row("publish", &r.Publish.Times)
	row("connect", &r.Connect)
	row("subscribe", &r.Subscribe)
	if r.Storm != nil {
		row("reconnect of the dropped", &r.Storm.Reconnect)
		row("connect of others before", &r.Storm.Before)
		row("connect of others meanwhile", &r.Storm.Others)
	}
	if r.Slow != nil {
		row("delivery before the stall", &r.Slow.Before)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, m := range metrics() {
		if v, ok := m.value(r); ok && m.unit != "ms" {
			fmt.Fprintf(w, "%-28s  %s\n", m.label, m.text(v))
		}
	}
	counts(w, "connections failed", r.Connections.Failures)
	counts(w, "closed by the server", r.Connections.Closes)
	counts(w, "publishes failed", r.Publish.Failures)
	for _, p := range r.Problems {
		fmt.Fprintln(w, "\n! "+p)
	}
	if !r.Generator.Trustworthy {
		fmt.Fprintf(w, "\n!!! NOT TRUSTWORTHY: %s\n", strings.Join(r.Generator.Reasons, "; "))
	}
	if r.Partial {
		fmt.Fprintln(w, "\n!!! PARTIAL: the run was not whole, see above")
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.Summary)
	return err
}

func counts(w io.Writer, title string, of map[string]int64) {
	for _, text := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintf(w, "%-28s  %s × %s\n", title, thousands(of[text]), text)
	}
}
