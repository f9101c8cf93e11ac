package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"channels/loadtest/account"
	"channels/loadtest/fleet"
	"channels/loadtest/hist"
	"channels/loadtest/report"
	"channels/loadtest/target"
)

// experiment is a run in progress.
type experiment struct {
	plan     *plan
	config   fleet.Config
	crew     *crew
	pub      *publisher
	progress *progress
	result   *report.Result

	began      time.Time
	publishing time.Time     // when the measured time began
	serverCPU  time.Duration // then
	ownCPU     time.Duration // then
	received   int64         // then
}

// carryOut runs a plan. The result is nil when there is nothing to tell but the
// error.
func carryOut(ctx context.Context, p *plan, stderr io.Writer) (r *report.Result, err error) {
	if err := p.checkDescriptors(); err != nil {
		return nil, err
	}
	x, err := newExperiment(p, stderr)
	if err != nil {
		return nil, err
	}
	if err := x.preflight(ctx); err != nil {
		return nil, err
	}
	if x.crew, err = newCrew(x.config, p.processes); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.crew.close()) }()
	scenario := map[string]func(context.Context) error{
		scenarioFanout: x.fanout, scenarioPublish: x.fanout, scenarioConnect: x.connectOnly,
		scenarioStorm: x.storm, scenarioSlow: x.slow,
	}[p.scenario]
	err = scenario(ctx)
	if ctx.Err() != nil {
		err = errors.Join(err, errors.New("stopped before its end; what was measured until then is kept"))
	}
	if x.result.Connections.Wanted == 0 {
		return nil, err
	}
	x.conclude(ctx.Err() != nil)
	return x.result, err
}

func newExperiment(p *plan, stderr io.Writer) (*experiment, error) {
	run := rand.Uint32()
	x := &experiment{
		plan: p, began: time.Now(), progress: newProgress(stderr),
		result: &report.Result{
			Schema: report.Schema, Scenario: p.scenario, Problems: []string{},
			Timeline: []report.Second{}, Repro: repro(p),
		},
	}
	var channels []string
	for i := range p.channels {
		channels = append(channels, fmt.Sprintf("%sloadtest-%08x-%d", kinds[p.kind], run, i))
	}
	x.config = fleet.Config{
		Targets: p.targets, Run: run, Channels: channels, Endpoint: p.endpoint, Header: p.header,
		Origin: p.origin, Sources: p.sources, Timeout: p.timeout, Transport: p.transport,
	}
	x.pub = newPublisher(p, run, channels)
	if p.server != nil {
		if _, err := p.server.cpu(); err != nil {
			return nil, err
		}
		x.result.Server = &report.Server{}
	}
	return x, nil
}

// preflight tries one socket and one publish at each target, so that what is wrong
// altogether is told in one sentence.
func (x *experiment) preflight(ctx context.Context) error {
	for _, t := range x.plan.targets {
		c := x.config
		c.Targets, c.Loops = []target.Target{t}, 1
		f, err := fleet.New(c)
		if err != nil {
			return err
		}
		opened := f.Open(ctx, fleet.Order{Count: 1, AtOnce: 1})
		f.Close()
		for text := range opened.Failed {
			return fmt.Errorf("no socket could be opened at %s: %s%s", t.WS.Host, text, hint(text))
		}
		p := target.NewPublisher(t, x.plan.timeout)
		err = p.Publish(ctx, eventName, "loadtest-preflight", []byte("preflight"))
		p.Close()
		if err != nil {
			return fmt.Errorf("no event could be published at %s: %w%s", t, err, hint(err.Error()))
		}
	}
	return ctx.Err()
}

// open opens connections for good, and enters what became of them.
func (x *experiment) open(ctx context.Context, o fleet.Order) (fleet.Opened, error) {
	opened, err := x.crew.open(ctx, o)
	c := &x.result.Connections
	c.Wanted += opened.Wanted
	c.Connected += opened.Connected
	c.Subscribed += opened.Subscribed
	for text, n := range opened.Failed {
		c.Failed += n
		if c.Failures == nil {
			c.Failures = map[string]int64{}
		}
		c.Failures[text] += n
	}
	return opened, err
}

