package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"channels/loadtest/report"
)

// conclude looks at the whole and sums it up in a sentence.
func (x *experiment) conclude(stopped bool) {
	x.progress.end()
	r := x.result
	all := failures(r)
	for _, f := range all {
		r.Problems = append(r.Problems, sentenceOf(f))
	}
	if r.Connections.Failed > 0 || r.Connections.Closed > 0 {
		r.Partial = true
	}
	if stopped {
		all = append([]string{"stopped before the end"}, all...)
	}
	r.Summary = summary(x.plan, r, all)
}

// failures tells what went wrong, each with how many it struck and of how many.
func failures(r *report.Result) []string {
	var all []string
	failed := func(n, of int64, noun, one, many string) {
		if n <= 0 {
			return
		}
		what := many
		if n == 1 {
			what = one
		}
		all = append(all, fmt.Sprintf("%s of %s %s", number(n), count(max(n, of), noun), what))
	}
	c := &r.Connections
	could := "could not connect"
	if c.Connected+c.Failed > c.Wanted {
		could += " or subscribe"
	}
	failed(c.Failed, c.Wanted, "socket", could, could)
	failed(c.Closed, c.Connected, "socket", "was closed by the server", "were closed by the server")
	if s := r.Storm; s != nil {
		failed(s.OthersFailed, s.OthersWanted, "socket of others", "could not connect", "could not connect")
	}
	failed(r.Publish.Errors, r.Publish.Sent, "publish", "failed", "failed")
	failed(r.Lost, r.Expected, "delivery", "was lost", "were lost")
	failed(r.Duplicates, r.Expected, "delivery", "came twice", "came twice")
	failed(r.OutOfOrder, r.Expected, "delivery", "came in the wrong order", "came in the wrong order")
	if r.Foreign > 0 {
		all = append(all, count(r.Foreign, "event")+" came to sockets that had not subscribed to the channel")
	}
	if r.Refused > 0 {
		all = append(all, count(r.Refused, "event")+" came although the publish was refused")
	}
	return all
}

// summary is the one plain sentence. It begins with what went wrong.
func summary(p *plan, r *report.Result, wrong []string) string {
	return sentenceOf(strings.Join(append(wrong, outcome(p, r, len(wrong) == 0)), "; "))
}

// outcome tells what a scenario is for: what was done, and how long it took.
func outcome(p *plan, r *report.Result, well bool) string {
	switch p.scenario {
	case scenarioConnect:
		return fmt.Sprintf("%s of %s connected and subscribed, %s a second%s", number(r.Connections.Subscribed),
			count(r.Connections.Wanted, "socket"), rate(r.Connections.PerSecond), halves(r.Connect))
	case scenarioStorm:
		if s := r.Storm; s != nil && p.stayAway {
			return fmt.Sprintf("%s dropped; others connected within %s before and %s meanwhile (99%%); %s",
				count(s.Dropped, "socket"), ms(s.Before.P99), ms(s.Others.P99), accounts(r, well))
		}
		if s := r.Storm; s != nil {
			return fmt.Sprintf("%s of %s were back after %s, 99%% of them within %s; others meanwhile connected within %s (99%%)",
				number(s.Recovered), count(s.Dropped, "dropped socket"), ms(s.Recovery), ms(s.Reconnect.P99), ms(s.Others.P99))
		}
	case scenarioSlow:
		if s := r.Slow; s != nil {
			return fmt.Sprintf("before the stall 99%% of the deliveries took %s, beside %s %s; %s",
				ms(s.Before.P99), count(s.Stalled, "stalled socket"), ms(r.Delivery.P99), accounts(r, well))
		}
	}
	perSecond := rate(r.Publish.PerSecond)
	return fmt.Sprintf("%s a second to %s: %s%s", perSecond+plural(" publish", perSecond == "1"),
		count(r.Connections.Subscribed, "socket"), accounts(r, well), took(r.Delivery))
}

// accounts says whether everything arrived. Only where nothing at all went wrong
// that is "all".
func accounts(r *report.Result, well bool) string {
	switch {
	case r.Expected == 0:
		return "no delivery was due"
	case well:
		return fmt.Sprintf("all %s arrived, once and in order", count(r.Expected, "delivery"))
	}
	return fmt.Sprintf("%s of %s arrived", number(r.Expected-r.Lost), count(r.Expected, "expected delivery"))
}

// took tells of times, if there are any.
func took(t report.Times) string {
	if t.Count == 0 {
		return ""
	}
	return fmt.Sprintf("; half took %s or less, 99%% %s, the slowest %s", ms(t.P50), ms(t.P99), ms(t.Max))
}

// halves tells how long connects took, if there are any.
func halves(t report.Times) string {
	if t.Count == 0 {
		return ""
	}
	return fmt.Sprintf(": half within %s, 99%% within %s", ms(t.P50), ms(t.P99))
}

// sentenceOf begins with a capital and ends with a full stop.
func sentenceOf(text string) string {
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// count is a number of things, in the singular or the plural.
func count(n int64, noun string) string { return number(n) + plural(" "+noun, n == 1) }

func plural(noun string, one bool) string {
	switch {
	case one:
		return noun
	case strings.HasSuffix(noun, " of others"):
		return plural(strings.TrimSuffix(noun, " of others"), false) + " of others"
	case strings.HasSuffix(noun, "sh"):
		return noun + "es"
	case strings.HasSuffix(noun, "y"):
		return strings.TrimSuffix(noun, "y") + "ies"
	}
	return noun + "s"
}

// number has a comma before each three digits.
func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rate is how often something was done in a second; below ten with a decimal.
func rate(v float64) string {
	if v < 9.95 {
		return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	}
	return number(int64(math.Round(v)))
}

// ms is a time, given in milliseconds.
func ms(v float64) string {
	switch {
	case v >= 10000:
		return fmt.Sprintf("%.1f s", v/1000)
	case v >= 100:
		return number(int64(math.Round(v))) + " ms"
	}
	return fmt.Sprintf("%.3g ms", v)
}
