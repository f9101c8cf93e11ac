package redisbus

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// An audit looks for names in partitions that hang on no lease. Who renews a lease
// and is declared dead has all names on it buried; but a node that came back to a
// Redis that had lost everything, and died before its first beat there, has left
// names on a lease that nobody ever saw.

// noteLoss says that Redis may have lost something.
func (p *pulse) noteLoss() { p.lossAt.Store(p.bus.sinceStart(time.Now())) }

// lossIsRecent says whether somebody may still be coming back after a loss.
func (p *pulse) lossIsRecent() bool {
	at := p.lossAt.Load()
	return at != 0 && p.bus.sinceStart(time.Now())-at < lossAudited.Microseconds()
}

// auditIfDue begins an audit when the last one is long ago, or Redis has lost something.
// Whoever sweeps calls it, so that not all nodes do so at once.
func (p *pulse) auditIfDue(ctx context.Context) {
	due := time.Since(p.audited) >= auditInterval || p.lossIsRecent()
	if !due || !p.auditing.CompareAndSwap(false, true) {
		return
	}
	p.audited = time.Now()
	p.bus.running.Go(func() {
		defer p.auditing.Store(false)
		p.audit(ctx)
	})
}

// audit buries the names that hang on no lease, and did not a lease ago: a node that
// has just come has its lease by then. It goes on for as long as a loss is recent.
func (p *pulse) audit(ctx context.Context) {
	before := p.strays(ctx)
	for len(before) > 0 || p.lossIsRecent() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lease):
		}
		now := p.strays(ctx)
		for name, at := range now {
			if _, still := before[name]; still {
				u := p.bus.undertaker
				_, _ = answerOf(p.bus.eval(ctx, p.bus.reads, at, "", buryCall{name})) // the next look sees what is left
				u.clear(ctx, at)
			}
		}
		before = now
	}
}

// strays returns the names that hang on no lease, with their partitions; none if Redis
// does not tell. The names are read first: who has one by then had a lease before. One
// pulse of a node looks at a time, for the sake of the connections.
func (p *pulse) strays(ctx context.Context) map[string]int {
	select {
	case p.bus.undertaker.looks <- struct{}{}:
		defer func() { <-p.bus.undertaker.looks }()
	case <-ctx.Done():
		return nil
	}
	reads := p.bus.reads
	pipe := reads.Pipeline()
	names := map[int]*redis.StringSliceCmd{}
	for i := range partitions {
		if p.bus.keys.groupOf(i) == p.group {
			names[i] = pipe.SMembers(ctx, p.bus.keys.nodes(i))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil
	}
	leases, err := reads.ZRange(ctx, p.bus.keys.leases(p.home), 0, -1).Result()
	if err != nil {
		return nil
	}
	alive := make(map[string]bool, len(leases))
	for _, name := range leases {
		alive[name] = true
	}
	strays := map[string]int{}
	for i, c := range names {
		for _, name := range c.Val() {
			if !alive[leaseIn(name)] {
				strays[name] = i
			}
		}
	}
	return strays
}
