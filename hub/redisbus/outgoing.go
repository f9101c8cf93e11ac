package redisbus

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"channels/hub"
)

// outgoing is the half of a partition by which changes go to Redis: events that
// wait to be published, and topics about which Redis has to be told something. Its
// health is its own: what is wrong with it says nothing about other partitions.
type outgoing struct {
	bus    *Bus
	index  int
	server atomic.Pointer[server] // that has the partition
	down   atomic.Pointer[error]  // why nothing can go out; nil = it can

	mu sync.Mutex

	// Who the node is to this partition; see partition.go.
	name     string // "" = it has none yet
	serial   int    // of names
	entered  bool
	fenced   bool       // it was declared dead under its name
	lost     bool       // Redis has lost something
	asks     *enterCall // to come, under way or to be repeated; nil = not
	olds     []string   // names that it had
	epoch    uint64
	known    uint64    // the highest number that Redis has answered
	logged   logged    // the last event of this node in a log
	restates int       // topics still to be told after a loss
	said     bool      // all was
	lostAt   time.Time // when Redis had lost something last, and was come to anew
	settling bool      // other nodes may not have said all that they have

	// What waits.
	paused    bool   // until the server was asked what is the matter
	batch     *batch // that is under way; nil = none
	urgent    bool   // a lane knows that events wait
	listed    bool   // a lane knows that topics wait
	publishes publishQueue
	held      map[hub.Topic]*holding
	dirty     []*holding // those that are queued, oldest first
	waiters   []*waiter  // oldest first
}

// op is an event to be published.
type op struct {
	event publication
	until time.Time
	done  func(error)
	full  bool // Redis has had no room for it
}

func (o *op) bytes() int { return len(o.event.body) + 128 }

func newOutgoing(b *Bus, index int) *outgoing {
	return &outgoing{bus: b, index: index, held: make(map[hub.Topic]*holding)}
}

// errUnknown is what a publish is answered whose answer from Redis was lost.
var errUnknown = errors.New("redis has not answered: the event may have gone out")

// errInTime is what is answered that has waited for too long, and was not done.
var errInTime = fmt.Errorf("%w: redis has not answered in time", hub.ErrUnavailable)

// err is why nothing can go out, or nil.
func (o *outgoing) err() error {
	if err := o.down.Load(); err != nil {
		return *err
	}
	return nil
}

// publish queues an event.
func (o *outgoing) publish(p *op) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.publishes.add(p)
	o.list()
}

// list tells the lane that something waits, if it can go out. The lock is held.
func (o *outgoing) list() {
	if o.batch != nil || o.paused || !o.entered {
		return
	}
	l := o.server.Load().laneOf(o.index)
	if o.publishes.count > 0 && !o.urgent {
		o.urgent = true
		l.add(o, true)
	}
	if len(o.dirty) > 0 && !o.listed {
		o.listed = true
		l.add(o, false)
	}
}

// change notes what the hub says about a topic, and queues the topic.
func (o *outgoing) change(t hub.Topic, w *waiter, note func(*holding)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.held[t]
	if h == nil {
		h = &holding{topic: t}
		o.held[t] = h
	}
	note(h)
	o.waiters = append(o.waiters, w)
	o.queue(h)
	o.list()
}

// queue has a topic told. The lock is held.
func (o *outgoing) queue(h *holding) {
	if h.queued {
		return
	}
	h.queued, h.since = true, time.Now()
	o.dirty = append(o.dirty, h)
}

// restate has everything told again that the node holds. The lock is held.
func (o *outgoing) restate() {
	o.restates = 0
	for _, h := range o.held {
		h.restate()
		o.queue(h)
		o.restates++
	}
}

// forget is for a node that was declared dead: it holds nothing any more on the
// topics that it listens to, since their subscribers are told to reconnect. What
// it only counts it still has. It returns who waited. The lock is held.
func (o *outgoing) forget(listensTo func(hub.Topic) bool) []*waiter {
	var over []*waiter
	kept := o.dirty[:0]
	for t, h := range o.held {
		if listensTo(t) {
			over = append(over, h.waiting...)
			delete(o.held, t)
		}
	}
	for _, h := range o.dirty {
		if o.held[h.topic] == h {
			kept = append(kept, h)
		}
	}
	clear(o.dirty[len(kept):])
	o.dirty = kept
	return over
}

// batch is what goes out together.
type batch struct {
	calls     []*call
	publishes int // that there is still room for
	topics    int
	bytes     int
	busy      []*outgoing
}