// connect opens the plan's connections, and accounts for their memory and time.
func (x *experiment) connect(ctx context.Context) error {
	before, err := x.sample()
	if err != nil {
		return err
	}
	x.progress.line("connecting %d sockets to %s", x.plan.connections, x.result.Repro.Target)
	order := fleet.Order{
		Count: x.plan.connections, Rate: x.plan.connectRate, AtOnce: x.plan.connectWorkers,
		Channel: true, Keep: true,
	}
	if x.plan.stormAtOnce {
		order.Rate = 0
	}
	if order.Rate > 0 || x.plan.stormAtOnce {
		order.AtOnce = 0
	}
	opened, err := x.open(ctx, order)
	x.result.Connect, x.result.Subscribe = report.Sum(&opened.Connect), report.Sum(&opened.Subscribe)
	x.result.Connections.PerSecond = float64(opened.Connected) / opened.Elapsed.Seconds()
	if err != nil || ctx.Err() != nil {
		return err
	}
	if x.result.Connections.Subscribed == 0 {
		return errors.New("no socket could subscribe: see the failures above")
	}
	busy, err := x.sample()
	if err != nil || sleep(ctx, x.plan.settle) != nil {
		return err
	}
	after, err := x.sample()
	if s, n := x.result.Server, float64(x.result.Connections.Subscribed); s != nil && err == nil {
		s.CPUPerConnection = micros(busy.cpu-before.cpu) / n
		s.RSSPerConnection = max(0, float64(after.resident-before.resident)/1024/n)
	}
	return err
}

// sample is what the server had used at a time.
type sample struct {
	cpu      time.Duration
	resident int64
}

func (x *experiment) sample() (s sample, err error) {
	if x.result.Server == nil {
		return s, nil
	}
	if s.cpu, err = x.plan.server.cpu(); err == nil {
		s.resident, err = x.plan.server.resident()
	}
	return s, err
}

// publish publishes on schedule while something else happens, which may be nil,
// and accounts for all deliveries.
func (x *experiment) publish(ctx context.Context, during func(context.Context) error) error {
	s := x.pub.schedule()
	if err := x.crew.measure(x.pub.from); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- x.watch(watching) }()
	besides := make(chan error, 1)
	go func() {
		if during == nil || sleep(ctx, x.pub.clock.Until(x.pub.from)) != nil {
			besides <- nil
			return
		}
		besides <- during(ctx)
	}()
	x.pub.run(ctx, s)
	err := errors.Join(<-besides, x.await())
	stop()
	return errors.Join(err, <-watched, x.account())
}

// await waits until all that is expected has come, or nothing has for as long as
// the plan says.
func (x *experiment) await() error {
	const pause = 50 * time.Millisecond
	last, quiet := int64(-1), time.Now()
	for {
		time.Sleep(pause)
		n, err := x.crew.received()
		if err != nil {
			return err
		}
		if n != last {
			last, quiet = n, time.Now()
			continue
		}
		settled, err := x.crew.settle(x.pub.ledger.Publications())
		if err != nil || settled.Tally.Lost() <= 0 && time.Since(quiet) > 2*pause {
			return err
		}
		if time.Since(quiet) > x.plan.drain {
			return nil
		}
	}
}

// watch notes what things stood at when the measured time began, and tells each
// second what happens.
func (x *experiment) watch(ctx context.Context) error {
	if sleep(ctx, x.pub.clock.Until(x.pub.from)) != nil {
		return nil
	}
	if err := x.mark(); err != nil {
		return err
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var published int64
	for at := 1.0; ; at++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		i, err := x.crew.progress()
		if err != nil {
			return err
		}
		now := x.pub.measured.Load()
		x.second(at, now-published, i)
		published = now
	}
}

