package redisbus

import (
	"slices"

	"channels/hub"
)

// holding is what the node has on a topic. It is noted when the hub says so, and
// so ahead of what Redis has been told.
type holding struct {
	subscribers int
	users       map[string]string // user id to user info
}

// hold notes a join. The lane's lock is held.
func (l *lane) hold(j hub.Join) {
	h := l.held[j.Topic]
	if h == nil {
		h = &holding{}
		l.held[j.Topic] = h
	}
	h.subscribers = j.Subscribers
	if j.Member != nil {
		if h.users == nil {
			h.users = make(map[string]string)
		}
		h.users[j.Member.ID] = string(j.Member.Info)
	}
}

// release notes a leave. The lane's lock is held.
func (l *lane) release(leave hub.Leave) {
	h := l.held[leave.Topic]
	if h == nil {
		return
	}
	h.subscribers = leave.Subscribers
	delete(h.users, leave.Gone)
	if h.subscribers == 0 && len(h.users) == 0 {
		delete(l.held, leave.Topic)
	}
}

// doubt has everything that the node holds said again.
func (l *lane) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic := range l.held {
		l.dirty[topic] = true
	}
}

// forget is for a node that was declared dead: it holds nothing any more on the
// topics that it listens to, since their subscribers are told to reconnect. What
// it only counts it still has.
func (l *lane) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.dirty)
	for topic := range l.held {
		if l.bus.feedOf(topic).listensTo(topic) {
			delete(l.held, topic)
		} else {
			l.dirty[topic] = true
		}
	}
	l.queue = slices.DeleteFunc(l.queue, func(o *op) bool {
		if o.script != &l.bus.scripts.hold {
			return false
		}
		l.bytes -= o.bytes
		l.bus.restated()
		return true
	})
}

// restate appends an op for each topic about which Redis may be wrong. It comes
// behind those that wait, which what the node holds contains already. The lane's
// lock is held.
func (l *lane) restate() {
	for topic := range l.dirty {
		h := l.held[topic]
		if h == nil {
			h = &holding{}
		}
		args := []any{appKey(topic.App), topic.Channel, h.subscribers}
		bytes := 64
		for user, info := range h.users {
			args = append(args, user, info)
			bytes += len(user) + len(info)
		}
		l.bus.restating.Add(1)
		l.put(&op{
			topic: topic, script: &l.bus.scripts.hold, args: args, bytes: bytes, lasting: true,
			done: func([]any, error) { l.bus.restated() },
		})
	}
	clear(l.dirty)
}
