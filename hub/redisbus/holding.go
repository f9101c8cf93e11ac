package redisbus

import (
	"slices"
	"strings"
	"time"

	"channels/hub"
	"channels/protocol"
)

// holding is what the node has on a topic, as the hub says, and what Redis has not
// been told of it yet. Its partition's lock guards it. Numbers coalesce: the newest
// is told. Who comes and goes does not: each move is told, in order.
type holding struct {
	topic       hub.Topic
	subscribers int
	most        int                  // that all nodes may have; 0 = any
	users       map[string]string    // user id to user info
	adopted     map[string]*adoption // of users who were on a node that has died, until they are gone; see adoption.go
	counted     bool                 // the subscribers are told how many they are
	hooks       hub.Hooks            // the occurrences that are noted
	broken      bool                 // the last that has left did so since its connection has ended

	queued    bool      // something is to be told
	since     time.Time // that
	restating bool      // because Redis may have forgotten it
	moves     []move
	waiting   []*waiter
}

// move is a user's coming to the node's part of a channel, or going from it.
type move struct {
	enters     bool
	user, info string
	broken     bool    // the user's connection has ended
	most       int     // users that the channel may have; 0 = any
	by         *waiter // who is told when there is no room
}

// waiter waits for something to be told.
type waiter struct {
	until       time.Time
	joins       bool                  // wants to know what the subscriber must see
	connections int                   // of a reservation
	asked       time.Time             // when a reservation was first refused
	full        bool                  // there was no room
	doubtful    bool                  // or there may be soon
	answer      func(*verdict, error) // nil once it was called; the partition's lock guards it
}

// verdict is what Redis has answered about a topic.
type verdict struct {
	seq     uint64
	epoch   uint64 // of the data; all numbers that are given are higher
	cached  []byte
	members []protocol.Member // nil where the node was to have them
	sum     string            // of the roster
	full    bool              // no room
	partial bool              // nodes are coming back: members may be missing
}

// join notes that a connection has come.
func (h *holding) join(j hub.Join, w *waiter) {
	h.subscribers, h.counted, h.hooks, h.broken = j.Subscribers, j.Counted, j.Hooks, false
	h.waiting = append(h.waiting, w)
	if j.Member == nil {
		return
	}
	if h.users == nil {
		h.users = make(map[string]string)
	}
	h.unadopt(j.Member.ID)
	h.users[j.Member.ID] = string(j.Member.Info)
	h.moves = append(h.moves, move{enters: true, user: j.Member.ID, info: string(j.Member.Info), most: j.MaxMembers, by: w})
}

// leave notes that a connection has gone.
func (h *holding) leave(l hub.Leave, w *waiter) {
	h.subscribers, h.counted, h.hooks, h.broken = l.Subscribers, l.Counted, l.Hooks, l.Broken
	h.waiting = append(h.waiting, w)
	if l.Gone != "" {
		h.unadopt(l.Gone)
		delete(h.users, l.Gone)
		h.moves = append(h.moves, move{user: l.Gone, broken: l.Broken})
	}
}

// idle says that there is nothing about the topic to remember.
func (h *holding) idle() bool {
	return !h.queued && h.subscribers == 0 && len(h.users) == 0 && len(h.moves) == 0 && len(h.waiting) == 0
}

// restate has everything told.
func (h *holding) restate() {
	asking := make(map[string]move)
	for _, m := range h.moves {
		if m.by != nil {
			asking[m.user] = m
		}
	}
	h.moves = h.moves[:0]
	for user, info := range h.users {
		m := asking[user]
		h.moves = append(h.moves, move{enters: true, user: user, info: info, most: m.most, by: m.by})
	}
	h.restating = true
}

// maxMoves is how many users one script is told of.
const maxMoves = 256

// telling is what a script is told about a topic.
type telling struct {
	of          *holding
	subscribers int
	most        int
	counted     bool
	hooks       hub.Hooks
	broken      bool
	restating   bool
	moves       []move
	waiting     []*waiter
}

// take returns what to tell next, at most so many moves.
func (h *holding) take(moves int) *telling {
	n := min(len(h.moves), moves)
	t := &telling{
		of: h, subscribers: h.subscribers, most: h.most, counted: h.counted, hooks: h.hooks, broken: h.broken, restating: h.restating, moves: h.moves[:n:n],
	}
	h.moves = h.moves[n:]
	if len(h.moves) == 0 {
		h.moves = nil
		t.waiting, h.waiting = h.waiting, nil
	}
	return t
}

// untake puts back what was not told.
func (h *holding) untake(t *telling) {
	h.moves = append(t.moves, h.moves...)
	h.waiting = append(t.waiting, h.waiting...)
}

// retell has said again what may have been told, or not: of everybody concerned,
// whether he is there now.
func (h *holding) retell(t *telling) {
	again := make([]move, 0, len(t.moves)+len(h.moves))
	seen := make(map[string]bool, len(t.moves))
	for _, m := range t.moves {
		if seen[m.user] {
			continue
		}
		seen[m.user] = true
		info, here := h.users[m.user]
		if !here {
			again = append(again, move{user: m.user, broken: m.broken})
			continue
		}
		m.enters, m.info = true, info
		again = append(again, m)
	}
	h.moves = append(again, h.moves...)
	h.waiting = append(t.waiting, h.waiting...)
}

// refuse notes that there was no room for a move's user.
func (t *telling) refuse(index int) {
	m := t.moves[index]
	delete(t.of.users, m.user)
	t.of.subscribers = max(t.of.subscribers-1, 0)
	if m.by != nil {
		m.by.full = true
	}
}

// flags are those of lua/state.lua. The roster is asked for if the node does not
// know it.
func (t *telling) flags(knowsRoster bool) string {
	var flags strings.Builder
	if t.counted {
		flags.WriteByte('c')
	}
	if t.hooks > 0 {
		flags.WriteByte('w')
	}
	if !t.joins() {
		return flags.String()
	}
	switch {
	case keepsRoster(t.of.topic) && !knowsRoster:
		flags.WriteByte('r')
	case keepsRoster(t.of.topic):
		flags.WriteByte('s')
	}
	if protocol.KindOf(t.of.topic.Channel).IsCache() {
		flags.WriteByte('x')
	}
	return flags.String()
}

// joins says whether somebody waits who has come.
func (t *telling) joins() bool {
	return slices.ContainsFunc(t.waiting, func(w *waiter) bool { return w.joins })
}

// cause says how it came about that there are other subscribers; see lua/occur.lua.
func (t *telling) cause() string {
	switch {
	case t.broken:
		return "b"
	case t.restating && !t.joins():
		return "a"
	}
	return ""
}

// sign is what a move is called; see forms.go. Of users that are told again only those
// are news who wait for an answer.
func (m *move) sign(restating bool) string {
	switch {
	case m.enters && restating && m.by == nil:
		return "="
	case m.enters:
		return "+"
	case m.broken:
		return "~"
	}
	return "-"
}

// onlyGoes says that the telling makes Redis remember less.
func (t *telling) onlyGoes() bool {
	for _, m := range t.moves {
		if m.enters {
			return false
		}
	}
	for _, w := range t.waiting {
		if w.joins || w.connections > 0 {
			return false
		}
	}
	return !t.restating
}
