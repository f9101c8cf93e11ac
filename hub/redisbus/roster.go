package redisbus

import (
	"slices"

	"channels/hub"
	"channels/protocol"
)

// roster is who is on a channel, as far as this node's sockets have been told.
// It starts with the first subscriber's answer and follows the announcements, so
// that after a loss the sockets hear only of what differs.
type roster struct {
	known   bool
	since   uint64            // the answer's place in the order
	members map[string][]byte // user id to user info

	// Announcements that came before the answer, which may be older.
	early []announcement
}

type announcement struct {
	seq  uint64
	kind kind
	user string
	info []byte
}

// start takes the roster of the first answer.
func (r *roster) start(seq uint64, members []protocol.Member) {
	if r.known {
		return
	}
	r.known, r.since = true, seq
	r.members = make(map[string][]byte, len(members))
	for _, m := range members {
		r.members[m.ID] = m.Info
	}
	for _, a := range r.early {
		if a.seq > seq {
			r.apply(a)
		}
	}
	r.early = nil
}

// hear takes an announcement and says whether it is news to the sockets.
func (r *roster) hear(a announcement) bool {
	if !r.known {
		r.early = append(r.early, a)
		return true
	}
	if a.seq <= r.since {
		return true // for those who joined even earlier, if anyone did
	}
	return r.apply(a)
}

func (r *roster) apply(a announcement) bool {
	_, here := r.members[a.user]
	if a.kind == enteredKind {
		r.members[a.user] = a.info
		return !here
	}
	delete(r.members, a.user)
	return here
}

// replace takes the whole roster and returns what is news about it.
func (r *roster) replace(t hub.Topic, seq uint64, members []protocol.Member) []hub.Message {
	if !r.known {
		r.start(seq, members)
		return nil
	}
	now := make(map[string][]byte, len(members))
	for _, m := range members {
		now[m.ID] = m.Info
	}
	var news []hub.Message
	for id := range r.members {
		if _, here := now[id]; !here {
			news = append(news, bulletin{kind: leftKind, user: id}.message(t, seq))
		}
	}
	for id, info := range now {
		if _, here := r.members[id]; !here {
			news = append(news, bulletin{kind: enteredKind, user: id, rest: string(info)}.message(t, seq))
		}
	}
	r.members = now
	return news
}

// complete adds those whom the sockets know to an answer that was given while
// nodes are coming back, and may be short of some.
func (r *roster) complete(members []protocol.Member) []protocol.Member {
	for id, info := range r.members {
		known := slices.ContainsFunc(members, func(m protocol.Member) bool { return m.ID == id })
		if !known {
			members = append(members, protocol.Member{ID: id, Info: info})
		}
	}
	return members
}
