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
	since   uint64            // the answer's place in Redis's order
	place   uint64            // and in the node's own order of announcements
	members map[string][]byte // user id to user info
	sum     int64             // over the members, to compare
	listed  []protocol.Member // the same as members, if it was asked for since the last change

	// Announcements that may be newer than an answer that is awaited: the first
	// one, or the one that replaces what is known.
	awaits   int    // how many answers
	replaced uint64 // the place of the last that has replaced what was known
	early    []announcement
}

type announcement struct {
	seq  uint64
	kind kind
	user string
	info []byte
}

// start takes the roster of the first answer, with its places in both orders.
func (r *roster) start(seq, place uint64, members []protocol.Member) {
	r.known, r.since, r.place = true, seq, place
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

// hear takes an announcement and says whether it is to be handed on, and at which
// place among the announcements; 0 = the next.
func (r *roster) hear(a announcement) (place uint64, handed bool) {
	switch {
	case !r.known:
		r.early = append(r.early, a)
		return 0, true
	case a.seq <= r.replaced:
		return 0, false // the roster that was read had it
	case a.seq <= r.since:
		return r.place, true // every answer contains it
	}
	if r.awaits > 0 {
		r.early = append(r.early, a)
	}
	return 0, r.apply(a)
}

func (r *roster) apply(a announcement) bool {
	if a.kind == enteredKind {
		return r.put(a.user, a.info)
	}
	return r.drop(a.user)
}

// expect has announcements kept until an answer replaces what is known. Several
// may be under way. It says whether the roster is known, so that it can be replaced.
func (r *roster) expect() bool {
	if r.known {
		r.awaits++
	}
	return r.known
}

// unexpect is for an answer that does not come.
func (r *roster) unexpect() {
	r.awaits--
	if r.awaits == 0 {
		r.early = nil
	}
}

// replace takes the whole roster, as it was at a place in the order, and returns
// what is news about it. One that is older than what is known changes nothing.
func (r *roster) replace(t hub.Topic, seq uint64, members []protocol.Member) []hub.Message {
	defer r.unexpect()
	if seq <= max(r.since, r.replaced) {
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
	r.replaced = seq
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
	messages := make([]hub.Message, len(news))
	for i, b := range news {
		messages[i] = b.message(t, 0)
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
