package hub

import (
	"slices"
	"time"

	"channels/protocol"
)

// A client that names a token can go on where its last connection has ended. For that the
// server must know what the client has got: a probe, which the client answers when it has
// dispatched everything before it, confirms the places to which the worker had come on each
// of the client's channels when it sent the probe. Places are kept in the State, as marks.

const (
	// probePause is the least time between two probes of a connection, and notePause that
	// between two times that a worker has marks kept.
	probePause = time.Second
	notePause  = time.Second
	// resumeBeat is how often it is looked at what is due of both.
	resumeBeat = 100 * time.Millisecond
	// lastWord is how long a connection that the server ends may take to confirm.
	lastWord = 2 * time.Second
	// ResumeActivity is the longest activity timeout of a connection with a token: it is
	// found soon that it has broken.
	ResumeActivity = 30 * time.Second
)

// Visitor is what a transport knows of a client beside its app. The zero value stands for
// one that wants nothing special.
type Visitor struct {
	Token string // see protocol.SplitKey; "" = none
	// Answers says that the client answers pusher:ping once it has dispatched what came
	// before. Others are sent pings of the WebSocket, which prove that they received it.
	Answers bool
}

// resumption is what a connection with a token has beside others. It belongs to the worker,
// but for what is static.
type resumption struct {
	token   Token // static
	owner   Owner // static
	answers bool  // static; see Visitor

	stage   claimStage
	waiting []command           // until the token is claimed
	bytes   int                 // that they hold
	heirs   []func(text []byte) // who wants the token meanwhile

	held    map[uint64]uint64 // places of the last connection on channels that are not subscribed to yet
	blind   bool              // there may be more that are not known
	until   uint64            // the highest number that the last connection was sent; 0 = not known
	earlier []socketNumbers   // of the last connections, newest first

	spots  []spot
	paused []*subscription // whose replays wait until the client has read

	probing  bool          // a probe has no answer yet
	probedAt time.Duration // when the last was sent, since the hub's start; 0 = none was
	number   uint32        // of the last probe
	owes     bool          // is in resuming.owing
	changed  bool          // is in resuming.changed
	gone     bool          // another connection has the token, or the last mark was made
	ended    []byte        // what that says, else nil
	leaving  *leaving      // the connection is being ended; else nil
}

// claimStage is how far a connection has come with its token.
type claimStage uint8

const (
	unclaimed claimStage = iota // nothing was asked for yet
	claiming                    // the State was asked
	claimed
)

// spot is a subscription's place.
type spot struct {
	sub       *subscription // nil once it has ended, while the connection is leaving
	channel   uint64        // hash of the name
	confirmed uint64        // everything up to here the client has got
	asked     uint64        // or will have got, once the probe is answered
	sent      uint64        // the last number it was sent, once sub is nil
}

// leaving is a connection whose last probe is awaited.
type leaving struct {
	fault  protocol.Fault
	reason CloseReason
	until  time.Duration // since the hub's start
}

// resuming are a worker's connections with tokens that something is due of.
type resuming struct {
	timer   *time.Timer // runs while something is
	armed   bool
	touched []*subscribers // that have been sent something in this piece
	owing   []*Conn        // that have got something since their last probe
	changed []*Conn        // whose marks are to be kept
	leaving []*Conn
	ends    []Mark        // of connections that have ended
	noting  bool          // marks are on their way
	notedAt time.Duration // when they were sent last
}

func (r *resuming) arm() {
	if !r.armed {
		r.armed = true
		r.timer.Reset(resumeBeat)
	}
}

// newResumption returns what a connection with a token has; nil for one without, or where
// the app does not have it.
func (h *Hub) newResumption(app *App, v Visitor) *resumption {
	if v.Token == "" || app.Resume == 0 {
		return nil
	}
	return &resumption{
		token: newToken(app, v.Token), answers: v.Answers,
		owner: Owner{Node: h.resumes.node, Conn: h.resumes.conns.Add(1)},
	}
}

// activity is the silence after which the client is looked after.
func (c *Conn) activity() time.Duration {
	if c.resume != nil {
		return min(c.app().ActivityTimeout, ResumeActivity)
	}
	return c.app().ActivityTimeout
}

// touch notes that subscribers with tokens have been sent an event.
func (w *worker) touch(to *subscribers, seq uint64) {
	to.last = max(to.last, seq)
	if !to.touched {
		to.touched = true
		w.resuming.touched = append(w.resuming.touched, to)
	}
}

// probeTouched is the end of a piece: those that were sent something after a while get a
// probe in the same write, the others have one coming.
func (w *worker) probeTouched() {
	for i, to := range w.resuming.touched {
		w.resuming.touched[i], to.touched = nil, false
		for _, c := range to.conns {
			w.owe(c)
		}
		for _, sub := range to.joining {
			if sub.stage == settled && sub.conn != nil {
				w.owe(sub.conn)
			}
		}
	}
	w.resuming.touched = w.resuming.touched[:0]
}

