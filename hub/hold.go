package hub

import (
	"time"

	"channels/protocol"
)

// A channel with a subscriber whose queue is over a bound is held: its messages
// wait here, in their order, while the worker goes on with other channels. They
// still count as held for their app, so its publishers meet their bound before a
// client that reads is closed. A hold ends when no subscriber is over a bound any
// more. It does not last for ever:
const (
	// minorityPatience is how long a few subscribers may hold up the others: what a
	// lost packet or two take TCP to make good.
	minorityPatience = 2 * time.Second
	// majorityPatience is how long many may, who are behind since the channel has
	// more events than they can take.
	majorityPatience = 5 * time.Second
	// fullPatience is how long a client may be over its bound in any case.
	fullPatience = 5 * time.Minute
	// minority is the share of a channel's subscribers below which they are few.
	minority = 16

	// pollEvery is how often those who are behind are looked at.
	pollEvery = 5 * time.Millisecond
	// judgeEvery is how often it is looked at who has used up the patience.
	judgeEvery = 50 * time.Millisecond
	// longestGap is how much of the time between two looks counts as patience. A
	// process that was paused, or had no processor, has looked at nobody meanwhile.
	longestGap = 50 * time.Millisecond
)

// hold is a channel that one worker holds back.
type hold struct {
	channel  *channel
	blockers int           // subscribers that are over a bound
	queue    queue         // messages that wait
	since    time.Duration // when they began to, by behind.clock
	ready    bool          // is in behind.ready
	few      bool          // the blockers are few, as isOverdue found last
	fewSince time.Duration // when it found that first
}

// behind are a worker's connections that are over a bound, and what can go on
// again.
type behind struct {
	conns  []*Conn
	ready  []*hold       // without blockers, with messages
	polled time.Duration // when poll looked last, since the hub's start
	clock  time.Duration // for patience: runs while poll looks
	judged time.Duration // when patience was looked at last, by clock
	timer  *time.Timer   // for poll
}

// advance moves the clock to now, since the hub's start.
func (b *behind) advance(now time.Duration) {
	b.clock += min(now-b.polled, longestGap)
	b.polled = now
}

// fellBehind acts on a socket that is over a bound.
func (w *worker) fellBehind(c *Conn, backlog Backlog) {
	if c.closed {
		return
	}
	if backlog == Stuck {
		w.close(c, protocol.OverCapacity(), SlowConsumer)
		return
	}
	if c.full.Load() {
		return
	}
	c.full.Store(true)
	if len(w.behind.conns) == 0 {
		w.behind.polled = w.hub.now()
		w.behind.timer.Reset(pollEvery)
	}
	c.fullSince = w.behind.clock
	w.behind.conns = append(w.behind.conns, c)
	c.subs.each(func(sub *subscription) {
		if sub.stage != pending {
			w.block(sub.channel)
		}
	})
}

// caughtUp ends what fellBehind began.
func (w *worker) caughtUp(c *Conn) {
	if !c.full.Load() {
		return
	}
	c.full.Store(false)
	w.easing.wake()
	c.subs.each(func(sub *subscription) {
		if sub.stage != pending {
			w.unblock(sub.channel)
		}
	})
	if r := c.resume; r != nil {
		for _, sub := range r.paused {
			w.post(&replayOn{ofConn{c}, sub})
		}
		r.paused = nil
	}
}

// block adds a blocker to a channel.
func (w *worker) block(ch *channel) {
	to := ch.local[w.index]
	if to.hold == nil {
		to.hold = &hold{channel: ch}
	}
	to.hold.blockers++
}

// unblock removes one; after the last the messages go on.
func (w *worker) unblock(ch *channel) {
	to := ch.local[w.index]
	h := to.hold
	h.blockers--
	switch {
	case h.blockers > 0:
	case h.queue.empty():
		to.hold = nil
	case !h.ready:
		h.ready = true
		w.behind.ready = append(w.behind.ready, h)
	}
}

