package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"channels/loadtest/account"
	"channels/loadtest/fleet"
	"channels/loadtest/report"
	"channels/loadtest/target"
)

// Scenarios.
const (
	scenarioFanout  = "fanout"
	scenarioPublish = "publish"
	scenarioConnect = "connect"
	scenarioStorm   = "storm"
	scenarioSlow    = "slow"
)

// plan is what a run is to do.
type plan struct {
	scenario string
	args     []string

	targets  []target.Target
	endpoint string
	header   http.Header
	origin   string
	sources  []string

	transport fleet.Transport

	connections, channels int
	kind                  string
	rate                  float64
	size                  int
	duration, warmup      time.Duration
	workers               int
	timeout, drain        time.Duration
	settle                time.Duration

	connectRate    float64
	connectWorkers int
	stormAtOnce    bool // of connect
	share          float64
	othersRate     float64
	stayAway       bool
	stalled        int

	processes    int
	server       process
	json, html   string
	expectations []report.Expectation
}

// texts is a flag that may be given several times.
type texts []string

func (t *texts) String() string         { return strings.Join(*t, ", ") }
func (t *texts) Set(value string) error { *t = append(*t, value); return nil }

// raw is what stands on the command line, before it is checked.
type raw struct {
	plan
	targets, sockets, headers, expect texts
	allowRemote                       bool
	source, pids                      string
}

// kinds of channels, and the prefixes of their names.
var kinds = map[string]string{
	"public": "", "private": "private-", "presence": "presence-", "cache": "cache-",
	"private-cache": "private-cache-", "presence-cache": "presence-cache-",
}

const defaultTarget = "http://app-key:app-secret@127.0.0.1:6001/apps/1"

// parsePlan reads a command line. All its mistakes are told at once.
func parsePlan(args []string, stderr io.Writer) (*plan, error) {
	r := raw{plan: defaults(args[0])}
	if r.scenario == "" {
		return nil, fmt.Errorf("there is no scenario %q: it is fanout, publish, connect, storm or slow", args[0])
	}
	r.args = args
	f := r.flags(stderr)
	if err := f.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w; loadtest %s --help lists the flags", err, args[0])
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return &r.plan, nil
}

func defaults(scenario string) plan {
	p := plan{
		scenario: scenario, connections: 100, channels: 1, kind: "public", rate: 20, size: 100,
		duration: 10 * time.Second, warmup: 2 * time.Second, timeout: 10 * time.Second,
		drain: 5 * time.Second, settle: 500 * time.Millisecond, connectWorkers: 64, share: 1, othersRate: 20, processes: 1,
	}
	switch scenario {
	case scenarioFanout:
	case scenarioPublish:
		p.connections, p.rate = 1, 0
	case scenarioConnect:
		p.connections, p.connectRate, p.rate = 1000, 200, 0
	case scenarioStorm:
		p.connections = 1000
	case scenarioSlow:
		p.connections, p.stalled, p.rate, p.size = 100, 10, 100, 2000
	default:
		p.scenario = ""
	}
	return p
}

