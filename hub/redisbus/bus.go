package redisbus

import (
	"context"
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
}

// Bus is one node's part in a cluster over Redis: a hub.Bus and a hub.State.
type Bus struct {
	config  Config
	client  redis.UniversalClient
	keys    *keys
	scripts *scripts
	log     *slog.Logger
	room    func(context.Context) error

	lanes  [lanes]*lane
	feeds  []*feed
	keeper *keeper

	id        string                   // of this process
	node      atomic.Pointer[string]   // the incarnation
	skew      [partitions]atomic.Int64 // Redis's clock less ours, in µs; 0 = not known
	down      atomic.Pointer[error]    // why Redis is out of reach; nil = it is not
	downAt    atomic.Int64             // when that began last, in Unix milliseconds
	restating atomic.Int64             // ops under way that say what the node holds
	clearing  [partitions]atomic.Bool  // the dead are being cleared away
	stats     stats

	warning error // that the operator should hear of

	stop    context.CancelFunc
	running sync.WaitGroup
}

var (
	_ hub.Bus   = (*Bus)(nil)
	_ hub.State = (*Bus)(nil)
)

// openPatience is how long Open tries to reach Redis.
const openPatience = 10 * time.Second

// Open joins the cluster. It fails when Redis cannot be reached, or cannot be
// used. Close leaves.
func Open(ctx context.Context, o Options) (*Bus, error) {
	silence()
	b := &Bus{
		config:  o.Config,
		client:  o.Config.open(),
		keys:    newKeys(o.Config.prefix, o.Config.db),
		scripts: newScripts(o.Config.mode == cluster),
		log:     o.Log,
		room:    o.Room,
		id:      newID(),
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if err := b.start(ctx); err != nil {
		_ = b.client.Close()
		return nil, fmt.Errorf("redis at %s: %w", o.Config, err)
	}
	return b, nil
}

// Warning is what could not be checked when the Bus was opened, or nil.
func (b *Bus) Warning() error { return b.warning }

func (b *Bus) start(ctx context.Context) error {
	for i := range b.lanes {
		b.lanes[i] = newLane(b)
	}
	b.makeFeeds()
	b.keeper = newKeeper(b)
	err := retry(ctx, openPatience, func(ctx context.Context) error {
		if err := b.checkServer(ctx); err != nil {
			return err
		}
		if err := b.loadScripts(ctx); err != nil {
			return err
		}
		return b.keeper.round(ctx)
	})
	if err != nil {
		return err
	}
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, l := range b.lanes {
		b.running.Go(func() { l.run(ctx) })
	}
	for _, f := range b.feeds {
		b.running.Go(func() { f.run(ctx) })
	}
	b.running.Go(func() { b.keeper.run(ctx) })
	b.running.Go(func() { b.housekeeping(ctx) })
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
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Close leaves the cluster: the others hear at once who is gone. Nothing may be
// published or joined any more.
func (b *Bus) Close(ctx context.Context) {
	b.flush(ctx)
	b.stop()
	for _, f := range b.feeds {
		f.hangUp()
	}
	b.running.Wait()
	b.keeper.leave(ctx)
	_ = b.client.Close()
}

// flush waits for what is on its way to Redis.
func (b *Bus) flush(ctx context.Context) {
	for _, l := range b.lanes {
		for !l.idle() && ctx.Err() == nil && b.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (b *Bus) housekeeping(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, l := range b.lanes {
				l.expire(now)
			}
			for _, f := range b.feeds {
				f.sweep(now)
			}
		}
	}
}

func (b *Bus) laneOf(t hub.Topic) *lane { return b.lanes[partitionOf(t)%lanes] }

// patience is how long a subscribe waits for Redis.
const patience = 10 * time.Second

// publishPatience is how long a publish does.
const publishPatience = 2 * time.Second

// Publish implements hub.Bus.
func (b *Bus) Publish(m hub.Message, done func(error)) {
	if err := b.Err(); err != nil {
		done(err)
		return
	}
	body, frameAt := bodyOf(m)
	began := time.Now()
	err := b.laneOf(m.Topic).publish(&op{
		topic:  m.Topic,
		script: &b.scripts.publish,
		args: []any{
			appKey(m.Topic.App), m.Topic.Channel, body, m.CacheFor.Milliseconds(), frameAt,
		},
		bytes: len(body) + 128,
		until: began.Add(publishPatience),
		done: func(_ []any, err error) {
			b.stats.published(began, err)
			done(err)
		},
	})
	if err != nil {
		done(err)
	}
}

// Follow implements hub.Bus.
func (b *Bus) Follow(t hub.Topic, r hub.Receiver, done func(error)) {
	b.feedOf(t).follow(t, r, done)
}

// Unfollow implements hub.Bus.
func (b *Bus) Unfollow(t hub.Topic, r hub.Receiver) { b.feedOf(t).unfollow(t, r) }

// Err implements hub.Bus: why nothing can be published or joined, or nil.
func (b *Bus) Err() error {
	if err := b.down.Load(); err != nil {
		return *err
	}
	return nil
}

// Ready is why the node should be given no clients, or nil. Beside what Err
// says, what the node publishes must come back by every connection that it
// listens on.
func (b *Bus) Ready() error {
	if err := b.Err(); err != nil {
		return err
	}
	for _, f := range b.feeds {
		if age := f.age(time.Now()); age > canaryPatience {
			return fmt.Errorf("%w: nothing has come by connection %d for %s", hub.ErrUnavailable, f.index, age.Round(100*time.Millisecond))
		}
	}
	return nil
}

// errDoubt is why the keeper has to look at once: Redis does not know the node,
// or its clock is not where it was.
var errDoubt = errors.New("redis has refused a script")

// fail says that Redis did not answer as it should. Nothing goes out until the
// keeper has looked.
func (b *Bus) fail(err error) {
	known := fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
	if b.down.Swap(&known) == nil {
		b.downAt.Store(time.Now().UnixMilli())
		b.log.Warn("redis is out of reach", "error", err)
	}
	b.keeper.look()
}

// up says that all is well again.
func (b *Bus) up() {
	if b.down.Swap(nil) != nil {
		b.log.Info("redis is back")
	}
	for _, l := range b.lanes {
		l.resume()
	}
}

// restated notes that an op has said what the node holds on a topic.
func (b *Bus) restated() {
	if b.restating.Add(-1) == 0 {
		b.keeper.look()
	}
}

// call adds a script to a pipeline.
func (b *Bus) call(ctx context.Context, pipe redis.Cmdable, partition int, s *script, args []any) *redis.Cmd {
	all := make([]any, 0, len(args)+2)
	all = append(all, *b.node.Load(), b.deadline(partition))
	all = append(all, args...)
	return pipe.EvalSha(ctx, s.hash, []string{b.keys.tags[partition]}, all...)
}

// deadline is when a script that is sent now is too late, by Redis's clock, in
// microseconds; 0 = never.
func (b *Bus) deadline(partition int) int64 {
	skew := b.skew[partition].Load()
	if skew == 0 {
		return 0
	}
	return time.Now().Add(doneBy).UnixMicro() + skew
}

// idle says that nothing is on its way.
func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0 && !l.busy
}
