package hub

import (
	"runtime"
	"sync/atomic"
	"time"

	"channels/protocol"
)

// worker owns a share of the connections: their subscriptions, and the lists of
// subscribers that events are sent along. Everything about them happens in its
// goroutine, in the order of its mailbox. It works off what the mailbox holds,
// gathers each socket's frames, and gives every socket its frames at once: load
// makes batches, idleness costs no delay.
type worker struct {
	index    int
	hub      *Hub
	registry *registry
	mailbox  *mailbox

	// Owned by the worker's goroutine.
	conns []*Conn    // open ones, in no order
	dirty []*Conn    // those with frames in out
	spare [][][]byte // empty lists of frames, for out
	news  []*Conn    // those with news of their watchlists to be told
	alone [1][]byte  // of deliverAlone

	open atomic.Int64 // connections; read from outside
}

// put has f done by the worker.
func (w *worker) put(f func(*worker)) { w.mailbox.put(item{do: f}) }

func (w *worker) run(stop <-chan struct{}, sweepEvery time.Duration) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	var batch []item
	for {
		select {
		case <-w.mailbox.wake:
		case now := <-sweep.C:
			w.sweep(now)
		case <-stop:
			return
		}
		// Whoever is about to put something in does so first: under load, batches
		// grow by what the processor has ready, and there are fewer writes.
		runtime.Gosched()
		batch = w.mailbox.take(batch)
		w.work(batch)
		w.observe(batch)
		batch = recycle(batch)
	}
}

// work handles a batch, and leaves nothing gathered.
func (w *worker) work(batch []item) {
	if len(batch) == 1 && batch[0].do == nil {
		w.deliverAlone(&batch[0])
		return
	}
	for i := range batch {
		w.handle(&batch[i])
	}
	w.flush()
}

// observe reports how long the batch's messages took.
func (w *worker) observe(batch []item) {
	if w.hub.delivered == nil {
		return
	}
	now := time.Now()
	for i := range batch {
		if batch[i].do == nil {
			w.hub.delivered(now.Sub(batch[i].at))
		}
	}
}

// keptItems is how long a batch may have been for its slice to be kept.
const keptItems = 4096

// recycle forgets what a batch pointed to and returns its slice for the next,
// unless a burst has made it large.
func recycle(batch []item) []item {
	if cap(batch) > keptItems {
		return nil
	}
	clear(batch)
	return batch[:0]
}

func (w *worker) handle(it *item) {
	if it.do != nil {
		it.do(w)
		return
	}
	w.deliver(it)
}

// deliver is the loop that everything else exists for: one event to the
// subscribers of its channel.
func (w *worker) deliver(it *item) {
	to := &it.channel.local[w.index]
	if len(to.joining) > 0 {
		w.deliverJoining(to, it)
	}
	if it.exclude != "" {
		w.deliverExcept(to.conns, it)
		return
	}
	for _, c := range to.conns {
		w.send(c, it.frame)
	}
}

// deliverAlone is deliver for a batch of one: there is nothing to gather, and a
// socket is looked at once. With thousands of them, most of that is waiting for
// memory.
func (w *worker) deliverAlone(it *item) {
	to := &it.channel.local[w.index]
	if len(to.joining) > 0 || it.exclude != "" {
		w.deliver(it)
		w.flush()
		return
	}
	w.alone[0] = it.frame
	for i := len(to.conns) - 1; i >= 0; i-- { // close moves the last one here
		w.sendTo(to.conns[i], w.alone[:])
	}
	w.alone[0] = nil
}

func (w *worker) deliverExcept(conns []*Conn, it *item) {
	for _, c := range conns {
		if c.id != it.exclude {
			w.send(c, it.frame)
		}
	}
}

// deliverJoining holds the message for those without their acknowledgement, and
// promotes those whom it finds past it. They are activated behind the message,
// so it goes to them from here.
func (w *worker) deliverJoining(to *subscribers, it *item) {
	for i := len(to.joining) - 1; i >= 0; i-- {
		sub := to.joining[i]
		switch {
		case sub.stage == pending:
			w.hold(sub, it)
		case it.seq > sub.from:
			// The last of joining takes this place; the loop has seen it.
			to.activate(sub)
		}
	}
}

// hold keeps a message until the subscription is acknowledged.
func (w *worker) hold(sub *subscription, it *item) {
	if sub.conn.id == it.exclude {
		return
	}
	sub.held = append(sub.held, held{it.seq, it.frame})
	sub.heldBytes += len(it.frame)
	if sub.heldBytes > w.hub.maxHeld {
		// Not at once: the caller walks over the list that closing changes.
		w.put(func(w *worker) { w.close(sub.conn, protocol.OverCapacity(), SlowConsumer) })
	}
}

