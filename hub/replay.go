package hub

import (
	"slices"

	"channels/protocol"
)

// A client that comes back to a channel is acknowledged, then told that it is resumed, then
// given what it has missed, then what is new. Meanwhile its subscription is pending.

// replayBytes is how much of a replay goes to a client before others have their turn.
const replayBytes = 64 << 10

// replay is what a subscription is still to be given.
type replay struct {
	answer Joined
	events []PastEvent
	last   uint64 // the number up to which the client has been given events
	upTo   uint64 // they are wanted up to here
	begun  bool   // the client has been acknowledged
	again  uint64 // messages up to here were not kept, since there were too many; 0 = all were
}

// comesBack begins to replay what a client has missed on a channel. false: it comes anew,
// or has been told that it has missed something.
func (w *worker) comesBack(sub *subscription, answer Joined) bool {
	c := sub.conn
	r := c.resume
	if r == nil {
		return false
	}
	name := sub.channel.topic.Channel
	channel := channelHash(name)
	after, held := r.held[channel]
	delete(r.held, channel)
	switch {
	case !held && !r.blind:
		w.place(sub, answer.Seq)
		return false
	case !held || c.app().History.Of(name) == nil:
		w.acknowledge(sub, answer, false)
		w.place(sub, answer.Seq)
		w.tellMissed(sub, after)
		w.goLive(sub, answer)
		return true
	}
	w.place(sub, after)
	sub.waiting.replay = &replay{answer: answer, last: after, upTo: answer.Seq}
	w.readMissed(sub)
	return true
}

// tellMissed tells a client that it has missed events since a number, or since nobody knows.
func (w *worker) tellMissed(sub *subscription, since uint64) {
	frame := protocol.MissedFrame(sub.channel.topic.Channel, since/1000)
	if sub.decryptsAll() {
		frame = protocol.BareMissedFrame(sub.channel.topic.Channel)
	}
	w.send(sub.conn, frame)
	sub.conn.usage.missed.Add(1)
}

// decryptsAll says that the client may take whatever comes on the channel for encrypted:
// pusher-js does not, others do.
func (sub *subscription) decryptsAll() bool {
	return !sub.conn.resume.answers && sub.channel.kind.IsEncrypted()
}

// skip notes that a client is given nothing any more of what came up to a number.
func (r *resumption) skip(sub *subscription, seq uint64) {
	for i := range r.spots {
		if r.spots[i].sub == sub {
			r.spots[i].confirmed = seq
		}
	}
}

// readMissed asks for the events that a subscription is still to be given.
func (w *worker) readMissed(sub *subscription) {
	p := sub.waiting.replay
	ask := pastAsk{after: p.last, upTo: p.upTo, done: func(events []PastEvent, err error) {
		w.post(&replayed{ofConn{sub.conn}, sub, events, err})
	}}
	w.hub.readPast(sub.channel.topic, sub.conn.app().History.Age, ask)
}

// replayRead is told what a history has.
func (w *worker) replayRead(sub *subscription, events []PastEvent, err error) {
	if sub.stage != pending || sub.waiting.replay == nil {
		return
	}
	p := sub.waiting.replay
	if err != nil {
		answer := p.answer
		answer.Seq = max(answer.Seq, p.again)
		if !p.begun {
			w.acknowledge(sub, answer, false)
		}
		sub.conn.resume.skip(sub, answer.Seq)
		w.tellMissed(sub, p.last)
		w.goLive(sub, answer)
		return
	}
	p.events = notItsOwn(sub.conn, events)
	if !p.begun {
		p.begun = true
		w.acknowledge(sub, p.answer, true)
		w.resumed(sub, p.events)
	}
	w.replayOn(sub)
}

// notItsOwn leaves out what the client's own earlier connections had excluded themselves
// from. Others may share the events that it is given.
func notItsOwn(c *Conn, events []PastEvent) []PastEvent {
	var own []string
	for _, n := range c.resume.earlier {
		own = append(own, n.String())
	}
	kept := make([]PastEvent, 0, len(events))
	for _, e := range events {
		if !slices.Contains(own, e.Exclude) {
			kept = append(kept, e)
		}
	}
	return kept
}

// resumed tells the client what follows.
func (w *worker) resumed(sub *subscription, events []PastEvent) {
	seen := len(events)
	if until := sub.conn.resume.until; until > 0 {
		seen = 0
		for seen < len(events) && events[seen].Seq <= until {
			seen++
		}
	}
	frame := protocol.ResumedFrame(sub.channel.topic.Channel, len(events), seen)
	if sub.decryptsAll() {
		frame = protocol.BareResumedFrame(sub.channel.topic.Channel)
	}
	w.send(sub.conn, frame)
	sub.conn.usage.resumed.Add(1)
	sub.conn.usage.replayed.Add(uint64(len(events)))
}

// replayOn gives the client a part of what it has missed, as far as it reads.
func (w *worker) replayOn(sub *subscription) {
	if sub.stage != pending || sub.waiting.replay == nil {
		return
	}
	c, p := sub.conn, sub.waiting.replay
	for given := 0; len(p.events) > 0; {
		if c.full.Load() {
			c.resume.paused = append(c.resume.paused, sub)
			return
		}
		if given >= replayBytes {
			w.post(&replayOn{ofConn{c}, sub})
			return
		}
		e := p.events[0]
		p.events = p.events[1:]
		p.last = e.Seq
		given += len(e.Frame)
		w.send(c, e.Frame)
	}
	p.last = max(p.last, p.upTo)
	if p.again > p.last {
		p.upTo, p.again = p.again, 0
		w.readMissed(sub)
		return
	}
	answer := p.answer
	answer.Seq = max(answer.Seq, p.last)
	w.goLive(sub, answer)
}

// forgetEarly gives up messages that came before the acknowledgement, where there are too
// many: they are in the channel's history, from which they are read when it is their turn.
// Announcements are not, and stay.
func (w *worker) forgetEarly(sub *subscription) bool {
	p := sub.waiting
	if p.replay == nil {
		return false
	}
	kept := p.early[:0]
	for _, e := range p.early {
		if e.tells {
			kept = append(kept, e)
			continue
		}
		p.replay.again = max(p.replay.again, e.seq)
		p.earlyBytes -= len(e.frame)
		w.hub.ledger.release(sub.conn.usage, earlyCost)
	}
	clear(p.early[len(kept):])
	p.early = kept
	return p.earlyBytes <= w.hub.maxHeld
}
