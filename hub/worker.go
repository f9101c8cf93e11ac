package hub

import (
	"runtime"
	"sync/atomic"
	"time"

	"channels/protocol"
)

// worker owns a share of the connections: their subscriptions, and the lists of
// subscribers that events are sent along. Everything about them happens in its
// goroutine, in the order of its mailbox.
//
// It works in pieces: it takes what waits up to a bound, gathers each socket's
// frames, and gives every socket its frames at once. So load makes batches,
// idleness costs no delay, and a backlog neither takes memory in proportion to
// its subscribers nor reaches a socket all at once.
type worker struct {
	index    int
	hub      *Hub
	registry *registry
	mailbox  *mailbox

	// Owned by the worker's goroutine.
	todo     queue           // taken from the mailbox, not worked off yet
	conns    []*Conn         // open ones, in no order
	dirty    []*Conn         // those with frames in out
	spare    [][][]byte      // empty lists of frames, for out
	piece    piece           // what is being worked off
	run      frames          // of deliverRun
	behind   behind          // connections and channels that are held back
	watched  watchedUsers    // whom the worker's connections watch
	resuming resuming        // connections with tokens
	arrived  []time.Duration // of the piece's messages

	open   atomic.Int64 // connections; read from outside
	easing waiters      // transports of connections that are held back
}

// A piece ends with the first of these bounds. The first two bound what one
// socket gets at once, the third what the lists of gathered frames take, which is
// 6 MiB.
const (
	pieceBytes     = 64 << 10
	pieceItems     = 256
	pieceGathering = 1 << 18
)

// piece is how much of a piece has been worked off.
type piece struct {
	items, bytes int
	gathered     int // frames in the connections' lists
	account      *usage
	held         int // bytes to be given back to the account
}

func (p *piece) full() bool {
	return p.items >= pieceItems || p.bytes >= pieceBytes || p.gathered >= pieceGathering
}

// post has a command carried out by the worker.
func (w *worker) post(c command) { w.put(&item{cmd: c, cost: itemBytes + c.cost()}) }

func (w *worker) put(it *item) {
	w.hub.ledger.charge(it.account(), it.cost)
	w.mailbox.put(it, w.hub.now)
}

func (w *worker) loop(stop <-chan struct{}) {
	sweep := time.NewTimer(w.hub.sweepInterval())
	defer sweep.Stop()
	w.behind.timer = time.NewTimer(time.Hour)
	defer w.behind.timer.Stop()
	w.resuming.timer = time.NewTimer(time.Hour)
	defer w.resuming.timer.Stop()
	for {
		if w.todo.empty() && len(w.behind.ready) == 0 {
			select {
			case <-w.mailbox.wake:
			case <-sweep.C:
				w.sweep()
				sweep.Reset(w.hub.sweepInterval())
			case <-w.behind.timer.C:
				w.poll()
			case <-w.resuming.timer.C:
				w.beat()
			case <-stop:
				return
			}
			// Let publishers that are ready run first, so that the piece grows and
			// there are fewer writes.
			runtime.Gosched()
		} else {
			select {
			case <-sweep.C:
				w.sweep()
				sweep.Reset(w.hub.sweepInterval())
			case <-w.behind.timer.C:
				w.poll()
			case <-w.resuming.timer.C:
				w.beat()
			case <-stop:
				return
			default:
			}
		}
		w.resume()
		if w.todo.empty() {
			var since time.Duration
			w.todo, since = w.mailbox.take()
			w.hub.ledger.oldest[w.index].Store(int64(max(since, 1)))
		}
		w.workOff(&w.todo, nil)
		if w.todo.empty() {
			w.hub.ledger.upToDate(w.index)
		}
	}
}

// workOff handles a piece of a queue, and leaves nothing gathered. The queue is
// the mailbox's, or that of a hold.
func (w *worker) workOff(q *queue, of *hold) {
	for it := q.front(); it != nil && !w.piece.full(); it = q.front() {
		if of != nil && of.blockers > 0 {
			break
		}
		if it.cmd == nil {
			w.deliverFront(q, of)
			continue
		}
		cmd := it.cmd
		w.pop(q)
		cmd.do(w)
	}
	w.refund()
	if len(w.resuming.touched) > 0 {
		w.probeTouched()
	}
	w.flush()
	w.report()
	w.piece = piece{}
}

