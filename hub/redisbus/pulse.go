package redisbus

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterLeases is how many leases a node has in a cluster, each for a range of
// partitions, in the first of which it is. They do not follow the masters: so no
// two nodes can disagree about where a lease is while slots move.
const clusterLeases = 16

// pulse renews a lease, and learns who else has none any more.
type pulse struct {
	bus    *Bus
	group  int
	home   int // the partition where the lease is
	wake   chan struct{}
	lease  atomic.Pointer[string]
	doubt  atomic.Bool  // counts may hold connections of nodes that are dead
	nodes  atomic.Int64 // that have a lease
	oldest atomic.Int64 // version of a node

	beat, heard int
	serial      int
	isNew       bool
	audited     time.Time // when the last audit began

	sweeping atomic.Bool
	auditing atomic.Bool
	lossAt   atomic.Int64  // when Redis may last have lost something, by sinceStart; 0 = never
	logBytes atomic.Uint64 // of the logs, when this node last swept
}

func newPulse(b *Bus, group int) *pulse {
	p := &pulse{bus: b, group: group, home: b.keys.home(group), wake: make(chan struct{}, 1)}
	p.audited = time.Now() // a node that has just come has nothing to find
	p.begin()
	return p
}

// begin takes a new lease.
func (p *pulse) begin() {
	p.serial++
	name := p.bus.id + "-" + strconv.Itoa(p.serial)
	p.lease.Store(&name)
	p.beat, p.heard, p.isNew = 0, 0, true
}

// leaseOf names the lease on which a partition hangs.
func (b *Bus) leaseOf(partition int) string {
	return *b.pulses[b.keys.groupOf(partition)].lease.Load()
}

func (p *pulse) run(ctx context.Context) {
	pause := jittered(beatInterval)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-time.After(pause):
		}
		pause = jittered(beatInterval)
		if p.round(ctx) != nil {
			pause = jittered(beatInterval / 2)
		}
	}
}

// look has the lease be renewed at once.
func (p *pulse) look() { wakeUp(p.wake) }

// round renews the lease.
func (p *pulse) round(ctx context.Context) error {
	p.beat++
	s := p.bus.out[p.home].server.Load()
	call := beatCall{beat: p.beat, heard: p.heard, isNew: p.isNew}
	reply, err := answerOf(p.bus.eval(ctx, s.beats, p.home, *p.lease.Load(), call))
	switch outcomeOf(reply, err) {
	case done:
	case notLoaded:
		if err := s.loadScripts(ctx); err != nil {
			return err
		}
		return errScripts
	case refusedNode:
		if reply[0] == answeredLate {
			s.noteLate(reply)
			return errDoubt
		}
		p.begin()
		p.doubted(true)
		return p.round(ctx)
	default:
		return err
	}
	if len(reply) < 7 {
		return errMalformed
	}
	p.heard, p.isNew = p.beat, false
	p.learn(ctx, reply)
	return nil
}

// doubted is for a lease that Redis does not have as the node left it. Either the
// node was declared dead, and has another lease now, or Redis has lost something: its
// partitions find out.
func (p *pulse) doubted(dead bool) {
	p.noteLoss()
	for i, o := range p.bus.out {
		if p.bus.keys.groupOf(i) == p.group {
			o.doubt(dead)
			o.server.Load().look()
		}
	}
}

func (p *pulse) learn(ctx context.Context, reply []any) {
	nodes, _ := reply[2].(int64)
	late, _ := reply[3].(int64)
	p.nodes.Store(nodes)
	p.doubt.Store(late > 0)
	if word, ok := reply[4].(string); ok {
		p.oldest.Store(int64(digitsOf(word)))
	}
	words, err := wordsOf(reply[5:])
	if err != nil {
		return
	}
	if words[1] == "1" {
		p.doubted(false)
	}
	for _, dead := range words[2:] {
		p.bus.running.Go(func() { p.bus.undertaker.bury(ctx, p, dead) })
	}
	if words[0] == "1" {
		p.bus.running.Go(func() { p.bus.undertaker.sweep(ctx, p) })
		p.auditIfDue(ctx)
	}
}

