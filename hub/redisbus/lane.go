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

// lanesPerServer is how many pipelines go out to a server at a time. A partition
// is in one of them at most, which keeps its order.
const lanesPerServer = 2

// lane carries what partitions have for a server, many at a time: what comes while
// a pipeline is under way makes the next one. Events go before state, and state has
// a share that grows with the time that it has waited for.
type lane struct {
	server *server
	wake   chan struct{}

	mu     sync.Mutex
	urgent []*outgoing // those that have events, in turn
	ready  []*outgoing // those that have topics
}

func newLane(s *server) *lane { return &lane{server: s, wake: make(chan struct{}, 1)} }

// add puts a partition at the end of those that have events, or topics.
func (l *lane) add(o *outgoing, events bool) {
	l.mu.Lock()
	if events {
		l.urgent = append(l.urgent, o)
	} else {
		l.ready = append(l.ready, o)
	}
	l.mu.Unlock()
	wakeUp(l.wake)
}

func (l *lane) run(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		for b := l.take(); b != nil && ctx.Err() == nil; b = l.take() {
			l.exec(ctx, b)
		}
	}
}

// take returns what goes out next; nil when there is nothing.
func (l *lane) take() *batch {
	l.mu.Lock()
	urgent, ready := l.urgent, l.ready
	l.urgent, l.ready = nil, nil
	l.mu.Unlock()
	b := &batch{publishes: maxBatch, bytes: maxBatchBytes}
	events := 0
	for events < len(urgent) && b.publishes > 0 && b.bytes > 0 {
		urgent[events].takePublishes(b)
		events++
	}
	b.topics, b.bytes = share(maxBatch-b.publishes, ready), maxBatchBytes
	topics := 0
	for topics < len(ready) && b.topics > 0 && b.bytes > 0 {
		ready[topics].takeTopics(b)
		topics++
	}
	l.mu.Lock()
	l.urgent = append(slices.Clone(urgent[events:]), l.urgent...)
	l.ready = append(slices.Clone(ready[topics:]), l.ready...)
	l.mu.Unlock()
	if len(b.calls) == 0 {
		return nil
	}
	return b
}

// share is of how many topics Redis is told beside so many events.
func share(events int, ready []*outgoing) int {
	switch {
	case events == 0:
		return topicsAlone
	case events < maxBatch/8:
		return topicsLate
	}
	oldest := time.Time{}
	for _, o := range ready {
		if since := o.oldest(); !since.IsZero() && (oldest.IsZero() || since.Before(oldest)) {
			oldest = since
		}
	}
	if !oldest.IsZero() && time.Since(oldest) > lateTopic {
		return topicsLate
	}
	return topicsBesides
}

// exec runs a batch and looks at the answers.
func (l *lane) exec(ctx context.Context, b *batch) {
	s := l.server
	pipe := s.commands.Pipeline()
	commands := make([]*redis.Cmd, len(b.calls))
	for i, c := range b.calls {
		commands[i] = s.bus.eval(ctx, pipe, c.to.index, c.name, c.request)
	}
	_, _ = pipe.Exec(ctx) // every command has its error
	missing := false
	for i, c := range b.calls {
		reply, err := answerOf(commands[i])
		what := outcomeOf(reply, err)
		missing = missing || what == notLoaded
		c.to.settleCall(c, what, reply, err)
	}
	if missing {
		if err := s.loadScripts(ctx); err != nil {
			for _, o := range b.busy {
				o.fail(err)
			}
		}
	}
	for _, o := range b.busy {
		o.rest()
	}
}

// settleCall draws the conclusions from what became of a call.
func (o *outgoing) settleCall(c *call, what outcome, reply []any, err error) {
	switch what {
	case done:
		err = o.told(c, reply)
		if err == nil {
			return
		}
		o.bus.log.Error("redis has answered what cannot be read", "partition", o.index, "error", err)
		o.unsure(c, err)
	case refusedNode:
		o.untake(c)
		o.doubted(c.name, reply)
	case notLoaded:
		o.untake(c)
	case notDone:
		o.untake(c)
		o.fail(err)
	case unknown:
		o.unsure(c, err)
		o.fail(err)
	case broken:
		o.bus.log.Error("a script has failed", "partition", o.index, "error", err)
		o.abandon(c, err)
	}
}