// call is a script with its arguments, for a partition.
type call struct {
	to        *outgoing
	name      string
	request   request
	publishes []*op
	tellings  []*telling
}

const (
	// maxBatch bounds what one pipeline carries: events, and their bytes.
	maxBatch      = 256
	maxBatchBytes = 1 << 20
	// topicsBesides is how many topics are told of in a pipeline that carries many
	// events, topicsLate when it carries few or the oldest topic has waited for
	// lateTopic, and topicsAlone when there are no events.
	topicsBesides = 48
	topicsLate    = 160
	topicsAlone   = 256
	// topicsPerCall is how many one script is told of.
	topicsPerCall = 64
)

// begin has a batch be the one that is under way, if the partition can send one.
// The lock is held.
func (o *outgoing) begin(b *batch) bool {
	if o.batch != nil && o.batch != b || o.paused || !o.entered {
		return false
	}
	if o.batch == nil {
		o.batch = b
		b.busy = append(b.busy, o)
	}
	return true
}

// takePublishes moves the events that wait into a batch, as far as there is room.
func (o *outgoing) takePublishes(b *batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.urgent = false
	if o.publishes.count == 0 || !o.begin(b) {
		return
	}
	taken := o.publishes.take(b.publishes, b.bytes)
	b.publishes -= len(taken)
	for _, p := range taken {
		b.bytes -= p.bytes()
	}
	b.calls = append(b.calls, &call{to: o, name: o.name, request: publishCall{bundled(taken), o.bus.config.cacheBytes}, publishes: taken})
}

// takeTopics takes the topics that have waited longest. The rest of a large one
// waits for the next batch: its moves have an order.
func (o *outgoing) takeTopics(b *batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listed = false
	if len(o.dirty) == 0 || !o.begin(b) {
		return
	}
	rest := false
	for !rest && len(o.dirty) > 0 && b.topics > 0 && b.bytes > 0 {
		c := &call{to: o, name: o.name}
		moves := maxMoves
		for len(o.dirty) > 0 && len(c.tellings) < topicsPerCall && moves > 0 && b.topics > 0 && b.bytes > 0 {
			h := o.dirty[0]
			t := h.take(moves)
			c.tellings = append(c.tellings, t)
			moves -= len(t.moves)
			b.topics--
			b.bytes -= 64
			for _, m := range t.moves {
				b.bytes -= len(m.user) + len(m.info) + 16
			}
			if rest = len(h.moves) > 0; rest {
				break
			}
			h.queued = false
			o.dirty[0] = nil
			o.dirty = o.dirty[1:]
		}
		c.request = stateCall{c.tellings, o.bus.in[o.index].knowsRoster}
		b.calls = append(b.calls, c)
	}
}

// rest is the end of a batch for a partition.
func (o *outgoing) rest() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.batch = nil
	o.list()
}

// oldest is since when a topic has waited; zero = none does.
func (o *outgoing) oldest() (since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.dirty) > 0 {
		since = o.dirty[0].since
	}
	return since
}

// expire gives up those that have waited too long. What they wanted told is told
// all the same.
func (o *outgoing) expire(now time.Time) {
	o.mu.Lock()
	late := o.publishes.expire(now)
	var waited []func(*verdict, error)
	for len(o.waiters) > 0 && (o.waiters[0].answer == nil || now.After(o.waiters[0].until)) {
		if answer := o.waiters[0].answer; answer != nil {
			waited = append(waited, answer)
			o.waiters[0].answer = nil
		}
		o.waiters[0] = nil
		o.waiters = o.waiters[1:]
	}
	o.mu.Unlock()
	for _, p := range late {
		p.done(errInTime)
	}
	for _, answer := range waited {
		answer(nil, errInTime)
	}
}

// answer answers waiters.
func (o *outgoing) answer(waiting []*waiter, v *verdict, err error) {
	type reply struct {
		to func(*verdict, error)
		v  *verdict
	}
	replies := make([]reply, 0, len(waiting))
	o.mu.Lock()
	for _, w := range waiting {
		if w.answer == nil {
			continue
		}
		own := v
		if v != nil {
			copied := *v
			copied.full = copied.full || w.full
			copied.partial = copied.partial || w.doubtful
			own = &copied
		}
		replies = append(replies, reply{w.answer, own})
		w.answer = nil
	}
	o.mu.Unlock()
	for _, r := range replies {
		r.to(r.v, err)
	}
}

// quiet says that nothing waits that could go out, and nothing is under way.
func (o *outgoing) quiet() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.paused || !o.entered || o.batch == nil && o.publishes.count+len(o.dirty) == 0
}