// undertaker removes what the dead had, and does what is due.
type undertaker struct {
	bus      *Bus
	turns    chan struct{} // holds a token for each partition that is cleared
	looks    chan struct{} // holds one while names are looked at
	clearing [partitions]atomic.Bool
}

// clearAtOnce is how many partitions are cleared at a time.
const clearAtOnce = 4

func newUndertaker(b *Bus) *undertaker {
	return &undertaker{bus: b, turns: make(chan struct{}, clearAtOnce), looks: make(chan struct{}, 1)}
}

// bury declares a node dead in all partitions that hang on its lease. When it has
// not come to the end another node takes it on.
func (u *undertaker) bury(ctx context.Context, p *pulse, dead string) {
	u.bus.log.Warn("a node has not renewed its lease: announcing who was on it", "lease", dead)
	whole := true
	for i, c := range u.each(ctx, p, buryCall{dead + "."}) {
		reply, err := answerOf(c)
		if outcomeOf(reply, err) != done {
			whole = false
			continue
		}
		if graves, _ := reply[1].(int64); graves > 0 {
			u.clear(ctx, i)
		}
	}
	if whole && ctx.Err() == nil {
		_ = u.bus.reads.ZRem(ctx, u.bus.keys.dying(p.home), dead).Err()
	}
}

// each runs a script in all partitions of a lease, at once.
func (u *undertaker) each(ctx context.Context, p *pulse, r request) map[int]*redis.Cmd {
	pipe := u.bus.reads.Pipeline()
	commands := map[int]*redis.Cmd{}
	for i := range partitions {
		if u.bus.keys.groupOf(i) == p.group {
			commands[i] = u.bus.eval(ctx, pipe, i, "", r)
		}
	}
	_, _ = pipe.Exec(ctx) // every command has its error
	return commands
}

// clear removes what the dead had in a partition, in the background.
func (u *undertaker) clear(ctx context.Context, partition int) {
	if !u.clearing[partition].CompareAndSwap(false, true) {
		return
	}
	u.bus.running.Go(func() {
		defer u.clearing[partition].Store(false)
		select {
		case u.turns <- struct{}{}:
			defer func() { <-u.turns }()
		case <-ctx.Done():
			return
		}
		_ = u.clearAll(ctx, partition)
	})
}

func (u *undertaker) clearAll(ctx context.Context, partition int) error {
	for ctx.Err() == nil {
		name := u.bus.adopter(partition)
		reply, err := answerOf(u.bus.eval(ctx, u.bus.reads, partition, name, clearCall{u.bus.graced()}))
		if what := outcomeOf(reply, err); what != done {
			if what == unknown && name != "" {
				u.bus.out[partition].doubt(false) // it may have been given members
			}
			return fmt.Errorf("clearing partition %d: %w", partition, errInTime) // the next sweep sees what is left
		}
		if words, err := wordsOf(reply[2:]); err == nil {
			u.bus.adopt(partition, words)
		}
		if left, _ := reply[1].(int64); left == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// sweep does what is due in the partitions of a lease.
func (u *undertaker) sweep(ctx context.Context, p *pulse) {
	if !p.sweeping.CompareAndSwap(false, true) {
		return
	}
	defer p.sweeping.Store(false)
	bytes := uint64(0)
	for i, c := range u.each(ctx, p, sweepCall{}) {
		reply, err := answerOf(c)
		if outcomeOf(reply, err) != done || len(reply) < 3 {
			continue
		}
		if graves, _ := reply[1].(int64); graves > 0 {
			u.clear(ctx, i)
		}
		word, _ := reply[2].(string)
		bytes += digitsOf(word)
	}
	p.logBytes.Store(bytes)
}