// told takes the answer to what was carried out.
func (o *outgoing) told(c *call, reply []any) error {
	if len(c.publishes) > 0 {
		return o.published(c, reply)
	}
	if len(reply) != 3+len(c.tellings) {
		return errMalformed
	}
	word, _ := reply[2].(string)
	epoch := digitsOf(word)
	for i, t := range c.tellings {
		v, doubt, granted, full, err := verdictOf(reply[3+i], reply[1] == "1")
		if err != nil {
			return err
		}
		v.epoch = epoch
		o.toldOne(t, v, full, granted, doubt)
	}
	return nil
}

func (o *outgoing) published(c *call, reply []any) error {
	words, err := wordsOf(reply[1:])
	if err != nil || len(words) < 4 {
		return errMalformed
	}
	o.mu.Lock()
	o.known = max(o.known, digitsOf(words[0]))
	o.logged = o.logged.later(logged{digitsOf(words[1]), words[2]})
	o.mu.Unlock()
	for _, word := range words[4:] {
		if at := number(word) - 1; at >= 0 && at < len(c.request.(publishCall).events) {
			c.request.(publishCall).events[at].op.full = true
		}
	}
	for _, p := range c.publishes {
		if p.full {
			p.done(hub.ErrHistoryFull)
		} else {
			p.done(nil)
		}
	}
	return nil
}

// toldOne takes the answer about one topic.
func (o *outgoing) toldOne(t *telling, v *verdict, full []int, granted int, doubt bool) {
	h := t.of
	o.mu.Lock()
	o.known = max(o.known, v.seq)
	for _, i := range full {
		if i < len(t.moves) {
			t.refuse(i)
		}
	}
	waiting := t.waiting
	if t.most > 0 {
		waiting = o.grant(t, granted, doubt)
	}
	o.finish(h)
	if h.idle() && o.held[h.topic] == h {
		delete(o.held, h.topic)
	}
	o.mu.Unlock()
	o.answer(waiting, v, nil)
}

// finish notes that a topic was told, if it had to be told again. After the last
// the server hears of that. The lock is held.
func (o *outgoing) finish(h *holding) {
	if !h.restating || h.queued {
		return
	}
	h.restating = false
	o.restates--
	if o.restates == 0 {
		o.server.Load().look()
	}
}

// untake puts back what was not done.
func (o *outgoing) untake(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.publishes.putBack(c.publishes)
	o.putBack(c, (*holding).untake)
}

// putBack queues a call's topics again. The lock is held.
func (o *outgoing) putBack(c *call, put func(*holding, *telling)) {
	for _, t := range slices.Backward(c.tellings) {
		h := t.of
		if o.held[h.topic] != h {
			continue // it was forgotten
		}
		put(h, t)
		o.queue(h)
	}
}

// unsure is for a call of which it is not known whether it was carried out. Events
// may have gone out, so they are not published again; what is told is absolute, so
// it is.
func (o *outgoing) unsure(c *call, err error) {
	o.mu.Lock()
	o.putBack(c, (*holding).retell)
	o.mu.Unlock()
	for _, p := range c.publishes {
		p.done(fmt.Errorf("%w: %w", errUnknown, err))
	}
}

// abandon is for a call that would fail again.
func (o *outgoing) abandon(c *call, err error) {
	for _, p := range c.publishes {
		p.done(err)
	}
	for _, t := range c.tellings {
		o.mu.Lock()
		o.finish(t.of)
		o.mu.Unlock()
		o.answer(t.waiting, nil, err)
	}
}

// fail says that Redis did not answer as it should. Nothing goes out until the
// server was asked.
func (o *outgoing) fail(err error) {
	known := fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
	o.mu.Lock()
	o.paused = true
	o.mu.Unlock()
	if o.down.Swap(&known) == nil {
		o.bus.stats.failures.Add(1)
	}
	o.server.Load().failing()
}

// errDoubt is why a server is asked: it does not know the node, or its clock is
// not where it was.
var errDoubt = errors.New("redis has refused a script")

// doubted is for a script that was refused because of who sent it.
func (o *outgoing) doubted(name string, reply []any) {
	o.mu.Lock()
	o.paused = true
	if o.name == name {
		switch reply[0] {
		case answeredUnknown:
			o.entered, o.lost = false, true
		case answeredFenced:
			o.entered, o.fenced = false, true
		}
	}
	o.mu.Unlock()
	s := o.server.Load()
	if reply[0] == answeredLate {
		s.noteLate(reply)
	}
	s.look()
}