// owe has a connection be probed, now or when it may be.
func (w *worker) owe(c *Conn) {
	r := c.resume
	if r == nil || r.owes || r.gone || c.closed {
		return
	}
	if now := w.hub.now(); !r.probing && (r.probedAt == 0 || now-r.probedAt >= probePause) {
		w.askPlace(c)
		return
	}
	r.owes = true
	w.resuming.owing = append(w.resuming.owing, c)
	w.resuming.arm()
}

// askPlace sends a probe, behind what is gathered for the client.
func (w *worker) askPlace(c *Conn) {
	r := c.resume
	r.probing, r.probedAt = true, max(w.hub.now(), 1)
	r.number++
	for i := range r.spots {
		r.spots[i].asked = r.spots[i].reached(w)
	}
	probe := protocol.PingEventFrame()
	if !r.answers {
		probe = protocol.NumberedPingFrame(r.number)
	}
	w.send(c, probe)
}

// isDeaf says that a client which answers pusher:ping has not: its page stands still, though
// its browser answers, or its answer was lost, as a request can be.
func (r *resumption) isDeaf(now time.Duration) bool {
	return r.answers && r.probing && now-r.probedAt >= pongTimeout
}

// reached is the last number that the client has been sent. While the subscription is
// pending, or events are replayed to it, that is what was confirmed.
func (s *spot) reached(w *worker) uint64 {
	switch {
	case s.sub == nil:
		return max(s.sent, s.confirmed)
	case s.sub.stage == pending:
		return s.confirmed
	}
	reached := max(s.sub.from, s.confirmed)
	if local := s.sub.channel.local[w.index]; local != nil {
		reached = max(reached, local.last)
	}
	return reached
}

// confirmed is told that the client has answered a probe, or has sent a pong that nobody
// has asked for, by which it can deceive itself only.
func (w *worker) confirmed(c *Conn) {
	r := c.resume
	if !r.probing {
		return
	}
	r.probing = false
	for i := range r.spots {
		s := &r.spots[i]
		if s.asked > s.confirmed {
			s.confirmed = s.asked
			w.changedPlace(c)
		}
	}
	switch behind := r.isBehind(w); {
	case r.leaving != nil && (!behind || r.gone):
		w.finishLeaving(c)
	case r.leaving != nil:
		w.askPlace(c)
		w.sendLast(c)
	case behind:
		w.owe(c)
	}
}

// isBehind says whether the client was sent what it has not confirmed.
func (r *resumption) isBehind(w *worker) bool {
	return slices.ContainsFunc(r.spots, func(s spot) bool { return s.reached(w) > s.confirmed })
}

// ponged is confirmed for a client that answers pings of the WebSocket.
func (w *worker) ponged(c *Conn, number uint32) {
	if number == c.resume.number {
		w.confirmed(c)
	}
}

// changedPlace has the connection's mark be kept.
func (w *worker) changedPlace(c *Conn) {
	r := c.resume
	if r.changed || r.gone || r.stage != claimed {
		return
	}
	r.changed = true
	w.resuming.changed = append(w.resuming.changed, c)
	w.resuming.arm()
}

// progress is what the connection's mark says. Channels of the last connection to which the
// client has not come back yet stay in it.
func (w *worker) progress(c *Conn) progress {
	r := c.resume
	p := progress{ids: append([]socketNumbers{numbersOf(c.id)}, r.earlier...), until: r.until}
	p.ids = p.ids[:min(len(p.ids), maxIDs)]
	for i := range r.spots {
		s := &r.spots[i]
		p.places = append(p.places, place{s.channel, s.confirmed})
		p.until = max(p.until, s.reached(w))
	}
	for channel, seq := range r.held {
		p.places = append(p.places, place{channel, seq})
	}
	return p
}

// endedProgress is the same for a connection that gets nothing any more.
func (w *worker) endedProgress(c *Conn) []byte {
	p := w.progress(c)
	p.ended = true
	return p.encode()
}

// place begins to note how far the client has come on a channel.
func (w *worker) place(sub *subscription, confirmed uint64) {
	r := sub.conn.resume
	r.spots = append(r.spots, spot{sub: sub, channel: channelHash(sub.channel.topic.Channel), confirmed: confirmed})
	w.changedPlace(sub.conn)
}

// unplace is for a subscription that the client has ended.
func (w *worker) unplace(sub *subscription) {
	r := sub.conn.resume
	if r == nil {
		return
	}
	r.paused = slices.DeleteFunc(r.paused, func(s *subscription) bool { return s == sub })
	before := len(r.spots)
	r.spots = slices.DeleteFunc(r.spots, func(s spot) bool { return s.sub == sub })
	if len(r.spots) < before {
		w.changedPlace(sub.conn)
	}
}

