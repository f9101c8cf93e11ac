package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"channels/loadtest/report"
)

// What a generator may do and still be trusted.
const (
	mostCPU      = 0.9 // of what it may use
	mostLateness = 10  // milliseconds, p99, of its own sends
	mostPause    = 20 * time.Millisecond
)

// judge tells whether the generator was no bottleneck. cpu is its share of one
// processor.
func (x *experiment) judge(cpu float64) {
	g := &x.result.Generator
	procs := runtime.GOMAXPROCS(0)
	pause := longestPause(x.began)
	if !x.publishing.IsZero() {
		pause = longestPause(x.publishing)
	}
	g.CPUShare = cpu / float64(procs)
	g.LatenessP99, g.LatenessMax = x.pub.lateness.Quantile(99), x.pub.lateness.Max()
	g.LongestPause = float64(pause) / float64(time.Millisecond)
	g.Processes, g.ProcessorsAll = x.plan.processes, procs
	doubt := func(format string, args ...any) { g.Reasons = append(g.Reasons, fmt.Sprintf(format, args...)) }
	if g.CPUShare > mostCPU {
		doubt("the generator used %.0f %% of its processors, so the limit was its own, and the server may be faster", 100*g.CPUShare)
	}
	if g.LatenessP99 > mostLateness {
		doubt("the generator sent late by %.1f ms (p99)", g.LatenessP99)
	}
	if pause > mostPause {
		doubt("the generator paused for %s to collect garbage", pause)
	}
	g.Trustworthy = len(g.Reasons) == 0
}

// conclude looks at the whole and sums it up in a sentence.
func (x *experiment) conclude() {
	x.progress.end()
	r := x.result
	problem := func(n int64, format string) {
		if n > 0 {
			r.Problems = append(r.Problems, fmt.Sprintf(format, number(n)))
		}
	}
	problem(r.Connections.Failed, "%s connections failed.")
	problem(r.Connections.Closed, "The server closed %s connections.")
	problem(r.Publish.Errors, "%s publishes failed.")
	problem(r.Lost, "%s deliveries were lost.")
	problem(r.Duplicates, "%s deliveries came twice.")
	problem(r.OutOfOrder, "%s deliveries came in the wrong order.")
	problem(r.Foreign, "%s events came to sockets that had not subscribed to their channel.")
	problem(r.Refused, "%s events came although their publish was refused.")
	if r.Connections.Failed > 0 || r.Connections.Closed > 0 {
		r.Partial = true
	}
	r.Summary = x.sentence()
}

func (x *experiment) sentence() string {
	r := x.result
	switch x.plan.scenario {
	case scenarioConnect:
		return fmt.Sprintf("%s of %s sockets connected and subscribed, %.0f a second: half within %s, 99%% within %s.",
			number(r.Connections.Subscribed), number(r.Connections.Wanted), r.Connections.PerSecond, ms(r.Connect.P50), ms(r.Connect.P99))
	case scenarioStorm:
		if s := r.Storm; s != nil && x.plan.stayAway {
			return fmt.Sprintf("%s sockets were dropped; others connected within %s before and %s meanwhile (99%%); %s.",
				number(s.Dropped), ms(s.Before.P99), ms(s.Others.P99), accounts(r))
		}
		if s := r.Storm; s != nil {
			return fmt.Sprintf("%s of %s dropped sockets were back after %s, 99%% of them within %s; others meanwhile connected within %s (99%%).",
				number(s.Recovered), number(s.Dropped), ms(s.Recovery), ms(s.Reconnect.P99), ms(s.Others.P99))
		}
	case scenarioSlow:
		if s := r.Slow; s != nil {
			return fmt.Sprintf("Before the stall 99%% of the deliveries took %s, beside %d stalled sockets %s; %s.",
				ms(s.Before.P99), s.Stalled, ms(r.Delivery.P99), accounts(r))
		}
	}
	return fmt.Sprintf("%.0f publishes a second to %s sockets: %s; half took %s or less, 99%% %s, the slowest %s.",
		r.Publish.PerSecond, number(r.Connections.Subscribed), accounts(r), ms(r.Delivery.P50), ms(r.Delivery.P99), ms(r.Delivery.Max))
}

// accounts says in words whether everything arrived.
func accounts(r *report.Result) string {
	if r.Lost == 0 && r.Duplicates == 0 && r.OutOfOrder == 0 {
		return fmt.Sprintf("all %s deliveries arrived, once and in order", number(r.Expected))
	}
	var faults []string
	for _, f := range []struct {
		n    int64
		text string
	}{{r.Lost, "lost"}, {r.Duplicates, "twice"}, {r.OutOfOrder, "in the wrong order"}} {
		if f.n > 0 {
			faults = append(faults, number(f.n)+" "+f.text)
		}
	}
	return fmt.Sprintf("of %s deliveries %s", number(r.Expected), strings.Join(faults, ", "))
}

func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func ms(v float64) string {
	if v >= 10000 {
		return fmt.Sprintf("%.1f s", v/1000)
	}
	return fmt.Sprintf("%.3g ms", v)
}