func (r *raw) flags(stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet(r.scenario, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintf(stderr, "loadtest %s [flags]\n\n", r.scenario)
		f.PrintDefaults()
	}
	f.Var(&r.targets, "target", "`URL` of the server, http://key:secret@host:port/apps/ID; several for the nodes of a cluster (default "+defaultTarget+")")
	f.Var(&r.sockets, "ws-url", "`URL` of its sockets, ws://host:port, where they are elsewhere; as many as targets")
	f.BoolVar(&r.allowRemote, "allow-remote", false, "load a server that is not on this machine; be sure that it is yours")
	f.IntVar(&r.connections, "connections", r.connections, "how many sockets")
	f.IntVar(&r.channels, "channels", r.channels, "over how many channels")
	f.StringVar(&r.kind, "kind", r.kind, "of channels: public, private, presence, cache, private-cache, presence-cache")
	f.StringVar(&r.endpoint, "auth-endpoint", "", "`URL` that signs subscribes, as pusher-js would ask it; otherwise they are signed here")
	f.Var(&r.headers, "auth-header", "`'Name: value'` for the auth endpoint; may be repeated")
	f.StringVar((*string)(&r.transport), "transport", string(fleet.WebSocket), "of the connections: ws, xhr_streaming, xhr_polling")
	f.StringVar(&r.origin, "origin", "", "that sockets say they come from")
	f.StringVar(&r.source, "source", "", "`addresses` to connect from, separated by commas (default: several on loopback when there are many connections)")
	f.Float64Var(&r.connectRate, "connect-rate", r.connectRate, "connects a second; 0: as fast as --connect-workers can")
	f.IntVar(&r.connectWorkers, "connect-workers", r.connectWorkers, "connects at the same time")
	f.DurationVar(&r.timeout, "timeout", r.timeout, "of a connect, a subscribe and a publish")
	f.IntVar(&r.processes, "processes", r.processes, "over which the sockets are spread")
	f.DurationVar(&r.settle, "settle", r.settle, "wait after connecting, before memory is looked at")
	f.StringVar(&r.pids, "server-pid", "", "`PID` of the server, or several separated by commas: accounts its processor time and memory")
	f.StringVar(&r.json, "json", "", "`file` for the result")
	f.StringVar(&r.html, "html", "", "`file` for a page with charts")
	f.Var(&r.expect, "expect", "`figure` as it should be, such as delivery.p99<50ms or lost=0; may be repeated")
	if r.scenario == scenarioConnect {
		f.BoolVar(&r.stormAtOnce, "storm", false, "connect all at once")
		return f
	}
	f.Float64Var(&r.rate, "rate", r.rate, "publishes a second; 0: as fast as --workers can")
	f.IntVar(&r.size, "size", r.size, "bytes of an event's data, 64 at least")
	f.DurationVar(&r.duration, "duration", r.duration, "of the measured time")
	f.DurationVar(&r.warmup, "warmup", r.warmup, "before it")
	f.IntVar(&r.workers, "workers", 0, "publishes at the same time (default 16 at full speed, otherwise 64)")
	f.DurationVar(&r.drain, "drain", r.drain, "how long to wait for what is missing")
	switch r.scenario {
	case scenarioStorm:
		f.Float64Var(&r.share, "share", r.share, "of the connections to drop, 0 to 1")
		f.BoolVar(&r.stayAway, "stay-away", false, "those dropped do not come back")
		f.Float64Var(&r.othersRate, "others-rate", r.othersRate, "connects a second of others")
	case scenarioSlow:
		f.IntVar(&r.stalled, "stalled", r.stalled, "connections that stop reading, beside the others")
	}
	return f
}

// check completes the plan, or tells all that is wrong with it.
func (r *raw) check() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	wrong = append(wrong, r.parseTargets())
	if _, ok := kinds[r.kind]; !ok {
		fail("--kind %q: there are public, private, presence, cache, private-cache and presence-cache", r.kind)
	}
	switch r.transport {
	case fleet.WebSocket:
	case fleet.XHRStreaming, fleet.XHRPolling:
		if r.scenario == scenarioSlow {
			fail("--transport %s: scenario slow is for WebSockets, since a client over HTTP that does not read is one that has gone", r.transport)
		}
	default:
		fail("--transport %q: there are ws, xhr_streaming and xhr_polling", r.transport)
	}
	if r.size < account.MinSize {
		fail("--size %d: it takes %d bytes to tell events apart", r.size, account.MinSize)
	}
	for _, n := range []struct {
		name  string
		value int
		least int
	}{
		{"--connections", r.connections, 1}, {"--channels", r.channels, 1}, {"--connect-workers", r.connectWorkers, 1},
		{"--processes", r.processes, 1}, {"--workers", r.workers, 0}, {"--stalled", r.stalled, 0},
	} {
		if n.value < n.least {
			fail("%s %d: it must be %d or more", n.name, n.value, n.least)
		}
	}
	for _, n := range []struct {
		name  string
		value float64
	}{{"--rate", r.rate}, {"--connect-rate", r.connectRate}, {"--others-rate", r.othersRate}} {
		if n.value < 0 || math.IsNaN(n.value) || math.IsInf(n.value, 0) {
			fail("%s %v: it must be 0 or more", n.name, n.value)
		}
	}
	if !(r.share >= 0 && r.share <= 1) {
		fail("--share %v: it must be from 0 to 1", r.share)
	}
	if r.duration <= 0 || r.warmup < 0 || r.timeout <= 0 || r.drain < 0 || r.settle < 0 {
		fail("durations must not be negative, --duration and --timeout not 0")
	}
	wrong = append(wrong, r.parseRest())
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	if r.workers == 0 {
		r.workers = 64
		if r.rate == 0 {
			r.workers = 16
		}
	}
	r.channels = min(r.channels, max(r.connections, 1))
	r.spreadSources()
	return nil
}

