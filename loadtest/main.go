package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"channels/loadtest/report"
)

// Exit codes.
const (
	exitFine    = 0
	exitFailed  = 1 // it could not run, or an expectation was not met
	exitUsage   = 2
	exitPartial = 3 // cut short, or connections failed
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const usage = `loadtest measures servers that speak the Pusher Channels protocol.

  loadtest fanout    publish to many connections and audit every delivery
  loadtest publish   publish over REST, as fast as it goes
  loadtest connect   open connections at a rate, or all at once
  loadtest storm     drop connections and time their return, while others connect
  loadtest slow      connections that stop reading beside healthy ones
  loadtest compare A.json B.json

Without arguments it runs fanout against the server that "make run" starts.
loadtest SCENARIO --help lists the flags of a scenario.
`

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{scenarioFanout}
	}
	switch args[0] {
	case "worker": // a process of --processes
		return serveWorker()
	case "compare":
		return compare(args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return exitFine
	case "version", "--version":
		fmt.Fprintln(stdout, "loadtest "+version())
		return exitFine
	}
	if strings.HasPrefix(args[0], "-") {
		args = append([]string{scenarioFanout}, args...)
	}
	p, err := parsePlan(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitFine
	case err != nil:
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitUsage
	}
	return measure(p, stdout, stderr)
}

// measure carries a plan out and tells what it found.
func measure(p *plan, stdout, stderr io.Writer) int {
	debug.SetGCPercent(gcPercent)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := carryOut(ctx, p, stderr)
	if r == nil {
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitFailed
	}
	if err != nil {
		r.Partial = true
		r.Problems = append(r.Problems, err.Error())
	}
	if err := errors.Join(keep(p, r), report.WriteSummary(stdout, r)); err != nil {
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitFailed
	}
	if err := report.CheckAll(p.expectations, r); err != nil {
		fmt.Fprintf(stderr, "\n%v\n", err)
		return exitFailed
	}
	if r.Partial {
		return exitPartial
	}
	return exitFine
}

// keep writes the files that were asked for.
func keep(p *plan, r *report.Result) error {
	var errs []error
	if p.json != "" {
		errs = append(errs, r.Write(p.json))
	}
	if p.html != "" {
		errs = append(errs, report.WritePage(p.html, r))
	}
	return errors.Join(errs...)
}

func compare(args []string, stdout, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "loadtest: compare needs two results: loadtest compare A.json B.json")
		return exitUsage
	}
	a, errA := report.Read(args[0])
	b, errB := report.Read(args[1])
	if err := errors.Join(errA, errB); err != nil {
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitFailed
	}
	name := func(path string) string { return strings.TrimSuffix(filepath.Base(path), ".json") }
	if err := report.Compare(stdout, a, b, name(args[0]), name(args[1])); err != nil {
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitFailed
	}
	return exitFine
}
