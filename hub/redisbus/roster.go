package redisbus

import (
	"crypto/sha1" //nolint:gosec // as in lua/members.lua, not for secrecy
	"strconv"

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
	sum     int64             // over the members, to compare
	listed  []protocol.Member // the same as members, if it was asked for since the last change

	// Announcements that may be newer than an answer that is awaited: the first
	// one, or the one that replaces what is known.
	awaits   bool
	replaced uint64 // the place of an answer that has replaced what was known
	early    []announcement
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
		r.put(m.ID, m.Info)
	}
	for _, a := range r.early {
		if a.seq > seq {
			r.apply(a)
		}
	}
	r.early = nil
}

// put notes a user, and says whether he is new.
func (r *roster) put(user string, info []byte) bool {
	before, here := r.members[user]
	if here {
		r.sum -= sumOf(user, before)
	}
	r.members[user] = info
	r.sum += sumOf(user, info)
	r.listed = nil
	return !here
}

// drop takes a user away, and says whether he was there.
func (r *roster) drop(user string) bool {
	info, here := r.members[user]
	if here {
		delete(r.members, user)
		r.sum -= sumOf(user, info)
		r.listed = nil
	}
	return here
}

// refresh takes newer user info from an answer, which nobody is told of.
func (r *roster) refresh(members []protocol.Member) {
	for _, m := range members {
		if info, here := r.members[m.ID]; here && string(info) != string(m.Info) {
			r.put(m.ID, m.Info)
		}
	}
}

// list returns the members, in no order; nobody changes it.
func (r *roster) list() []protocol.Member {
	if r.listed == nil {
		r.listed = make([]protocol.Member, 0, len(r.members))
		for id, info := range r.members {
			r.listed = append(r.listed, protocol.Member{ID: id, Info: info})
		}
	}
	return r.listed
}

// sumOf is what a user adds to the sum, as in lua/members.lua.
func sumOf(user string, info []byte) int64 {
	h := sha1.New() //nolint:gosec // not for secrecy
	_, _ = h.Write(strconv.AppendInt(nil, int64(len(user)), 10))
	_, _ = h.Write([]byte(":" + user))
	_, _ = h.Write(info)
	n := int64(0)
	for _, b := range h.Sum(nil)[:6] {
		n = n<<8 | int64(b)
	}
	return n
}

// agrees says whether the roster adds up to a sum that Redis has.
func (r *roster) agrees(sum string) bool {
	return !r.known || strconv.FormatInt(r.sum, 10) == sum
}

// hear takes an announcement and says whether it is news to the sockets.
func (r *roster) hear(a announcement) bool {
	if !r.known {
		r.early = append(r.early, a)
		return true
	}
	if a.seq <= r.replaced {
		return false // the answer that has replaced the roster had it
	}
	if r.awaits {
		r.early = append(r.early, a)
	}
	if a.seq <= r.since {
		return true // for those who joined even earlier, if anyone did
	}
	return r.apply(a)
}

func (r *roster) apply(a announcement) bool {
	if a.kind == enteredKind {
		return r.put(a.user, a.info)
	}
	return r.drop(a.user)
}

// expect has announcements kept until an answer replaces what is known.
func (r *roster) expect() {
	if r.known {
		r.awaits, r.early = true, nil
	}
}

// replace takes the whole roster, as it was at a place in the order, and returns
// what is news about it. The news have numbers behind last, the last message's.
func (r *roster) replace(t hub.Topic, seq, last uint64, members []protocol.Member) []hub.Message {
	if !r.known {
		r.start(seq, members)
		return nil
	}
	now := &roster{known: true, members: make(map[string][]byte, len(members))}
	for _, m := range members {
		now.put(m.ID, m.Info)
	}
	for _, a := range r.early {
		if a.seq > seq {
			now.apply(a)
		}
	}
	r.awaits, r.early, r.replaced = false, nil, max(r.replaced, seq)
	var news []bulletin
	for id := range r.members {
		if _, here := now.members[id]; !here {
			news = append(news, bulletin{kind: leftKind, user: id})
		}
	}
	for id, info := range now.members {
		if _, here := r.members[id]; !here {
			news = append(news, bulletin{kind: enteredKind, user: id, rest: string(info)})
		}
	}
	r.members, r.sum, r.listed = now.members, now.sum, nil
	first := max(last+1, seq+1-min(seq, rosterNumbers))
	messages := make([]hub.Message, len(news))
	for i, b := range news {
		messages[i] = b.message(t, first+uint64(i))
	}
	return messages
}

// has says whether a user is known; nobody is.
func (r *roster) has(m *protocol.Member) bool {
	if m == nil {
		return true
	}
	_, here := r.members[m.ID]
	return here
}

// sumOfAll is what members add up to.
func sumOfAll(members []protocol.Member) string {
	sum := int64(0)
	for _, m := range members {
		sum += sumOf(m.ID, m.Info)
	}
	return strconv.FormatInt(sum, 10)
}
