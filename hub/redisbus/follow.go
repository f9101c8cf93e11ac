package redisbus

import (
	"fmt"
	"time"

	"channels/hub"
)

// follow has a topic's messages given to r.
func (f *feed) follow(name hub.Topic, r hub.Receiver, done func(error)) {
	f.mu.Lock()
	t := f.topic(name)
	t.receiver = r
	if !t.wanted {
		t.wanted = true
		t.asked++
		f.ask(request{channel: t.channel})
	}
	if !t.confirmed() {
		t.waiting = append(t.waiting, waiter{until: time.Now().Add(patience), done: done})
		f.awaited[t] = true
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	done(nil)
}

// topic returns a topic, which may be new. The lock is held.
func (f *feed) topic(name hub.Topic) *topic {
	channel := f.channelOf(name)
	t := f.topics[channel]
	if t != nil {
		return t
	}
	if len(f.topics) == 0 {
		f.heard = time.Now() // a first connection has its time
	}
	t = &topic{name: name, channel: channel, part: f.byIndex[partitionOf(name)]}
	if keepsRoster(name) {
		t.roster = new(roster)
	}
	f.topics[channel] = t
	return t
}

// listensTo says whether a topic is followed, or was until lately.
func (f *feed) listensTo(name hub.Topic) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topics[f.channelOf(name)] != nil
}

// unfollow lets a topic linger, if r is still its receiver.
func (f *feed) unfollow(name hub.Topic, r hub.Receiver) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[f.channelOf(name)]
	if t == nil || t.receiver != r {
		return
	}
	t.receiver = nil
	t.idle = time.Now()
	f.idle = append(f.idle, t)
}

// sweep leaves what has lingered long enough, gives up on those who have waited
// too long, and ends a connection by which nothing comes.
func (f *feed) sweep(now time.Time) {
	for _, w := range f.overdue(now) {
		w.done(fmt.Errorf("%w: redis has not confirmed in time", hub.ErrUnavailable))
	}
	f.mu.Lock()
	for len(f.idle) > 0 && now.Sub(f.idle[0].idle) >= linger {
		f.drop(f.idle[0])
		f.idle = f.idle[1:]
	}
	silent := f.line != nil && now.Sub(f.heard) > canaryPatience && now.Sub(f.line.began) > canaryPatience
	f.mu.Unlock()
	if silent {
		f.hangUp()
	}
}

// drop unsubscribes from a topic that nobody has come back to. The lock is held.
func (f *feed) drop(t *topic) {
	if t.receiver != nil || !t.wanted || f.topics[t.channel] != t || time.Since(t.idle) < linger {
		return
	}
	if len(t.waiting) > 0 { // they are answered first
		t.idle = time.Now()
		f.idle = append(f.idle, t)
		return
	}
	t.wanted = false
	if f.line == nil {
		delete(f.topics, t.channel)
		return
	}
	t.dropped++
	f.ask(request{channel: t.channel, unsubscribe: true})
}

// overdue takes those who have waited too long.
func (f *feed) overdue(now time.Time) []waiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	var late []waiter
	for t := range f.awaited {
		kept := t.waiting[:0]
		for _, w := range t.waiting {
			if now.Before(w.until) {
				kept = append(kept, w)
			} else {
				late = append(late, w)
			}
		}
		t.waiting = kept
		if len(kept) == 0 {
			delete(f.awaited, t)
		}
	}
	return late
}

// lose tells every receiver that it may have missed something.
func (f *feed) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		t.reset()
		if t.receiver != nil {
			t.receiver.Lost()
		}
	}
}

// rosters lists the topics on which it matters who is there.
func (f *feed) rosters() []hub.Topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []hub.Topic
	for _, t := range f.topics {
		if t.roster != nil && t.wanted {
			names = append(names, t.name)
		}
	}
	return names
}