// send gathers a frame for a socket; flush hands it over. The list for it is
// lent: a connection has one only while there is something in it.
func (w *worker) send(c *Conn, frame []byte) {
	if len(c.out) == 0 {
		w.dirty = append(w.dirty, c)
		if last := len(w.spare) - 1; last >= 0 && c.out == nil {
			c.out, w.spare[last] = w.spare[last], nil
			w.spare = w.spare[:last]
		}
	}
	c.out = append(c.out, frame)
}

// keptFrames is how long a list of frames may have become and be lent again.
const keptFrames = 1024

func (w *worker) flush() {
	for i, c := range w.dirty {
		w.dirty[i] = nil
		w.flushConn(c)
	}
	w.dirty = w.dirty[:0]
}

func (w *worker) flushConn(c *Conn) {
	if len(c.out) == 0 {
		return
	}
	frames := c.out
	c.out = nil
	if !c.closed {
		w.sendTo(c, frames)
	}
	if cap(frames) <= keptFrames {
		clear(frames)
		w.spare = append(w.spare, frames[:0])
	}
}

// sendTo hands frames to an open connection's socket, which may be the end of it.
func (w *worker) sendTo(c *Conn, frames [][]byte) {
	if c.socket.Send(frames) == Stuck {
		w.close(c, protocol.OverCapacity(), SlowConsumer)
		return
	}
	bytes := 0
	for _, frame := range frames {
		bytes += len(frame)
	}
	sent := &c.usage.sent[w.index]
	sent.messages.Add(uint64(len(frames)))
	sent.bytes.Add(uint64(bytes))
}

// attach makes the connection the worker's, and greets it.
func (w *worker) attach(c *Conn) {
	c.at = len(w.conns)
	c.since = time.Now()
	w.conns = append(w.conns, c)
	w.open.Add(1)
	w.send(c, protocol.EstablishedFrame(c.id, int(c.app.ActivityTimeout/time.Second)))
}

// close ends a connection from our side: what it has been sent so far goes out,
// then the fault; its subscriptions end now.
func (w *worker) close(c *Conn, f protocol.Fault, reason CloseReason) {
	if c.closed {
		return
	}
	w.flushConn(c)
	if c.closed { // it turned out to be slow
		return
	}
	w.detach(c)
	c.socket.Close(f)
	w.hub.closes.add(End{f.Code, reason})
}

// gone is the end of a connection from the client's or the network's side.
func (w *worker) gone(c *Conn, e End) {
	if c.closed {
		return
	}
	w.detach(c)
	w.hub.closes.add(e)
}

// detach forgets a connection that is closing or gone.
func (w *worker) detach(c *Conn) {
	if c.closed {
		return
	}
	c.closed = true
	for _, sub := range c.subs.all() {
		w.registry.unsubscribe(w, sub)
	}
	c.subs.clear()
	w.signOut(c)
	last := len(w.conns) - 1
	moved := w.conns[last]
	w.conns[c.at], moved.at = moved, c.at
	w.conns[last] = nil
	w.conns = w.conns[:last]
	w.open.Add(-1)
	w.hub.released(c)
}

// Liveness. A connection that has been silent for its activity timeout and a
// little more gets a WebSocket ping; one that has then been silent for
// pongTimeout is closed. One sweep over all connections takes the place of a
// timer for each.
const (
	pongTimeout = 30 * time.Second
	// pingMargin leaves clients that probe by themselves the first word.
	pingMargin = 10 // per cent of the activity timeout
)

func (w *worker) sweep(now time.Time) {
	for i := len(w.conns) - 1; i >= 0; i-- { // close moves the last one here
		w.probe(w.conns[i], now)
	}
	w.flush()
	w.spare = nil // a burst may have needed many
}

func (w *worker) probe(c *Conn, now time.Time) {
	if c.app.AuthorizedConnections && !c.authorized && now.Sub(c.since) >= c.app.AuthorizedTimeout {
		w.close(c, protocol.ConnectionUnauthorized(), Unauthorized)
		return
	}
	silent := now.Sub(c.lastSeen())
	quiet := c.app.ActivityTimeout + c.app.ActivityTimeout*pingMargin/100
	switch {
	case silent < quiet:
		c.probed = time.Time{}
	case c.probed.IsZero():
		c.probed = now
		w.send(c, protocol.PingFrame())
	case now.Sub(c.probed) >= pongTimeout:
		w.close(c, protocol.PongMissing(), Silent)
	}
}
