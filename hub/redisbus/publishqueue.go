package redisbus

import (
	"slices"
	"sync"
	"time"
)

// publishQueue is a partition's events that wait to be published. Those of an app
// keep their order; apps take turns, so that nobody waits behind another app's
// backlog. Its partition's lock guards it. The zero value is empty.
type publishQueue struct {
	apps  map[string]*appQueue
	turns []*appQueue // those that have something
	next  int         // of turns, whose turn it is
	count int
}

// appQueue is one app's part.
type appQueue struct {
	app string
	ops []*op // oldest first
}

// add puts an event behind those of its app.
func (q *publishQueue) add(p *op) {
	a := q.of(p.event.topic.App)
	a.ops = append(a.ops, p)
	q.count++
}

// of returns an app's part, which has a turn from now on.
func (q *publishQueue) of(app string) *appQueue {
	a := q.apps[app]
	if a == nil {
		if q.apps == nil {
			q.apps = make(map[string]*appQueue)
		}
		a = &appQueue{app: app}
		q.apps[app] = a
		q.turns = append(q.turns, a)
	}
	return a
}

// putBack puts events before those of their apps: they were taken, and not sent.
func (q *publishQueue) putBack(ops []*op) {
	byApp := make(map[string][]*op)
	for _, p := range ops {
		byApp[p.event.topic.App] = append(byApp[p.event.topic.App], p)
	}
	for app, taken := range byApp {
		a := q.of(app)
		a.ops = append(taken, a.ops...)
	}
	q.count += len(ops)
}

// take takes at most so many events, and no more once they have so many bytes: one
// of each app in turn.
func (q *publishQueue) take(most, bytes int) []*op {
	var taken []*op
	for len(q.turns) > 0 && len(taken) < most && bytes > 0 {
		a := q.turns[q.next]
		p := a.ops[0]
		a.ops[0] = nil
		a.ops = a.ops[1:]
		taken = append(taken, p)
		bytes -= p.bytes()
		if len(a.ops) > 0 {
			q.next++
		} else {
			delete(q.apps, a.app)
			q.turns = slices.Delete(q.turns, q.next, q.next+1)
		}
		if q.next == len(q.turns) {
			q.next = 0
		}
	}
	q.count -= len(taken)
	return taken
}

// expire takes those that have waited for too long.
func (q *publishQueue) expire(now time.Time) []*op {
	var late []*op
	for _, a := range q.turns {
		n := 0
		for n < len(a.ops) && now.After(a.ops[n].until) {
			n++
		}
		late = append(late, a.ops[:n]...)
		clear(a.ops[:n])
		a.ops = a.ops[n:]
	}
	if len(late) == 0 {
		return nil
	}
	q.turns = slices.DeleteFunc(q.turns, func(a *appQueue) bool {
		if len(a.ops) == 0 {
			delete(q.apps, a.app)
		}
		return len(a.ops) == 0
	})
	q.next = 0
	q.count -= len(late)
	return late
}

// backlog is how many bytes of events wait for Redis, of each app.
type backlog struct {
	mu    sync.Mutex
	apps  map[string]int64
	total int64
}

// admit counts an event, unless too much waits. Once more than maxQueued does, an
// app is refused that has an equal share of it, or more: so an app's backlog does
// not refuse the events of the others.
func (b *backlog) admit(app string, bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total+bytes > maxQueued && b.apps[app]+bytes > maxQueued/int64(len(b.apps)+1) {
		return false
	}
	if b.apps == nil {
		b.apps = make(map[string]int64)
	}
	b.apps[app] += bytes
	b.total += bytes
	return true
}

// release is for an event that was admitted, and waits no more.
func (b *backlog) release(app string, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total -= bytes
	if b.apps[app] -= bytes; b.apps[app] == 0 {
		delete(b.apps, app)
	}
}
