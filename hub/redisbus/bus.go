package redisbus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
)

// Options say how a node takes part. Zero values take the defaults named.
type Options struct {
	Config Config
	Log    *slog.Logger // nil = none

	// Room returns when the node can take more messages; until then none are
	// read from Redis. nil = it always can.
	Room func(context.Context) error

	// Graces are for how long members of presence channels are kept whose node has died, by
	// app. All nodes must have the same; an app that has none is not there.
	Graces map[string]time.Duration
}

// Bus is one node's part in a cluster over Redis: a hub.Bus and a hub.State.
type Bus struct {
	config  Config
	sharded bool // Redis is a cluster
	keys    *keys
	scripts *scripts
	log     *slog.Logger
	room    func(context.Context) error
	id      string                                   // of this process
	graces  atomic.Pointer[map[string]time.Duration] // see SetGraces
	began   time.Time                                // see sinceStart

	reads redis.UniversalClient // for questions, which nothing else waits for

	revocations *revocations
	router      *router
	pulses      []*pulse
	out         [partitions]*outgoing
	in          [partitions]*incoming
	undertaker  *undertaker
	comparer    *comparer
	listings    listings
	stats       stats
	backlog     backlog       // of events
	lines       atomic.Uint64 // connections that there were

	feedLog, lostLog, fenceLog *rareLog

	warning error // that the operator should hear of
	started bool  // guarded by the router's lock

	lifetime context.Context // the Bus's own; ended by stop
	stop     context.CancelFunc
	running  sync.WaitGroup
}

var (
	_ hub.Bus   = (*Bus)(nil)
	_ hub.State = (*Bus)(nil)
)

// Open joins the cluster. It fails when Redis cannot be reached, or cannot be
// used. Close leaves.
func Open(ctx context.Context, o Options) (*Bus, error) {
	silence()
	b := newBus(o)
	if err := b.start(ctx); err != nil {
		for _, s := range b.router.all() {
			s.close()
		}
		_ = b.reads.Close()
		return nil, fmt.Errorf("redis at %s: %w", o.Config, err)
	}
	return b, nil
}

func newBus(o Options) *Bus {
	b := &Bus{
		config: o.Config, sharded: o.Config.mode == cluster,
		reads: o.Config.openReads(), scripts: newScripts(o.Config.mode == cluster),
		log: o.Log, room: o.Room, id: newID(), began: time.Now(), lifetime: context.Background(),
	}
	b.SetGraces(o.Graces)
	groups := 1
	if b.sharded {
		groups = clusterLeases
	}
	b.keys = newKeys(o.Config.prefix, o.Config.db, groups)
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.feedLog, b.lostLog, b.fenceLog = newRareLog(b.log), newRareLog(b.log), newRareLog(b.log)
	b.router, b.undertaker, b.comparer = newRouter(b), newUndertaker(b), newComparer(b)
	b.stats.lags, b.stats.publishing, b.stats.beats = newDurations(), newDurations(), newDurations()
	b.revocations = &revocations{reads: b.reads, keys: b.keys}
	for p := range partitions {
		b.out[p], b.in[p] = newOutgoing(b, p), newIncoming(b, p)
	}
	for g := range groups {
		b.pulses = append(b.pulses, newPulse(b, g))
	}
	return b
}

// sinceStart returns how long after the Bus was made t is, in µs, by the monotonic
// clock.
func (b *Bus) sinceStart(t time.Time) int64 { return t.Sub(b.began).Microseconds() }

func newID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// Warning is what could not be checked when the Bus was opened, or nil.
func (b *Bus) Warning() error { return b.warning }

func (b *Bus) start(ctx context.Context) error {
	if err := retry(ctx, openPatience, b.reach); err != nil {
		return err
	}
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.lifetime = ctx
	b.router.mu.Lock()
	b.started = true
	b.router.mu.Unlock()
	for _, s := range b.router.all() {
		s.start(ctx)
	}
	if b.sharded {
		b.running.Go(func() { b.router.run(ctx) })
	}
	for _, p := range b.pulses {
		b.running.Go(func() { p.run(ctx) })
	}
	b.running.Go(func() { b.housekeeping(ctx) })
	return nil
}

// reach has the node take part in every partition.
func (b *Bus) reach(ctx context.Context) error {
	if err := b.router.refresh(ctx); err != nil {
		return err
	}
	for _, s := range b.router.all() {
		if err := s.check(ctx); err != nil {
			return err
		}
		if err := s.loadScripts(ctx); err != nil {
			return err
		}
		if len(s.partitions()) == 0 {
			continue
		}
		if err := s.round(ctx); err != nil {
			return err
		}
	}
	for _, p := range b.pulses {
		if !p.isNew {
			continue
		}
		if err := p.round(ctx); err != nil {
			return err
		}
	}
	for _, o := range b.out {
		if _, entered := o.identity(); !entered {
			return unavailable(errNotReached)
		}
	}
	return nil
}

