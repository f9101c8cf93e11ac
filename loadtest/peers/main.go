// Peers runs the same plan against the project's server, Soketi and a plain
// example, one processor for the server and one for the load tester, in turns,
// and writes what came out into docs/benchmarks.md. With --before it compares
// the server with an earlier build of itself, and says what has become worse.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() { os.Exit(run()) }

func run() int {
	runs := flag.Int("runs", 5, "of each work against each server; the table has medians")
	only := flag.String("only", "", "names of works, separated by commas; all if empty")
	scratch := flag.String("scratch", ".bench", "folder for what is installed and built, and for the results")
	docs := flag.String("docs", "docs", "folder of benchmarks.md; \"\" writes nothing")
	before := flag.String("before", "", "an earlier build of the server: compare with it alone, and write nothing into docs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := compare(ctx, plan{*runs, *only, *scratch, *docs, *before}); err != nil {
		fmt.Fprintf(os.Stderr, "bench-peers: %v\n", err)
		return 1
	}
	return 0
}

// plan is what the flags say.
type plan struct {
	runs                        int
	only, scratch, docs, before string
}

func compare(ctx context.Context, plan plan) error {
	chosen, err := choose(plan.only)
	if err != nil {
		return err
	}
	scratch, err := filepath.Abs(plan.scratch)
	if err != nil {
		return err
	}
	all, tool, err := prepare(ctx, scratch, plan.before)
	if err != nil {
		return err
	}
	results := newResults()
	for round := range plan.runs {
		for _, w := range chosen {
			for _, p := range all {
				if ctx.Err() != nil {
					return errors.New("stopped; the results so far are in " + scratch)
				}
				fmt.Printf("round %d of %d: %s against %s\n", round+1, plan.runs, w.name, p.name)
				path := filepath.Join(scratch, "results", fmt.Sprintf("%s-%s-%d.json", w.name, p.name, round+1))
				r, err := measure(ctx, tool, p, w, path)
				if err != nil {
					fmt.Printf("  failed: %v\n", err)
					results.failed(w, p, err)
					continue
				}
				results.add(w, p, r)
			}
		}
	}
	text := results.table(chosen, all, plan.runs)
	fmt.Println("\n" + text)
	if plan.before != "" {
		return results.worse(chosen)
	}
	if plan.docs == "" {
		return nil
	}
	return publish(plan.docs, text, results, chosen, all)
}

func choose(only string) ([]work, error) {
	if only == "" {
		return works(), nil
	}
	var chosen []work
	for name := range strings.SplitSeq(only, ",") {
		at := slices.IndexFunc(works(), func(w work) bool { return w.name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no work %q", name)
		}
		chosen = append(chosen, works()[at])
	}
	return chosen, nil
}