// mark notes what things stand at.
func (x *experiment) mark() error {
	if _, err := x.crew.progress(); err != nil { // forget the warm-up
		return err
	}
	used, err := x.sample()
	if err != nil {
		return err
	}
	if x.received, err = x.crew.received(); err != nil {
		return err
	}
	x.publishing, x.serverCPU = time.Now(), used.cpu
	x.ownCPU, err = x.crew.cpu()
	return err
}

func (x *experiment) second(at float64, published int64, i fleet.Interval) {
	x.progress.add(i.Delivery)
	s := report.Second{
		At: at, Published: published, Received: i.Received, Open: i.Open,
		P50: i.Delivery.Quantile(50), P99: i.Delivery.Quantile(99), Max: i.Delivery.Max(),
	}
	x.result.Timeline = append(x.result.Timeline, s)
	x.progress.line("%4.0f s  %s published/s  %s received/s  p50 %.2f ms  p99 %.2f ms  max %.2f ms  %s open",
		at, strconv.FormatInt(published, 10), strconv.FormatInt(i.Received, 10), s.P50, s.P99, s.Max, strconv.FormatInt(i.Open, 10))
}

// account compares what was published with what was received.
func (x *experiment) account() error {
	r, pubs := x.result, x.pub.ledger.Publications()
	ended := time.Now()
	used, err := x.sample()
	if err != nil {
		return err
	}
	own, err := x.crew.cpu()
	if err != nil {
		return err
	}
	n, err := x.crew.received()
	if err != nil {
		return err
	}
	settled, err := x.crew.settle(pubs)
	if err != nil {
		return err
	}
	x.enter(settled, pubs)
	if x.publishing.IsZero() { // stopped in the warm-up
		return nil
	}
	elapsed := max(min(x.plan.duration, ended.Sub(x.publishing)), time.Duration(settled.Last-x.pub.from), time.Millisecond)
	r.MeasuredSeconds = elapsed.Seconds()
	r.DeliveriesPerSecond = float64(settled.Delivery.Count()) / elapsed.Seconds()
	r.Publish.PerSecond = float64(r.Publish.Sent-r.Publish.Errors) / elapsed.Seconds()
	if events := n - x.received; events > 0 {
		r.Generator.CPUPerEvent = micros(own-x.ownCPU) / float64(events)
		if r.Server != nil {
			r.Server.CPUPerDelivery = micros(used.cpu-x.serverCPU) / float64(events)
		}
	}
	if r.Server != nil {
		r.Server.RSS = float64(used.resident) / (1 << 20)
		r.Server.CPUShare = float64(used.cpu-x.serverCPU) / float64(ended.Sub(x.publishing))
		if r.Publish.Sent > 0 {
			r.Server.CPUPerPublish = micros(used.cpu-x.serverCPU) / float64(r.Publish.Sent)
		}
	}
	x.judge(float64(own-x.ownCPU) / float64(ended.Sub(x.publishing)))
	return nil
}

// enter enters the accounts.
func (x *experiment) enter(s fleet.Settled, pubs []account.Publication) {
	r, t := x.result, &s.Tally
	r.Expected, r.Received, r.Lost = t.Expected, t.Received, t.Lost()
	r.Duplicates, r.OutOfOrder = t.Duplicates, t.OutOfOrder(pubs)
	r.Unsure, r.Refused, r.Extra, r.Foreign = t.Unsure, t.Refused, t.Extra, t.Foreign
	r.Delivery = report.Sum(&s.Delivery)
	var spread hist.Histogram
	t.Spreads(pubs, spread.Record)
	r.Spread = report.Sum(&spread)
	for text, n := range s.Closed {
		r.Connections.Closed += n
		if r.Connections.Closes == nil {
			r.Connections.Closes = map[string]int64{}
		}
		r.Connections.Closes[text] += n
	}
	r.Publish.Times = report.Sum(&x.pub.times)
	r.Publish.Failures, r.Publish.Late = x.pub.failures, x.pub.late
	for _, p := range pubs {
		if !p.Measured {
			continue
		}
		r.Publish.Sent++
		if p.Outcome != account.Confirmed {
			r.Publish.Errors++
		}
		if p.Outcome == account.Unsure {
			r.Publish.Unsure++
		}
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