// beat does what is due.
func (w *worker) beat() {
	now := w.hub.now()
	w.resuming.armed = false
	w.probeOwing(now)
	w.note(now)
	for _, c := range slices.Clone(w.resuming.leaving) {
		if now >= c.resume.leaving.until {
			w.finishLeaving(c)
		}
	}
	if q := &w.resuming; len(q.owing)+len(q.changed)+len(q.leaving)+len(q.ends) > 0 {
		q.arm()
	}
	w.flush()
	w.piece = piece{}
}

// probeOwing sends the probes that are due. A connection with an open one has its next when
// that is answered.
func (w *worker) probeOwing(now time.Duration) {
	kept := w.resuming.owing[:0]
	for _, c := range w.resuming.owing {
		r := c.resume
		switch {
		case c.closed || r.gone || r.probing:
			r.owes = false
		case now-r.probedAt >= probePause:
			r.owes = false
			w.askPlace(c)
		default:
			kept = append(kept, c)
		}
	}
	clear(w.resuming.owing[len(kept):])
	w.resuming.owing = kept
}

// note has marks be kept, those of a worker together: of connections that have ended, and
// about once a second of those that have come further.
func (w *worker) note(now time.Duration) {
	q := &w.resuming
	if q.noting {
		return // so that none overtakes another one
	}
	marks := q.ends
	q.ends = nil
	var conns []*Conn
	if q.notedAt == 0 || now-q.notedAt >= notePause {
		conns, q.changed, q.notedAt = q.changed, nil, max(now, 1)
	}
	for _, c := range conns {
		r := c.resume
		r.changed = false
		if c.closed && r.leaving == nil || r.gone {
			continue // what it had come to was kept at its end
		}
		p := w.progress(c)
		p.until = 0
		marks = append(marks, Mark{Token: r.token, Owner: r.owner, Text: p.encode(), Life: c.app().Resume})
	}
	if len(marks) == 0 {
		return
	}
	q.noting = true
	w.hub.state.Note(marks, func(err error) { w.post(&noted{ofHub{w.hub}, conns, err}) })
}

// noted is the State's answer to note.
func (w *worker) noted(conns []*Conn, err error) {
	w.resuming.noting = false
	if err == nil {
		return
	}
	for _, c := range conns {
		if !c.closed {
			w.changedPlace(c)
		}
	}
}

// keepEnd has what a connection had come to be kept, since it has ended.
func (w *worker) keepEnd(c *Conn) {
	r := c.resume
	if r.stage != claimed || r.gone {
		return
	}
	r.gone = true
	text := w.endedProgress(c)
	r.ended = text
	w.hub.resumes.end(c, text, w.hub.now())
	w.resuming.ends = append(w.resuming.ends, Mark{Token: r.token, Owner: r.owner, Text: text, Life: c.app().Resume})
	w.resuming.arm()
}

// takesLeave ends a connection with a token in two steps, so that nothing is repeated to a
// client that answers: its channels end now, and the connection when the client has
// confirmed what it was sent, or lastWord is over.
func (w *worker) takesLeave(c *Conn, f protocol.Fault, reason CloseReason) bool {
	r := c.resume
	if r == nil || r.stage != claimed || r.gone || !takesTime(reason) || c.socket.Backlog() != Clear {
		return false
	}
	if !r.isBehind(w) {
		return false
	}
	if !r.probing {
		w.askPlace(c)
	}
	w.flushConn(c)
	if c.closed { // it turned out to be slow
		return true
	}
	for i := range r.spots {
		s := &r.spots[i]
		s.sent, s.sub = s.reached(w), nil
	}
	r.leaving = &leaving{f, reason, w.hub.now() + lastWord}
	w.resuming.leaving = append(w.resuming.leaving, c)
	w.resuming.arm()
	w.leaveAll(c)
	return true
}

// takesTime says whether a connection that ends for a reason is worth waiting for.
func takesTime(reason CloseReason) bool {
	return reason == Draining || reason == Terminated || reason == Quota || reason == Backend
}

// sendLast flushes what is gathered for a connection that is leaving.
func (w *worker) sendLast(c *Conn) {
	list := c.out
	c.out = nil
	if len(list) > 0 {
		c.socket.Send(list)
	}
}

// finishLeaving is the second step of takesLeave.
func (w *worker) finishLeaving(c *Conn) {
	l := c.resume.leaving
	if !w.stopLeaving(c) {
		return
	}
	c.socket.Close(l.fault, l.reason)
	w.hub.closes.add(End{l.fault.Code, l.reason})
}

// stopLeaving forgets a connection that was leaving. false: it was not.
func (w *worker) stopLeaving(c *Conn) bool {
	i := slices.Index(w.resuming.leaving, c)
	if i < 0 {
		return false
	}
	w.resuming.leaving = slices.Delete(w.resuming.leaving, i, i+1)
	w.keepEnd(c)
	w.hub.released(c)
	w.open.Add(-1)
	return true
}