// errUnusable is an error that trying again does not mend.
var errUnusable = errors.New("this Redis cannot be used")

// retry calls f until it succeeds, patience is over, or the error is final. What
// an attempt said that had its time tells more than that the last one had not.
func retry(ctx context.Context, patience time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		err := f(ctx)
		if err == nil || errors.Is(err, errUnusable) {
			return err
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(openPause):
		}
	}
}

// Close leaves the cluster: the others hear at once who is gone. Nothing may be
// published or joined any more.
func (b *Bus) Close(ctx context.Context) {
	b.flush(ctx)
	b.stop()
	servers := b.router.all()
	for _, s := range servers {
		for _, f := range s.feeds {
			f.hangUp()
		}
	}
	b.running.Wait()
	b.revocations.close()
	b.leave(ctx)
	for _, s := range servers {
		s.close()
	}
	_ = b.reads.Close()
}

// flush waits for what is on its way to Redis.
func (b *Bus) flush(ctx context.Context) {
	for _, o := range b.out {
		for !o.quiet() && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// leave declares the node dead and clears up. Where that fails the others find out.
func (b *Bus) leave(ctx context.Context) {
	pipe := b.reads.Pipeline()
	buried := make([]*redis.Cmd, partitions)
	for p := range partitions {
		buried[p] = b.eval(ctx, pipe, p, "", buryCall{b.id + "-"})
	}
	_, _ = pipe.Exec(ctx) // every command has its error
	for p, c := range buried {
		reply, err := answerOf(c)
		if outcomeOf(reply, err) != done || len(*b.graces.Load()) > 0 {
			continue // others adopt whom they find
		}
		if graves, _ := reply[1].(int64); graves > 0 {
			_ = b.undertaker.clearAll(ctx, p)
		}
	}
	for _, p := range b.pulses {
		_ = b.reads.ZRem(ctx, b.keys.leases(p.home), *p.lease.Load()).Err()
		_ = b.reads.ZRem(ctx, b.keys.versions(p.home), *p.lease.Load()).Err()
	}
}

func (b *Bus) housekeeping(ctx context.Context) {
	tick := time.NewTicker(housekeepingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for p := range partitions {
				b.out[p].expire(now)
				b.in[p].sweep(now)
			}
			for _, s := range b.router.all() {
				for _, f := range s.feeds {
					f.sweep(now)
				}
			}
		}
	}
}

// maxQueued is how many bytes of events may wait before publishes of those apps are
// refused to which most of them belong.
const maxQueued = 64 << 20

// Publish implements hub.Bus.
func (b *Bus) Publish(m hub.Message, done func(error)) {
	o := b.out[partitionOf(m.Topic)]
	began := time.Now()
	answer := func(err error) {
		b.stats.published(began, err)
		done(err)
	}
	if err := o.err(); err != nil {
		answer(err)
		return
	}
	life := m.CacheFor
	if m.Signal == hub.Terminate {
		life = hub.TerminateKept // see revocations
	}
	body, frameAt := bodyOf(m)
	p := &op{
		event: publication{topic: m.Topic, body: body, count: 1, cacheMS: life.Milliseconds(), frameAt: frameAt},
		until: began.Add(publishPatience),
	}
	p.event.once = m.Once
	if m.Keep != nil {
		p.event.keep, p.event.op = m.Keep, p
	}
	if m.Occurs != nil {
		p.event.occurs = []*hub.Occurrence{m.Occurs}
	}
	bytes := int64(p.bytes())
	if !b.backlog.admit(m.Topic.App, bytes) {
		answer(fmt.Errorf("%w: too many of the app's events wait for Redis", hub.ErrUnavailable))
		return
	}
	p.done = func(err error) {
		b.backlog.release(m.Topic.App, bytes)
		answer(err)
	}
	o.publish(p)
}

// Follow implements hub.Bus.
func (b *Bus) Follow(t hub.Topic, r hub.Receiver, done func(error)) {
	b.in[partitionOf(t)].follow(t, r, done)
}

// Unfollow implements hub.Bus.
func (b *Bus) Unfollow(t hub.Topic, r hub.Receiver) { b.in[partitionOf(t)].unfollow(t, r) }

// TopicErr implements hub.Bus.
func (b *Bus) TopicErr(t hub.Topic) error { return b.out[partitionOf(t)].err() }

// evaluator is a client, or a pipeline.
type evaluator interface {
	EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd
}

// eval runs a script on a partition, as the node with that name there.
func (b *Bus) eval(ctx context.Context, by evaluator, partition int, name string, r request) *redis.Cmd {
	own := r.args()
	args := make([]any, 0, len(own)+3)
	args = append(args, name, b.out[partition].server.Load().deadline(), b.config.logBytes)
	args = append(args, own...)
	return by.EvalSha(ctx, r.script(b.scripts).hash, []string{b.keys.tags[partition]}, args...)
}
