package hub

import "channels/protocol"

// frames are those of a run, once as they are and once for the sockets that read
// compressed ones.
type frames struct {
	plain, deflated           [][]byte
	plainBytes, deflatedBytes int
}

func (f *frames) add(it *item, deflating bool) {
	f.plain = append(f.plain, it.frame)
	f.plainBytes += len(it.frame)
	if !deflating {
		return
	}
	frame := it.frame
	if it.twin != nil {
		frame = it.twin.of(frame)
	}
	f.deflated = append(f.deflated, frame)
	f.deflatedBytes += len(frame)
}

func (f *frames) reset() {
	clear(f.plain)
	clear(f.deflated)
	*f = frames{plain: f.plain[:0], deflated: f.deflated[:0]}
}

// deliverFront handles the message at the front of a queue, and those behind it
// that are for the same subscribers.
func (w *worker) deliverFront(q *queue, of *hold) {
	it := q.front()
	to := it.channel.local[w.index]
	switch {
	case to == nil: // the last subscriber has left
		w.pop(q)
	case to.hold != nil && to.hold != of:
		w.holdBack(to.hold, q)
	case len(w.dirty) > 0 || !to.simple(it):
		w.noteArrival(it)
		w.deliver(to, it)
		if to.resuming > 0 && !it.tells {
			w.touch(to, it.seq)
		}
		w.pop(q)
	default:
		w.deliverRun(q, to)
	}
}

// simple says whether the message goes to all subscribers alike.
func (s *subscribers) simple(it *item) bool {
	return it.exclude == "" && len(s.joining) == 0
}

func (w *worker) noteArrival(it *item) {
	if w.hub.delivered != nil {
		w.arrived = append(w.arrived, it.at)
	}
}

// deliver gathers one event for the subscribers of its channel.
func (w *worker) deliver(to *subscribers, it *item) {
	if len(to.joining) > 0 {
		w.deliverJoining(to, it)
	}
	if it.exclude != "" || (it.twin != nil && to.deflating > 0) {
		w.deliverApart(to, it)
		return
	}
	for _, c := range to.conns {
		w.send(c, it.frame)
	}
}

// deliverApart is deliver where not all subscribers get the same.
func (w *worker) deliverApart(to *subscribers, it *item) {
	deflated := it.frame
	if it.twin != nil && to.deflating > 0 {
		deflated = it.twin.of(it.frame)
	}
	for _, c := range to.conns {
		switch {
		case it.exclude != "" && c.id == it.exclude:
		case c.deflates:
			w.send(c, deflated)
		default:
			w.send(c, it.frame)
		}
	}
}

// longRun is from where on a run is handed over by itself, although there is more
// to be gathered.
const longRun = 16

// deliverRun is deliver for messages of one channel that stand behind each other
// while nothing is gathered. All subscribers get the same list, so that a socket
// is looked at once. With thousands of them, most of a delivery is waiting for
// memory.
func (w *worker) deliverRun(q *queue, to *subscribers) {
	ch := q.front().channel
	run := &w.run
	last := uint64(0)
	for it := q.front(); it != nil && it.channel == ch && to.simple(it) && !w.piece.full(); it = q.front() {
		w.noteArrival(it)
		run.add(it, to.deflating > 0)
		if !it.tells {
			last = it.seq
		}
		w.pop(q)
	}
	if len(run.plain) >= longRun || q.empty() || w.piece.full() {
		w.refund()
		w.handOver(to, ch.usage, run)
	} else {
		w.gather(to, run)
	}
	run.reset()
	if to.resuming > 0 && last > 0 {
		w.touch(to, last)
	}
}

// handOver gives every subscriber the run. It goes backwards, since close moves
// the last one into the place of the one that it removes.
func (w *worker) handOver(to *subscribers, u *usage, run *frames) {
	deflating := to.deflating
	plain := len(to.conns) - deflating
	w.count(u, (plain+deflating)*len(run.plain), plain*run.plainBytes+deflating*run.deflatedBytes)
	if deflating > 0 {
		for i := len(to.conns) - 1; i >= 0; i-- {
			if c := to.conns[i]; c.deflates {
				w.sendTo(c, run.deflated)
			} else {
				w.sendTo(c, run.plain)
			}
		}
		return
	}
	for i := len(to.conns) - 1; i >= 0; i-- {
		w.sendTo(to.conns[i], run.plain)
	}
}

func (w *worker) gather(to *subscribers, run *frames) {
	for _, c := range to.conns {
		list := run.plain
		if c.deflates {
			list = run.deflated
		}
		for _, frame := range list {
			w.send(c, frame)
		}
	}
}

// deliverJoining keeps the message for those without their acknowledgement, and
// promotes those whom it finds past it. They are activated behind the message,
// so it goes to them from here. An announcement promotes nobody, since it says
// nothing about events.
func (w *worker) deliverJoining(to *subscribers, it *item) {
	for i := len(to.joining) - 1; i >= 0; i-- {
		sub := to.joining[i]
		switch {
		case sub.stage == pending:
			w.keepEarly(sub, it)
		case it.tells:
			if it.seq > sub.roster {
				w.sendItem(sub.conn, it)
			}
		case it.seq > sub.from:
			// The last of joining takes this place; the loop has seen it.
			to.activate(sub)
		}
	}
}

// sendItem gathers a message for one subscriber.
func (w *worker) sendItem(c *Conn, it *item) {
	frame := it.frame
	if it.twin != nil && c.deflates {
		frame = it.twin.of(frame)
	}
	w.send(c, frame)
}

// keepEarly keeps a message until the subscription is acknowledged.
func (w *worker) keepEarly(sub *subscription, it *item) {
	c := sub.conn
	if c.id == it.exclude {
		return
	}
	e := early{seq: it.seq, frame: it.frame, tells: it.tells}
	if c.deflates {
		e.twin = it.twin
	}
	p := sub.waiting
	p.early = append(p.early, e)
	p.earlyBytes += len(it.frame)
	w.hub.ledger.charge(c.usage, earlyCost)
	if p.earlyBytes > w.hub.maxHeld && !w.forgetEarly(sub) {
		// Not at once: the caller walks over the list that closing changes.
		w.post(&closing{ofConn{c}, protocol.OverCapacity(), SlowConsumer})
	}
}
