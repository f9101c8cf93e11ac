package redisbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
)

const (
	// lanes is how many pipelines changes go out by. A partition's changes all go
	// by one, which keeps their order.
	lanes = 2
	// maxBatch and maxBatchBytes bound what one pipeline carries.
	maxBatch      = 256
	maxBatchBytes = 1 << 20
	// maxLaneBytes is what may wait for a pipeline before publishes are refused.
	maxLaneBytes = 32 << 20
)

// errUnknown is what a publish is answered whose answer from Redis was lost.
var errUnknown = errors.New("redis has not answered: the event may have gone out")

// op is a script to be run for a topic.
type op struct {
	topic   hub.Topic
	script  *script
	args    []any     // after those that all scripts have
	bytes   int       // about what the arguments take
	until   time.Time // when it is given up; zero = never
	lasting bool      // run again when it is not known whether it was
	done    func(reply []any, err error)
}

// lane carries ops to Redis, in order, many at a time: those that come while a
// pipeline is under way make the next one. It also knows what the node holds on
// its topics, so that it can say so again.
type lane struct {
	bus  *Bus
	wake chan struct{}

	mu      sync.Mutex
	queue   []*op
	bytes   int
	paused  bool
	busy    bool
	resting *sync.Cond // told when busy ends
	held    map[hub.Topic]*holding
	dirty   map[hub.Topic]bool // what Redis knows of these may be wrong
}

func newLane(b *Bus) *lane {
	l := &lane{
		bus:    b,
		wake:   make(chan struct{}, 1),
		held:   make(map[hub.Topic]*holding),
		dirty:  make(map[hub.Topic]bool),
		paused: true,
	}
	l.resting = sync.NewCond(&l.mu)
	return l
}

// put appends an op. The lane's lock is held by the caller.
func (l *lane) put(o *op) {
	l.queue = append(l.queue, o)
	l.bytes += o.bytes
	l.signal()
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// publish appends an op unless too much waits already.
func (l *lane) publish(o *op) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes > maxLaneBytes {
		return fmt.Errorf("%w: too much waits for Redis", hub.ErrUnavailable)
	}
	l.put(o)
	return nil
}

func (l *lane) run(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		for batch := l.take(); batch != nil; batch = l.take() {
			again, failure := l.exec(ctx, batch)
			l.settle(again, failure)
			if failure != nil {
				l.bus.fail(failure)
			}
		}
	}
}

// take returns what goes out next; nil when there is nothing, or nothing may.
func (l *lane) take() []*op {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused || len(l.queue) == 0 {
		return nil
	}
	n, bytes := 0, 0
	for n < len(l.queue) && n < maxBatch && bytes < maxBatchBytes {
		bytes += l.queue[n].bytes
		n++
	}
	batch := slices.Clone(l.queue[:n])
	clear(l.queue[:n])
	l.queue = l.queue[n:]
	l.bytes -= bytes
	l.busy = true
	return batch
}

// settle puts back what has to be run again. Later ops of the same topics may
// have been carried out before, so what the node holds there is said anew.
func (l *lane) settle(again []*op, failure error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	l.resting.Broadcast()
	for _, o := range again {
		l.bytes += o.bytes
		if o.lasting {
			l.dirty[o.topic] = true
		}
	}
	l.queue = append(again, l.queue...)
	if failure != nil {
		l.paused = true
		return
	}
	if len(again) > 0 && !l.paused {
		l.restate()
	}
}

// pause returns when nothing is under way; nothing will be until resume.
func (l *lane) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
	for l.busy {
		l.resting.Wait()
	}
}

func (l *lane) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.paused {
		return
	}
	l.paused = false
	l.restate()
	l.signal()
}

// expire gives up what has waited too long.
func (l *lane) expire(now time.Time) {
	l.mu.Lock()
	var late []*op
	if !l.paused && len(l.queue) == 0 && len(l.dirty) > 0 {
		l.restate() // what was given up on is said again
	}
	l.queue = slices.DeleteFunc(l.queue, func(o *op) bool {
		if o.until.IsZero() || now.Before(o.until) {
			return false
		}
		late = append(late, o)
		l.bytes -= o.bytes
		if o.lasting {
			l.dirty[o.topic] = true
		}
		return true
	})
	l.mu.Unlock()
	for _, o := range late {
		o.done(nil, fmt.Errorf("%w: redis has not answered in time", hub.ErrUnavailable))
	}
}

// exec runs a batch. It returns what has to be run again, and what stands
// against going on.
func (l *lane) exec(ctx context.Context, batch []*op) (again []*op, failure error) {
	b := l.bus
	pipe := b.client.Pipeline()
	commands := make([]*redis.Cmd, len(batch))
	for i, o := range batch {
		commands[i] = b.call(ctx, pipe, partitionOf(o.topic), o.script, o.args)
	}
	_, _ = pipe.Exec(ctx) // every command has its error
	missing := false
	for i, o := range batch {
		reply, err := answerOf(commands[i])
		repeat, err := l.judge(o, reply, err)
		if repeat {
			again = append(again, o)
		}
		if errors.Is(err, errScripts) {
			missing = true
		} else if err != nil {
			failure = err
		}
	}
	if missing && failure == nil {
		failure = b.loadScripts(ctx)
	}
	return again, failure
}

// errScripts says that Redis has lost the scripts.
var errScripts = errors.New("redis does not have the scripts")

// judge looks at an answer. It says whether the op has to be run again, which it
// has else been told of, and what stands against going on.
func (l *lane) judge(o *op, reply []any, err error) (again bool, failure error) {
	switch outcomeOf(reply, err) {
	case done:
		o.done(reply, nil)
		return false, nil
	case refusedNode:
		return l.keep(o), fmt.Errorf("%w: %v", errDoubt, reply[0])
	case notLoaded:
		return l.keep(o), errScripts
	case notDone:
		return l.keep(o), err
	case broken:
		l.bus.log.Error("a script has failed", "error", err)
		o.done(nil, err)
		return false, nil
	case unknown:
	}
	if o.lasting {
		return l.keep(o), err
	}
	o.done(nil, fmt.Errorf("%w: %w", errUnknown, err))
	return false, err
}

// keep says whether an op that was not carried out still can be.
func (l *lane) keep(o *op) bool {
	if o.until.IsZero() || time.Now().Before(o.until) {
		return true
	}
	o.done(nil, fmt.Errorf("%w: redis has not answered in time", hub.ErrUnavailable))
	if o.lasting {
		l.mu.Lock()
		l.dirty[o.topic] = true
		l.mu.Unlock()
	}
	return false
}
