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

// auditIfDue begins an audit when the last one is long ago, and again and again for
// as long as somebody may have come back to a Redis that has lost something.
func (p *pulse) auditIfDue(ctx context.Context) {
	pause := auditInterval
	if at := p.lossAt.Load(); at != 0 && p.bus.sinceStart(time.Now())-at < lossAudited.Microseconds() {
		pause = 0
	}
	if time.Since(p.audited) < pause || !p.auditing.CompareAndSwap(false, true) {
		return
	}
	p.audited = time.Now()
	p.bus.running.Go(func() {
		defer p.auditing.Store(false)
		p.audit(ctx)
	})
}

// audit buries the names that hang on no lease now, and did not a lease ago: a node
// that has just come has its lease by then.
func (p *pulse) audit(ctx context.Context) {
	before, err := p.strays(ctx)
	if err != nil || len(before) == 0 {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(lease):
	}
	now, err := p.strays(ctx)
	if err != nil {
		return
	}
	for name, at := range now {
		if _, still := before[name]; !still {
			continue
		}
		u := p.bus.undertaker
		_, _ = answerOf(p.bus.eval(ctx, p.bus.reads, at, "", buryCall{name})) // the next audit sees what is left
		u.clear(ctx, at)
	}
}

// strays returns the names that hang on no lease, with their partitions. The names are
// read first: who has one by then had a lease before.
func (p *pulse) strays(ctx context.Context) (map[string]int, error) {
	reads := p.bus.reads
	pipe := reads.Pipeline()
	names := map[int]*redis.StringSliceCmd{}
	for i := range partitions {
		if p.bus.keys.groupOf(i) == p.group {
			names[i] = pipe.SMembers(ctx, p.bus.keys.nodes(i))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	leases, err := reads.ZRange(ctx, p.bus.keys.leases(p.home), 0, -1).Result()
	if err != nil {
		return nil, err
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
	return strays, nil
}
