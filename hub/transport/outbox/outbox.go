// Package outbox is what one client is to get: a queue with bounds, which writes
// what the client takes and judges how far it is behind.
package outbox

import (
	"sync"
	"time"

	"channels/hub"
)

const (
	// perFrame is what a queued frame costs beside its bytes: its place in the
	// queue.
	perFrame = 24

	// stuckAfter is how long a client over its bound may take nothing.
	stuckAfter = 5 * time.Second

	// ChunkSize is how many bytes of small frames are put together for one write.
	// It is also the most that a TLS record carries.
	ChunkSize = 16 << 10
)

// scratch holds buffers in which frames are put together for one write.
var scratch = sync.Pool{New: func() any {
	b := make([]byte, 0, ChunkSize)
	return &b
}}

// Limits bound what is queued for clients.
type Limits struct {
	PerConn int              // bytes for one client
	Node    *hub.QueueBudget // for all clients of the node
}

// Sink is what an outbox writes to. Its calls do not block.
type Sink interface {
	// Write takes bytes from the front of p and returns how many, and how many
	// bytes it has passed on meanwhile. After it has taken fewer than all of them,
	// the client has to read before it takes more.
	Write(p []byte) (taken, sent int, err error)
	// Pending returns how many bytes it has taken and not passed on.
	Pending() int
}

// Outbox is what one client is to get, in order.
//
//	State    What waits                                    A frame that is sent
//	fresh    the greeting                                  goes out behind it, in the same write
//	clear    nothing                                       is written; the rest waits
//	waiting  the rest of a frame, and whole frames         waits
//	closing  the rest of a frame, and the last frames      is dropped
//	broken   nothing                                       is dropped
//
// An outbox leaves fresh with the first frame, and goes to and fro between clear
// and waiting. Close leads to closing, Release leads to broken, both from
// anywhere. No frame is refused: Backlog says when the caller should stop.
//
// Its owner guards it with a lock.
type Outbox struct {
	limits   *Limits
	queue    *queue // nil when nothing waits
	state    state
	flushing bool // a flusher runs; there is one at most
}

type state uint8

const (
	accepting state = iota // fresh, clear or waiting
	closing
	broken
)

// queue is what waits. It exists only while something does, so that an idle
// client costs a pointer.
type queue struct {
	begun  []byte    // the rest of a frame of which the client has a part, or the greeting
	frames [][]byte  // whole, behind it
	pong   []byte    // the newest pong, while others are left out
	held   int       // bytes in the sink
	cost   int       // of begun, frames and held, in bytes
	since  time.Time // when the client took the last byte, or something began to wait

	fresh bool // no attempt to write has been made
}

// New returns an outbox that is clear.
func New(l *Limits) Outbox { return Outbox{limits: l} }

// Empty says that nothing waits.
func (o *Outbox) Empty() bool { return o.queue == nil }

// Closing says that nothing but the last frames goes out.
func (o *Outbox) Closing() bool { return o.state == closing }

// Greet puts the greeting into a new outbox. It goes out with the first frame.
func (o *Outbox) Greet(greeting []byte) {
	o.queue = &queue{begun: greeting, fresh: true, since: time.Now()}
	o.charge(len(greeting) + perFrame)
}

// Send writes or queues frames.
func (o *Outbox) Send(frames [][]byte, to Sink) error {
	if o.state != accepting {
		return nil
	}
	return o.put(frames, to)
}

// SendPongs writes or queues pongs in one piece, the newest of which starts at
// newest. While more than a little waits only the newest of all does, which RFC
// 6455 allows, so that pings do not fill the queue.
func (o *Outbox) SendPongs(pongs []byte, newest int, to Sink) error {
	if o.state != accepting {
		return nil
	}
	if o.holdsPongs() {
		o.queue.pong = append(o.queue.pong[:0], pongs[newest:]...)
		return nil
	}
	return o.put([][]byte{pongs}, to)
}

// pongsBound is how many bytes may wait before pongs are left out.
const pongsBound = 4 << 10

func (o *Outbox) holdsPongs() bool {
	return o.overBound() || o.queue != nil && !o.queue.fresh && o.queue.cost > pongsBound
}

// Close drops what waits, but for a frame that has begun, and makes last the end
// of what goes out.
func (o *Outbox) Close(last [][]byte, to Sink) error {
	if o.state != accepting {
		return nil
	}
	o.state = closing
	if q := o.queue; q != nil {
		for _, frame := range q.frames {
			o.charge(-len(frame) - perFrame)
		}
		q.frames, q.pong = nil, nil
	}
	return o.put(last, to)
}

// Release drops everything, since nothing can be written any more.
func (o *Outbox) Release() {
	o.state = broken
	if o.queue != nil {
		o.charge(-o.queue.cost)
		o.queue = nil
	}
}

// PutHeld attempts to write what the sink holds of its own accord.
func (o *Outbox) PutHeld(to Sink) error {
	if o.state == broken {
		return nil
	}
	if o.queue == nil {
		o.queue = &queue{since: time.Now()}
		o.hold(to.Pending())
	}
	return o.Advance(to)
}

// put writes frames when nothing waits, and queues what is left of them.
func (o *Outbox) put(frames [][]byte, to Sink) error {
	if o.queue == nil {
		rest, begun, err := writeNow(frames, to)
		held := to.Pending()
		if err != nil || len(rest) == 0 && len(begun) == 0 && held == 0 {
			return err
		}
		o.queue = &queue{begun: begun, since: time.Now()}
		if len(begun) > 0 {
			o.charge(len(begun) + perFrame)
		}
		o.hold(held)
		o.append(rest)
		return nil
	}
	o.append(frames)
	if o.queue.fresh {
		o.queue.fresh = false
		return o.Advance(to)
	}
	return nil
}

