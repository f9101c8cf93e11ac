package hub

import (
	"errors"

	"channels/protocol"
)

// maxSubscriptions bounds what one connection can make the node remember.
const maxSubscriptions = 20_000

// receiveSubscribe checks a subscribe on the transport's goroutine: the name,
// the signature, who joins.
func (c *Conn) receiveSubscribe(cmd protocol.Command) {
	name := string(cmd.Channel)
	member, err := c.admit(name, cmd)
	if err != nil {
		f := asFault(err)
		c.worker.put(func(w *worker) { w.refuseSubscribe(c, name, f) })
		return
	}
	c.worker.put(func(w *worker) { w.subscribe(c, name, member) })
}

// admit says whether the client may subscribe, and as whom.
func (c *Conn) admit(name string, cmd protocol.Command) (*protocol.Member, error) {
	if !protocol.ValidChannel(name) {
		return nil, protocol.InvalidChannelName(name)
	}
	kind := protocol.KindOf(name)
	if id, ok := protocol.ServerToUserID(name); ok && (c.identity == nil || c.identity.ID != id) {
		return nil, protocol.NotSignedIn(name)
	}
	if !kind.NeedsAuth() {
		return nil, nil
	}
	if len(cmd.Auth) == 0 {
		return nil, protocol.AuthRequired(name)
	}
	if kind.IsPresence() && len(cmd.ChannelData) == 0 && c.identity == nil {
		return nil, protocol.ChannelDataRequired(name)
	}
	channelData := string(cmd.ChannelData)
	err := protocol.CheckChannelAuth(c.app.Key, c.app.Secret, string(cmd.Auth), c.id, name, channelData)
	if err != nil || !kind.IsPresence() {
		return nil, err
	}
	if len(cmd.ChannelData) == 0 {
		return c.admitUser(name)
	}
	return c.admitMember(name, cmd.ChannelData)
}

// admitUser has who is signed in join as that user.
func (c *Conn) admitUser(name string) (*protocol.Member, error) {
	if limit := c.app.MaxPresenceMemberBytes; len(c.identity.ID)+len(c.identity.Info) > limit {
		return nil, protocol.ChannelDataTooLarge(name, limit)
	}
	return &protocol.Member{ID: c.identity.ID, Info: c.identity.Info}, nil
}

func (c *Conn) admitMember(name string, channelData []byte) (*protocol.Member, error) {
	if len(channelData) > c.app.MaxPresenceMemberBytes {
		return nil, protocol.ChannelDataTooLarge(name, c.app.MaxPresenceMemberBytes)
	}
	member, err := protocol.ParseChannelData(channelData)
	if err != nil {
		return nil, err
	}
	return &member, nil
}

// refuseSubscribe tells the client twice: as the hosted service does, and in
// the form that releases the SDKs which wait for an answer per channel.
func (w *worker) refuseSubscribe(c *Conn, name string, f protocol.Fault) {
	w.send(c, protocol.ErrorFrame(f))
	w.send(c, protocol.SubscriptionErrorFrame(name, f))
}

// subscribe is the first half of the walk: attached, the subscription holds what
// arrives until the State has said from where on it counts.
func (w *worker) subscribe(c *Conn, name string, member *protocol.Member) {
	if c.closed {
		return
	}
	if sub := c.subs.get(name); sub != nil {
		if !sub.later(func(w *worker) { w.subscribe(c, name, member) }) {
			w.send(c, protocol.ErrorFrame(protocol.ExistingSubscription(name)))
		}
		return
	}
	if c.subs.len() >= maxSubscriptions {
		w.refuseSubscribe(c, name, protocol.TooManySubscriptions(maxSubscriptions))
		return
	}
	sub := &subscription{conn: c, member: member}
	w.registry.subscribe(w, sub, Topic{App: c.app.ID, Channel: name})
	c.subs.add(sub)
}

// joined is the second half: acknowledgement, cached event or miss, then what
// was held and is newer. Nothing overtakes the acknowledgement.
func (w *worker) joined(sub *subscription, answer Joined, err error) {
	if sub.stage == left {
		return
	}
	if sub.answered != nil {
		sub.answered(w, answer, err)
		return
	}
	if err != nil {
		w.joinFailed(sub, err)
		return
	}
	w.acknowledge(sub, answer)
	sub.from = answer.Seq
	for _, h := range sub.held {
		if h.seq > sub.from {
			w.send(sub.conn, h.frame)
			sub.from = h.seq
		}
	}
	sub.held, sub.heldBytes = nil, 0
	sub.stage = settled
	if sub.channel.kind.NeedsAuth() {
		w.authorize(sub.conn)
	}
	w.runQueued(sub)
}

// maxQueued is how many commands for a channel may wait for its subscription.
const maxQueued = 64

// later has f run once the subscription is no longer pending, so that a client
// which does not wait for answers has its commands carried out in order. False:
// nothing to wait for, or too much waits already.
func (sub *subscription) later(f func(*worker)) bool {
	if sub.stage != pending || len(sub.queued) >= maxQueued {
		return false
	}
	sub.queued = append(sub.queued, f)
	return true
}

func (w *worker) runQueued(sub *subscription) {
	queued := sub.queued
	sub.queued = nil
	for _, f := range queued {
		f(w)
	}
}

func (w *worker) acknowledge(sub *subscription, answer Joined) {
	ch := sub.channel
	name := ch.topic.Channel
	var roster []byte
	if ch.kind.IsPresence() {
		roster = protocol.AppendRoster(nil, answer.Members)
	}
	w.send(sub.conn, protocol.SucceededFrame(name, roster))
	if !ch.kind.IsCache() {
		return
	}
	if answer.Cached != nil {
		w.send(sub.conn, answer.Cached)
	} else {
		w.send(sub.conn, protocol.CacheMissFrame(name))
	}
}

// joinFailed ends a subscription that came to nothing. pusher-js never retries
// a refused subscribe, so where the fault is ours the client is made to
// reconnect.
func (w *worker) joinFailed(sub *subscription, err error) {
	c, name := sub.conn, sub.channel.topic.Channel
	w.leave(sub)
	if errors.Is(err, ErrPresenceFull) {
		w.refuseSubscribe(c, name, protocol.PresenceFull(name, c.app.MaxPresenceMembers))
		w.runQueued(sub)
		return
	}
	w.close(c, protocol.OverCapacity(), Backend)
}

// unsubscribe has no answer, but for a mistake.
func (w *worker) unsubscribe(c *Conn, name string) {
	if c.closed {
		return
	}
	sub := c.subs.get(name)
	switch {
	case sub != nil && sub.later(func(w *worker) { w.unsubscribe(c, name) }):
	case sub == nil || sub.stage == pending:
		w.send(c, protocol.ErrorFrame(protocol.NoSubscription(name)))
	default:
		w.leave(sub)
	}
}

func (w *worker) leave(sub *subscription) {
	w.registry.unsubscribe(w, sub)
	sub.conn.subs.remove(sub)
}