func (r *raw) parseTargets() error {
	if len(r.targets) == 0 {
		r.targets = texts{defaultTarget}
	}
	if len(r.sockets) > 0 && len(r.sockets) != len(r.targets) {
		return fmt.Errorf("there are %d targets and %d --ws-url: give as many, or none", len(r.targets), len(r.sockets))
	}
	var wrong []error
	for i, text := range r.targets {
		ws := ""
		if len(r.sockets) > 0 {
			ws = r.sockets[i]
		}
		t, err := target.Parse(text, ws)
		if err == nil && !t.Loopback() && !r.allowRemote {
			err = fmt.Errorf("%s is not on this machine: with --allow-remote it is loaded all the same; be sure that it is yours", t)
		}
		wrong = append(wrong, err)
		r.plan.targets = append(r.plan.targets, t)
	}
	return errors.Join(wrong...)
}

func (r *raw) parseRest() error {
	var wrong []error
	r.header = http.Header{}
	for _, text := range r.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(name) == "" {
			wrong = append(wrong, fmt.Errorf("--auth-header %q is not like 'Name: value'", text))
			continue
		}
		r.header.Add(textproto.TrimString(name), textproto.TrimString(value))
	}
	if r.endpoint != "" {
		if u, err := url.Parse(r.endpoint); err != nil || u.Host == "" {
			wrong = append(wrong, fmt.Errorf("--auth-endpoint %q is no URL", r.endpoint))
		}
	}
	for _, text := range r.expect {
		e, err := report.ParseExpectation(text)
		wrong = append(wrong, err)
		r.expectations = append(r.expectations, e)
	}
	if r.pids != "" {
		var err error
		r.server, err = parsePIDs(r.pids)
		wrong = append(wrong, err)
	}
	if r.source != "" {
		for text := range strings.SplitSeq(r.source, ",") {
			if _, err := netip.ParseAddr(strings.TrimSpace(text)); err != nil {
				wrong = append(wrong, fmt.Errorf("--source %q is no list of addresses", r.source))
				break
			}
			r.sources = append(r.sources, strings.TrimSpace(text))
		}
	}
	return errors.Join(wrong...)
}

// portsPerSource is how many connections go out from one address of loopback: it
// has about 28,000 ports, and those of connections that ended are not free for a
// minute.
const portsPerSource = 5000

// spreadSources takes several addresses for many connections over loopback.
func (r *raw) spreadSources() {
	all := r.connections * 2 // a storm opens as many again
	if len(r.sources) > 0 || all <= portsPerSource || slices.ContainsFunc(r.plan.targets, elsewhere) {
		return
	}
	for i := range min((all+portsPerSource-1)/portsPerSource, 200) {
		r.sources = append(r.sources, fmt.Sprintf("127.0.0.%d", 2+i))
	}
}

// elsewhere tells whether sockets are not at an address of 127.0.0.0/8.
func elsewhere(t target.Target) bool {
	ip, err := netip.ParseAddr(t.WS.Hostname())
	return err != nil || !ip.Is4() || !ip.IsLoopback()
}