func (o *Outbox) append(frames [][]byte) {
	q := o.queue
	cost := 0
	for _, frame := range frames {
		cost += len(frame) + perFrame
	}
	q.frames = append(q.frames, frames...)
	o.charge(cost)
}

// charge counts what the queue costs more than before, or less.
func (o *Outbox) charge(cost int) {
	o.queue.cost += cost
	o.limits.Node.Add(cost)
}

// hold counts what the sink has taken and not passed on.
func (o *Outbox) hold(held int) {
	if change := held - o.queue.held; change != 0 {
		o.charge(change)
		o.queue.held = held
	}
}

// writeNow makes one attempt to write frames. It returns what is left: whole
// frames, and the rest of the one before them.
func writeNow(frames [][]byte, to Sink) (rest [][]byte, begun []byte, err error) {
	var space []byte
	if len(frames) > 1 {
		buf := scratch.Get().(*[]byte)
		defer scratch.Put(buf)
		space = (*buf)[:0]
	}
	for len(frames) > 0 {
		chunk := gather(space, nil, frames)
		taken, _, err := to.Write(chunk)
		if err != nil {
			return nil, nil, err
		}
		frames, begun = skip(frames, taken)
		if taken < len(chunk) || to.Pending() > 0 {
			return frames, begun, nil
		}
	}
	return nil, nil, nil
}

// gather returns as much of begun and the frames as fits into space, in one piece.
// What is alone, or large, is not copied.
func gather(space, begun []byte, frames [][]byte) []byte {
	switch {
	case len(begun) > 0 && (len(frames) == 0 || len(begun) >= cap(space)):
		return begun
	case len(begun) > 0:
	case len(frames) == 0:
		return nil
	case len(frames) == 1 || len(frames[0]) > cap(space):
		return frames[0]
	}
	space = append(space, begun...)
	for _, frame := range frames {
		if len(space)+len(frame) > cap(space) {
			break
		}
		space = append(space, frame...)
	}
	return space
}

// skip removes n bytes from the front of the frames, and returns the rest of the
// frame in which that ends.
func skip(frames [][]byte, n int) (rest [][]byte, begun []byte) {
	for len(frames) > 0 && n >= len(frames[0]) {
		n -= len(frames[0])
		frames = frames[1:]
	}
	if n == 0 {
		return frames, nil
	}
	return frames[1:], frames[0][n:]
}

// Advance writes what waits, as far as the client takes it.
func (o *Outbox) Advance(to Sink) error {
	if o.queue == nil {
		return nil
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	for {
		q := o.queue
		if q.pong != nil && (!o.holdsPongs() || len(q.begun)+len(q.frames) == 0) {
			pong := q.pong
			q.pong = nil
			o.append([][]byte{pong})
		}
		chunk := gather((*buf)[:0], q.begun, q.frames)
		if len(chunk) == 0 && to.Pending() == 0 {
			o.hold(0)
			o.queue = nil
			return nil
		}
		taken, sent, err := to.Write(chunk)
		if err != nil {
			return err
		}
		if sent > 0 {
			q.since = time.Now()
		}
		o.take(taken)
		o.hold(to.Pending())
		if taken < len(chunk) || to.Pending() > 0 {
			return nil
		}
	}
}

// take removes n bytes from the front of the queue.
func (o *Outbox) take(n int) {
	q := o.queue
	freed := n
	if len(q.begun) > 0 {
		m := min(n, len(q.begun))
		q.begun = q.begun[m:]
		if n -= m; len(q.begun) > 0 {
			o.charge(-freed)
			return
		}
		freed += perFrame
	}
	had := len(q.frames)
	rest, begun := skip(q.frames, n)
	whole := had - len(rest)
	clear(q.frames[:whole])
	if q.frames, q.begun = rest, begun; begun != nil {
		whole--
	}
	o.charge(-freed - whole*perFrame)
}

// overBound says whether more waits than should. The frame that is being written
// does not count, however large it is.
func (o *Outbox) overBound() bool {
	q := o.queue
	if q == nil || q.fresh {
		return false
	}
	front := len(q.begun)
	if front == 0 && len(q.frames) > 0 {
		front = len(q.frames[0])
	}
	behind := q.cost - front - perFrame - q.held
	return behind > o.limits.PerConn || o.limits.Node.Over()
}

// Backlog judges how far the client is behind.
func (o *Outbox) Backlog(now time.Time) hub.Backlog {
	switch {
	case !o.overBound():
		return hub.Clear
	case now.Sub(o.queue.since) < stuckAfter:
		return hub.Full
	}
	return hub.Stuck
}

// Stalled returns how long something has been waiting while the client took
// nothing; 0 = nothing waits.
func (o *Outbox) Stalled(now time.Time) time.Duration {
	if o.queue == nil || o.queue.fresh {
		return 0
	}
	return now.Sub(o.queue.since)
}

// StartFlusher says whether something waits and nobody flushes it. The caller then
// starts a flusher, which calls EndFlusher before it ends.
func (o *Outbox) StartFlusher() bool {
	if o.flushing || o.queue == nil || o.queue.fresh {
		return false
	}
	o.flushing = true
	return true
}

// EndFlusher says whether the flusher may end, since nothing waits.
func (o *Outbox) EndFlusher() bool {
	o.flushing = o.queue != nil
	return !o.flushing
}

// Progressed notes that the client has taken bytes that the sink had held.
func (o *Outbox) Progressed() {
	if o.queue != nil {
		o.queue.since = time.Now()
	}
}