// pop takes the front off a queue, as a part of the piece.
func (w *worker) pop(q *queue) {
	it := q.front()
	if account := it.account(); account != w.piece.account {
		w.refund()
		w.piece.account = account
	}
	w.piece.items++
	w.piece.bytes += len(it.frame)
	w.piece.held += it.cost
	q.pop()
}

// refund gives back what the piece's items have held.
func (w *worker) refund() {
	if p := &w.piece; p.held > 0 {
		w.release(p.account, p.held)
		p.held = 0
	}
}

// release gives back what items have held.
func (w *worker) release(u *usage, n int) {
	l := w.hub.ledger
	l.release(u, n)
	if low(w.mailbox.held.Add(int64(-n)), l.perWorker) || l.admits(u) {
		w.mailbox.room.wake()
	}
}

// report says how long the piece's messages took.
func (w *worker) report() {
	if len(w.arrived) == 0 {
		return
	}
	now := w.hub.now()
	for _, at := range w.arrived {
		w.hub.delivered(now - at)
	}
	w.arrived = w.arrived[:0]
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
	w.piece.gathered++
}

// reply sends a frame to a connection that may have ended.
func (w *worker) reply(c *Conn, frame []byte) {
	if !c.closed {
		w.send(c, frame)
	}
}

// keptFrames is how long a list of frames may have become and be lent again.
const keptFrames = 2 * pieceItems

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
	list := c.out
	c.out = nil
	if !c.closed {
		bytes := 0
		for _, frame := range list {
			bytes += len(frame)
		}
		w.count(c.usage, len(list), bytes)
		w.sendTo(c, list)
	}
	if cap(list) <= keptFrames {
		clear(list)
		w.spare = append(w.spare, list[:0])
	}
}

// sendTo hands frames to an open connection's socket, which may be the end of it.
func (w *worker) sendTo(c *Conn, list [][]byte) {
	if backlog := c.socket.Send(list); backlog != Clear {
		w.fellBehind(c, backlog)
	}
}

// count notes what the app's sockets have been given.
func (w *worker) count(u *usage, messages, bytes int) {
	sent := &u.sent[w.index]
	sent.messages.Add(uint64(messages))
	sent.bytes.Add(uint64(bytes))
}

// attach makes the connection the worker's, and greets it.
func (w *worker) attach(c *Conn) {
	c.at = len(w.conns)
	w.conns = append(w.conns, c)
	w.open.Add(1)
	if f, reason, closed := c.usage.closedTo(); closed { // since the handshake
		w.close(c, f, reason)
		return
	}
	w.send(c, protocol.EstablishedFrame(c.id, int(c.activity()/time.Second)))
}

// close ends a connection from our side: what it has been sent so far goes out,
// then the fault; its subscriptions end now.
func (w *worker) close(c *Conn, f protocol.Fault, reason CloseReason) {
	if c.closed || w.takesLeave(c, f, reason) {
		return
	}
	w.flushConn(c)
	if c.closed { // it turned out to be slow
		return
	}
	w.detach(c)
	c.socket.Close(f, reason)
	w.hub.closes.add(End{f.Code, reason})
}

// depart is the end of a connection from the client's or the network's side.
func (w *worker) depart(c *Conn, e End) {
	if c.closed {
		if c.resume != nil && w.stopLeaving(c) {
			w.hub.closes.add(e)
		}
		return
	}
	w.detach(c)
	w.hub.closes.add(e)
}

// detach forgets a connection that is closing or has ended.
func (w *worker) detach(c *Conn) {
	if c.resume != nil {
		w.keepEnd(c)
	}
	w.leaveAll(c)
	w.open.Add(-1)
	w.hub.released(c)
}

// leaveAll ends all that a connection takes part in.
func (w *worker) leaveAll(c *Conn) {
	c.closed = true
	if c.resume != nil {
		w.stopClaiming(c)
	}
	for _, sub := range c.subs.all() {
		w.drop(sub, true)
	}
	c.subs.clear()
	w.signOut(c)
	w.caughtUp(c)
	last := len(w.conns) - 1
	moved := w.conns[last]
	w.conns[c.at], moved.at = moved, c.at
	w.conns[last] = nil
	w.conns = w.conns[:last]
}

// shed closes the worker's connections until so many are left.
func (w *worker) shed(f protocol.Fault, keep int) {
	for len(w.conns) > keep {
		w.close(w.conns[len(w.conns)-1], f, Draining)
	}
}
