package hub

import "time"

// A member whose connection has broken is kept on a presence channel for the app's
// PresenceGrace, as a ghost: the State hears that he is gone when that is over, and not at
// all if he has come back to this node. If he has come back to another one, the State knows
// that he is there.

// ghost is a member who is kept.
type ghost struct {
	topic Topic
	user  string
}

// wake is the time for which a ghost is kept.
type wake struct{ timer *time.Timer }

// keepGhost keeps a member who has no connection on the channel any more. The shard's lock
// is held.
func (r *registry) keepGhost(s *registryShard, ch *channel, user string) {
	g := ghost{ch.topic, user}
	if s.ghosts == nil {
		s.ghosts = make(map[ghost]*wake)
	}
	w := new(wake)
	w.timer = time.AfterFunc(ch.usage.app().PresenceGrace, func() { r.dropGhost(s, g, w, ch.hooks()) })
	s.ghosts[g] = w
}

// wakeGhost is for a member who has come back. The shard's lock is held.
func (s *registryShard) wakeGhost(t Topic, user string) {
	g := ghost{t, user}
	if w := s.ghosts[g]; w != nil {
		w.timer.Stop()
		delete(s.ghosts, g)
	}
}

// dropGhost tells the State that a member is gone.
func (r *registry) dropGhost(s *registryShard, g ghost, w *wake, hooks Hooks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ghosts[g] != w {
		return // he has come back
	}
	delete(s.ghosts, g)
	subscribers := 0
	if ch := s.channels[g.topic]; ch != nil {
		subscribers = ch.count - len(ch.waiting)
	}
	// It was long ago: nobody needs to wait any more for him to come back.
	r.state.Leave(Leave{Topic: g.topic, Subscribers: subscribers, Gone: g.user, Hooks: hooks}, ignoreError)
}

// stopGhosts is for a hub that is closed.
func (r *registry) stopGhosts() {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for g, w := range s.ghosts {
			w.timer.Stop()
			delete(s.ghosts, g)
		}
		s.mu.Unlock()
	}
}
