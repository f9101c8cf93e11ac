package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"channels/loadtest/account"
	"channels/loadtest/hist"
	"channels/loadtest/target"
)

// eventName is that of all events of a load test.
const eventName = "loadtest"

// publisher publishes on a schedule that does not wait for answers: each publish
// is due at its time, and is measured from then, however late it is sent.
type publisher struct {
	plan     *plan
	clock    account.Clock
	tag      account.Tag
	channels []string
	ledger   *account.Ledger

	from     int64 // due of the first publish that counts, by clock
	next     atomic.Int64
	measured atomic.Int64 // answers that count, for progress

	mu       sync.Mutex
	times    hist.Histogram // from due to the answer
	lateness hist.Histogram // how late the generator itself was
	failures map[string]int64
	late     int64
}

func newPublisher(p *plan, run uint32, channels []string) *publisher {
	return &publisher{
		plan: p, clock: account.NewClock(), tag: account.NewTag(run), channels: channels,
		ledger: account.NewLedger(len(channels)), failures: map[string]int64{},
	}
}

// schedule says when each publish is due. At full speed nothing is ever due.
type schedule struct {
	begin    int64
	rate     float64
	count    int64 // publishes in all; at full speed unknown
	end      int64
	measured int64 // number of the first that counts
}

// plan makes a schedule that begins now.
func (p *publisher) schedule() schedule {
	begin := p.clock.Now() + int64(10*time.Millisecond)
	s := schedule{begin: begin, rate: p.plan.rate, end: begin + int64(p.plan.warmup+p.plan.duration)}
	s.measured = int64(p.plan.warmup.Seconds()*s.rate + 0.5)
	s.count = s.measured + int64(p.plan.duration.Seconds()*s.rate+0.5)
	p.from = begin + int64(p.plan.warmup)
	if s.rate > 0 {
		p.from = s.due(s.measured)
	}
	return s
}

func (s schedule) due(i int64) int64 {
	return s.begin + int64(float64(i)/s.rate*float64(time.Second))
}

// run publishes until the schedule or the context ends, and returns when all
// answers are there.
func (p *publisher) run(ctx context.Context, s schedule) {
	var all sync.WaitGroup
	for range p.plan.workers {
		all.Go(func() { p.work(ctx, s) })
	}
	all.Wait()
}

func (p *publisher) work(ctx context.Context, s schedule) {
	conns := make([]*target.Publisher, len(p.plan.targets))
	for i, t := range p.plan.targets {
		conns[i] = target.NewPublisher(t, p.plan.timeout)
		defer conns[i].Close()
	}
	var data []byte
	for {
		i := p.next.Add(1) - 1
		due, ok := p.await(ctx, s, i)
		if !ok {
			return
		}
		channel := uint32(i % int64(len(p.channels)))
		m := p.ledger.Begin(channel, due, p.from, p.clock.Now)
		data = p.tag.AppendData(data[:0], m, p.plan.size)
		// A publish that has begun is waited for, or nobody knew what became of it.
		err := conns[i%int64(len(conns))].Publish(context.WithoutCancel(ctx), eventName, p.channels[channel], data)
		p.note(m, err)
	}
}

// await waits until a publish is due. It is false when there is nothing left to
// do.
func (p *publisher) await(ctx context.Context, s schedule, i int64) (due int64, ok bool) {
	if s.rate == 0 {
		return 0, ctx.Err() == nil && p.clock.Now() < s.end
	}
	if i >= s.count {
		return 0, false
	}
	due = s.due(i)
	ahead := p.clock.Until(due)
	if sleep(ctx, ahead) != nil {
		return 0, false
	}
	if due < p.from {
		return due, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ahead > 0 {
		p.lateness.Record(p.clock.Now() - due)
	} else {
		p.late++ // all publishers were waiting for answers
	}
	return due, true
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note enters what became of a publish.
func (p *publisher) note(m account.Mark, err error) {
	done := p.clock.Now()
	outcome := account.Confirmed
	if err != nil {
		outcome = account.Unsure
		if _, refused := errors.AsType[*target.RefusedError](err); refused {
			outcome = account.Refused
		}
	}
	p.ledger.End(m.ID, done, outcome)
	if m.Intended < p.from {
		return
	}
	p.measured.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failures[err.Error()]++
		return
	}
	p.times.Record(done - m.Intended)
}