// holdBack moves the front of the mailbox behind the messages that wait.
func (w *worker) holdBack(h *hold, q *queue) {
	if h.queue.empty() {
		h.since, h.few = w.behind.clock, false
	}
	h.queue.push(q.front())
	q.pop()
	w.piece.items++ // so that a piece ends, and the loop comes around
}

// resume delivers a piece of each hold that has no blockers any more.
func (w *worker) resume() {
	if len(w.behind.ready) == 0 {
		return
	}
	ready := w.behind.ready
	w.behind.ready = nil
	for _, h := range ready {
		h.ready = false
		if h.blockers == 0 {
			w.workOff(&h.queue, h)
		}
		w.settleHold(h)
	}
}

// settleHold decides how a hold goes on of which a piece was delivered.
func (w *worker) settleHold(h *hold) {
	to := h.channel.local[w.index]
	switch {
	case to == nil || to.hold != h: // abandoned with its last subscriber
	case h.blockers > 0:
		h.since, h.few = w.behind.clock, false
	case h.queue.empty():
		to.hold = nil
	case !h.ready:
		h.ready = true
		w.behind.ready = append(w.behind.ready, h)
	}
}

// abandon gives up the messages of a hold whose last subscriber has left.
func (w *worker) abandon(h *hold) {
	held := 0
	for it := h.queue.front(); it != nil; it = h.queue.front() {
		held += it.cost
		h.queue.pop()
	}
	if held > 0 {
		w.release(h.channel.usage, held)
	}
}

// poll looks at the connections that are behind.
func (w *worker) poll() {
	w.behind.advance(w.hub.now())
	for _, c := range w.takeBehind() {
		if c.closed {
			continue
		}
		switch c.socket.Backlog() {
		case Clear:
			w.caughtUp(c)
		case Stuck:
			w.close(c, protocol.OverCapacity(), SlowConsumer)
		case Full:
			w.behind.conns = append(w.behind.conns, c)
		}
	}
	if now := w.behind.clock; now-w.behind.judged >= judgeEvery {
		w.behind.judged = now
		w.judge(now)
	}
	w.mailbox.room.wake() // another worker may have made room for the app
	if len(w.behind.conns) > 0 {
		w.behind.timer.Reset(pollEvery)
	}
}

func (w *worker) takeBehind() []*Conn {
	list := w.behind.conns
	w.behind.conns = make([]*Conn, 0, len(list))
	return list
}

// judge closes those who have held up others for longer than anybody may, and
// those who have been over their bound for too long by themselves.
func (w *worker) judge(now time.Duration) {
	for _, c := range w.takeBehind() {
		switch {
		case c.closed:
		case now-c.fullSince >= fullPatience || w.triesPatience(c, now):
			w.close(c, protocol.OverCapacity(), SlowConsumer)
		default:
			w.behind.conns = append(w.behind.conns, c)
		}
	}
}

// triesPatience says whether a channel has waited too long for the connection and
// those like it. The hold's age counts, not the connection's: else one after the
// other could fall behind, and hold a channel up for ever.
func (w *worker) triesPatience(c *Conn, now time.Duration) bool {
	tries := false
	c.subs.each(func(sub *subscription) {
		to := sub.channel.local[w.index]
		if h := to.hold; sub.stage != pending && h != nil && !h.queue.empty() {
			tries = tries || h.isOverdue(now, len(to.conns)+len(to.joining)) ||
				w.hub.busWaits.Load() > 0 && now-h.since >= minorityPatience // for other channels' sake
		}
	})
	return tries
}

// isOverdue says whether a channel with so many subscribers has been held for too
// long. Where many were behind, the last few have their own time.
func (h *hold) isOverdue(now time.Duration, subscribers int) bool {
	few := h.blockers*minority < subscribers
	if few && !h.few {
		h.fewSince = now
	}
	h.few = few
	return few && now-h.fewSince >= minorityPatience || now-h.since >= majorityPatience
}
