package main

import (
	"fmt"
	"runtime"
	"time"
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
		doubt("the generator paused for %s to collect garbage", ms(g.LongestPause))
	}
	g.Trustworthy = len(g.Reasons) == 0
}
