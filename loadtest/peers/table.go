package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"channels/loadtest/report"
)

// results holds what came out, by figure and server.
type results struct {
	values  map[string]map[string][]float64
	doubts  map[string]int // runs in which the load tester was the limit, by work and server
	failure map[string]int
	repro   report.Repro
}

func newResults() *results {
	return &results{map[string]map[string][]float64{}, map[string]int{}, map[string]int{}, report.Repro{}}
}

func (r *results) add(w work, p peer, res *report.Result) {
	r.repro = res.Repro
	for _, f := range w.figures {
		if r.values[f.label] == nil {
			r.values[f.label] = map[string][]float64{}
		}
		r.values[f.label][p.name] = append(r.values[f.label][p.name], f.value(res))
	}
	if !res.Generator.Trustworthy {
		r.doubts[w.name+" "+p.name]++
	}
}

func (r *results) failed(w work, p peer, _ error) { r.failure[w.name+" "+p.name]++ }

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// table writes the results in Markdown.
func (r *results) table(chosen []work, all []peer, runs int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Medians of %d runs, in brackets the least and the greatest; the servers took turns. ", runs)
	base := all[1] // Soketi, or the earlier build
	fmt.Fprintf(&b, "The server had one processor, the load tester the other. The ratio is that of this server to %s.\n\n| |", base.text)
	for _, p := range all {
		fmt.Fprintf(&b, " %s |", p.text)
	}
	b.WriteString(" Ratio |\n|---|" + strings.Repeat("---|", len(all)+1) + "\n")
	for _, w := range chosen {
		for _, f := range w.figures {
			fmt.Fprintf(&b, "| %s |", f.label)
			for _, p := range all {
				b.WriteString(" " + r.cell(w, f, p) + " |")
			}
			ours, theirs := median(r.values[f.label][all[0].name]), median(r.values[f.label][base.name])
			if theirs > 0 && ours > 0 {
				fmt.Fprintf(&b, " %.2f |\n", ours/theirs)
			} else {
				b.WriteString(" – |\n")
			}
		}
	}
	b.WriteString("\n\\* The load tester doubted itself in at least half of the runs: it was the limit, or was held up; a server may be faster than this.\n")
	return b.String()
}

// worse tells which figures are worse than those of the earlier build: by more
// than a twentieth in the median, and in every run.
func (r *results) worse(chosen []work) error {
	var found []error
	for _, w := range chosen {
		for _, f := range w.figures {
			now, before := r.values[f.label]["channels"], r.values[f.label]["before"]
			if len(now) == 0 || len(before) == 0 {
				found = append(found, fmt.Errorf("%s: failed", f.label))
				continue
			}
			if f.more {
				now, before = before, now
			}
			if median(now) > 1.05*median(before) && slices.Min(now) > slices.Max(before) {
				found = append(found, fmt.Errorf("%s: worse than before", f.label))
			}
		}
	}
	return errors.Join(found...)
}

func (r *results) cell(w work, f figure, p peer) string {
	values := r.values[f.label][p.name]
	if len(values) == 0 {
		return "failed"
	}
	unit := ""
	if f.unit != "" {
		unit = " " + f.unit
	}
	text := fmt.Sprintf("%s%s (%s–%s)", number(median(values)), unit, number(slices.Min(values)), number(slices.Max(values)))
	if 2*r.doubts[w.name+" "+p.name] >= len(values) {
		text += " \\*"
	}
	if n := r.failure[w.name+" "+p.name]; n > 0 {
		text += fmt.Sprintf(", %d runs failed", n)
	}
	return text
}

func number(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.0fk", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Where the table stands in benchmarks.md.
const (
	beginMark = "<!-- bench-peers: written by make bench-peers, from here -->"
	endMark   = "<!-- bench-peers: to here -->"
)

// publish writes table and chart into the documents.
func publish(docs, table string, r *results, chosen []work, all []peer) error {
	path := filepath.Join(docs, "benchmarks.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return errors.New(path + " has no place for the table: " + beginMark + " and " + endMark)
	}
	where := fmt.Sprintf("Commit %s, %s, `make bench-peers`; %s, %d processors, %.0f GiB, Linux %s, %s.\n\n",
		commit(), time.Now().UTC().Format(time.DateOnly), r.repro.Processor, runtime.NumCPU(), r.repro.Memory, r.repro.Kernel, r.repro.Go)
	section := beginMark + "\n\n" + where + table + "\n![Each server beside Soketi](img/bench-peers.svg)\n\n" + endMark
	if err := os.WriteFile(path, []byte(before+section+after), 0o644); err != nil { //nolint:gosec // a document
		return err
	}
	if err := os.MkdirAll(filepath.Join(docs, "img"), 0o755); err != nil { //nolint:gosec // a document
		return err
	}
	return os.WriteFile(filepath.Join(docs, "img", "bench-peers.svg"), []byte(bars(r, chosen, all)), 0o644) //nolint:gosec // a document
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
