package hub

import (
	"errors"

	"channels/protocol"
)

// receiveSubscribe checks a subscribe on the transport's goroutine: the name,
// the signature, who joins.
func (c *Conn) receiveSubscribe(cmd protocol.Command) {
	name := string(cmd.Channel)
	member, err := c.maySubscribe(name, cmd)
	if err != nil {
		c.worker.post(&refusal{ofConn{c}, name, asFault(err)})
		return
	}
	if protocol.KindOf(name).AllowsClientEvents() {
		c.asked.add(c.hub.hash(cmd.Channel), c.app().MaxChannelsPerConnection)
	}
	c.worker.post(&subscribe{ofConn{c}, name, member})
}

// receiveUnsubscribe leaves the rest to the worker.
func (c *Conn) receiveUnsubscribe(cmd protocol.Command) {
	c.asked.remove(c.hub.hash(cmd.Channel))
	c.worker.post(&unsubscribe{ofConn{c}, string(cmd.Channel)})
}

// maySubscribe says whether the client may subscribe, and as whom.
func (c *Conn) maySubscribe(name string, cmd protocol.Command) (*protocol.Member, error) {
	if !protocol.ValidChannel(name) {
		return nil, protocol.InvalidChannelName(name)
	}
	kind := protocol.KindOf(name)
	if id, ok := protocol.ServerToUserID(name); ok && (c.identity == nil || c.identity.id != id) {
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
	app := c.app()
	err := app.CheckSecrets(func(secret string) error {
		return protocol.CheckChannelAuth(app.Key, secret, string(cmd.Auth), c.id, name, channelData)
	})
	if err != nil || !kind.IsPresence() {
		return nil, err
	}
	if len(cmd.ChannelData) == 0 {
		return c.memberFromUser(name)
	}
	return c.memberFromData(name, cmd.ChannelData)
}

// memberFromUser makes the signed-in user the member.
func (c *Conn) memberFromUser(name string) (*protocol.Member, error) {
	if c.identity.tooLarge {
		return nil, protocol.ChannelDataTooLarge(name, c.app().MaxPresenceMemberBytes)
	}
	return &protocol.Member{ID: c.identity.id, Info: c.identity.info}, nil
}

func (c *Conn) memberFromData(name string, channelData []byte) (*protocol.Member, error) {
	if len(channelData) > c.app().MaxPresenceMemberBytes {
		return nil, protocol.ChannelDataTooLarge(name, c.app().MaxPresenceMemberBytes)
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
	if c.closed {
		return
	}
	w.refuse(c, AskedSubscribe, f)
	w.send(c, protocol.SubscriptionErrorFrame(name, f))
}

// subscribe is the first half of the walk: attached, the subscription keeps what
// arrives until the State has said from where on it counts.
func (w *worker) subscribe(cmd *subscribe) {
	c, name := cmd.conn, cmd.name
	if c.closed || w.claimFirst(c, cmd) {
		return
	}
	if sub := c.subs.get(name); sub != nil {
		if !w.later(sub, cmd) {
			w.refuse(c, AskedSubscribe, protocol.ExistingSubscription(name))
		}
		return
	}
	if limit := c.app().MaxChannelsPerConnection; limit > 0 && c.subs.len() >= limit {
		w.refuseSubscribe(c, name, protocol.TooManySubscriptions(limit))
		return
	}
	sub := &subscription{conn: c, member: cmd.member}
	w.registry.subscribe(w, sub, Topic{App: c.app().ID, Channel: name}, c.usage)
	c.subs.add(sub)
}

// joined is the State's answer to any kind of subscription, or the bus's failure.
func (w *worker) joined(sub *subscription, answer Joined, err error) {
	switch {
	case sub.stage != pending:
	case sub.watched != nil:
		w.watchedKnown(sub, answer, err)
	case sub.channel.status:
		w.signedIn(sub, err)
	case err != nil:
		w.joinFailed(sub, err)
	case w.comesBack(sub, answer):
	default:
		w.acknowledge(sub, answer, false)
		w.goLive(sub, answer)
	}
}

// goLive is the second half, behind the acknowledgement, which nothing overtakes: what
// came early and is newer.
func (w *worker) goLive(sub *subscription, answer Joined) {
	c := sub.conn
	sub.from, sub.roster = answer.Seq, answer.Roster
	for _, e := range sub.waiting.early {
		if e.tells && e.seq <= sub.roster || !e.tells && e.seq <= sub.from {
			continue
		}
		frame := e.frame
		if e.twin != nil {
			frame = e.twin.of(frame)
		}
		w.send(c, frame)
		if !e.tells {
			sub.from = e.seq
		}
	}
	sub.stage = settled
	commands := w.stopWaiting(sub)
	if c.full.Load() {
		w.block(sub.channel)
	}
	if sub.channel.kind.NeedsAuth() {
		w.authorize(c)
	}
	w.carryOut(commands)
}

// acknowledge confirms a subscription. A cache channel's event, or that there is none, goes
// with it, unless what the client has missed follows.
func (w *worker) acknowledge(sub *subscription, answer Joined, resumed bool) {
	ch := sub.channel
	name := ch.topic.Channel
	var roster []byte
	if ch.kind.IsPresence() {
		roster = protocol.AppendRoster(nil, answer.Members)
	}
	w.send(sub.conn, protocol.SucceededFrame(name, roster))
	if resumed || !ch.kind.IsCache() {
		return
	}
	if answer.Cached != nil {
		w.send(sub.conn, ch.cachedFor(sub.conn, answer.Cached))
	} else {
		w.send(sub.conn, protocol.CacheMissFrame(name))
	}
}

// maxWaiting is how many commands for a channel may wait for its subscription.
const maxWaiting = 64

// later has a command carried out once the subscription is no longer pending, so
// that a client which does not wait for answers has its commands carried out in
// order. False: nothing to wait for, or too much waits already.
func (w *worker) later(sub *subscription, cmd command) bool {
	if sub.stage != pending {
		return false
	}
	p, c, cost := sub.waiting, sub.conn, cmd.cost()
	if len(p.commands) >= maxWaiting || c.waiting+cost > w.hub.maxHeld {
		return false
	}
	p.commands = append(p.commands, cmd)
	p.bytes += cost
	c.waiting += cost
	w.hub.ledger.charge(c.usage, cost)
	return true
}

// stopWaiting forgets what has waited for a subscription, and returns its
// commands.
func (w *worker) stopWaiting(sub *subscription) []command {
	p := sub.waiting
	if p == nil {
		return nil
	}
	sub.waiting = nil
	if sub.conn != nil {
		sub.conn.waiting -= p.bytes
		w.hub.ledger.release(sub.conn.usage, p.bytes+len(p.early)*earlyCost)
	}
	return p.commands
}

func (w *worker) carryOut(commands []command) {
	for _, cmd := range commands {
		cmd.do(w)
	}
}

// joinFailed ends a subscription that came to nothing. pusher-js never retries
// a refused subscribe, so where the fault is ours the client is made to
// reconnect.
func (w *worker) joinFailed(sub *subscription, err error) {
	c, name := sub.conn, sub.channel.topic.Channel
	if !errors.Is(err, ErrPresenceFull) {
		w.close(c, protocol.OverCapacity(), Backend)
		return
	}
	commands := w.stopWaiting(sub)
	w.leave(sub)
	w.refuseSubscribe(c, name, protocol.PresenceFull(name, c.app().MaxPresenceMembers))
	w.carryOut(commands)
}

// unsubscribe has no answer, but for a mistake.
func (w *worker) unsubscribe(cmd *unsubscribe) {
	c := cmd.conn
	if c.closed || w.claimFirst(c, cmd) {
		return
	}
	sub := c.subs.get(cmd.name)
	switch {
	case sub != nil && w.later(sub, cmd):
	case sub == nil || sub.stage == pending:
		w.refuse(c, AskedOther, protocol.NoSubscription(cmd.name))
	default:
		w.leave(sub)
	}
}

// leave ends a subscription of a connection that goes on.
func (w *worker) leave(sub *subscription) {
	w.unplace(sub)
	w.drop(sub, false)
	sub.conn.subs.remove(sub)
}

// drop ends a subscription to a channel, because its connection has ended, or not.
func (w *worker) drop(sub *subscription, broken bool) {
	ch := sub.channel
	held := ch.local[w.index].hold
	if sub.conn.full.Load() && sub.stage != pending {
		w.unblock(ch)
	}
	w.stopWaiting(sub)
	w.registry.unsubscribe(w, sub, broken)
	if ch.local[w.index] == nil && held != nil {
		w.abandon(held)
	}
}
