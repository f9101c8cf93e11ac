package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"channels/hub"
)

const (
	// perFrame is what a queued frame costs beside its bytes: its place in the
	// queue.
	perFrame = 24

	// stuckAfter is how long a client over its bound may take nothing.
	stuckAfter = time.Second

	// chunkSize is how many bytes of small frames are put together for one write.
	// It is also the most that a TLS record carries.
	chunkSize = 16 << 10
)

// scratch holds buffers in which frames are put together for one write.
var scratch = sync.Pool{New: func() any {
	b := make([]byte, 0, chunkSize)
	return &b
}}

// limits bound what is queued for clients.
type limits struct {
	perConn int          // bytes for one client
	node    int64        // bytes for all of them together
	used    atomic.Int64 // of node
}

// sink is what an outbox writes to. Its calls do not block.
type sink interface {
	// write takes bytes from the front of p and returns how many, and how many
	// bytes it has passed on meanwhile. After it has taken fewer than all of them,
	// the client has to read before it takes more.
	write(p []byte) (taken, sent int, err error)
	// pending returns how many bytes it has taken and not passed on.
	pending() int
}

// outbox is what one client is to get, in order.
//
//	State    What waits                                    A frame that is sent
//	fresh    the greeting                                  goes out behind it, in the same write
//	clear    nothing                                       is written; the rest waits
//	waiting  the rest of a frame, and whole frames         waits
//	closing  the rest of a frame, and the last frames      is dropped
//	broken   nothing                                       is dropped
//
// An outbox leaves fresh with the first frame, and goes to and fro between clear
// and waiting. close leads to closing, release leads to broken, both from
// anywhere. No frame is refused: backlog says when the caller should stop.
//
// The lock of the session's line guards it.
type outbox struct {
	limits   *limits
	queue    *queue // nil when nothing waits
	state    outboxState
	flushing bool // a flusher runs; there is one at most
}

type outboxState uint8

const (
	accepting outboxState = iota // fresh, clear or waiting
	closing
	broken
)

// queue is what waits. It exists only while something does, so that an idle
// client costs a pointer.
type queue struct {
	begun  []byte    // the rest of a frame of which the client has a part, or the greeting
	frames [][]byte  // whole, behind it
	pong   []byte    // the newest pong, while the queue is over its bound
	held   int       // bytes in the sink
	cost   int       // of begun, frames and held, in bytes
	since  time.Time // when the client took the last byte, or something began to wait

	fresh bool // no attempt to write has been made
}

// greet puts the greeting into a new outbox. It goes out with the first frame.
func (o *outbox) greet(greeting []byte) {
	o.queue = &queue{begun: greeting, fresh: true, since: time.Now()}
	o.charge(len(greeting) + perFrame)
}

// send writes or queues frames.
func (o *outbox) send(frames [][]byte, to sink) error {
	if o.state != accepting {
		return nil
	}
	return o.put(frames, to)
}

// sendPongs writes or queues pongs in one piece, the newest of which starts at
// newest. While the queue is over its bound only the newest of all waits, so that
// pings do not fill it.
func (o *outbox) sendPongs(pongs []byte, newest int, to sink) error {
	if o.state != accepting {
		return nil
	}
	if o.overBound() {
		o.queue.pong = append(o.queue.pong[:0], pongs[newest:]...)
		return nil
	}
	return o.put([][]byte{pongs}, to)
}

// close drops what waits, but for a frame that has begun, and makes last the end
// of what goes out.
func (o *outbox) close(last [][]byte, to sink) error {
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

// release drops everything, since nothing can be written any more.
func (o *outbox) release() {
	o.state = broken
	if o.queue != nil {
		o.charge(-o.queue.cost)
		o.queue = nil
	}
}

// putHeld attempts to write what the sink holds of its own accord.
func (o *outbox) putHeld(to sink) error {
	if o.state == broken {
		return nil
	}
	if o.queue == nil {
		o.queue = &queue{since: time.Now()}
		o.hold(to.pending())
	}
	return o.advance(to)
}

// put writes frames when nothing waits, and queues what is left of them.
func (o *outbox) put(frames [][]byte, to sink) error {
	if o.queue == nil {
		rest, begun, err := writeNow(frames, to)
		held := to.pending()
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
		return o.advance(to)
	}
	return nil
}

func (o *outbox) append(frames [][]byte) {
	q := o.queue
	cost := 0
	for _, frame := range frames {
		cost += len(frame) + perFrame
	}
	q.frames = append(q.frames, frames...)
	o.charge(cost)
}

// charge counts what the queue costs more than before, or less.
func (o *outbox) charge(cost int) {
	o.queue.cost += cost
	o.limits.used.Add(int64(cost))
}

// hold counts what the sink has taken and not passed on.
func (o *outbox) hold(held int) {
	if change := held - o.queue.held; change != 0 {
		o.charge(change)
		o.queue.held = held
	}
}

// writeNow makes one attempt to write frames. It returns what is left: whole
// frames, and the rest of the one before them.
func writeNow(frames [][]byte, to sink) (rest [][]byte, begun []byte, err error) {
	var space []byte
	if len(frames) > 1 {
		buf := scratch.Get().(*[]byte)
		defer scratch.Put(buf)
		space = (*buf)[:0]
	}
	for len(frames) > 0 {
		chunk := gather(space, nil, frames)
		taken, _, err := to.write(chunk)
		if err != nil {
			return nil, nil, err
		}
		frames, begun = skip(frames, taken)
		if taken < len(chunk) || to.pending() > 0 {
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

// advance writes what waits, as far as the client takes it.
func (o *outbox) advance(to sink) error {
	if o.queue == nil {
		return nil
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	for {
		q := o.queue
		if q.pong != nil && (!o.overBound() || len(q.begun)+len(q.frames) == 0) {
			pong := q.pong
			q.pong = nil
			o.append([][]byte{pong})
		}
		chunk := gather((*buf)[:0], q.begun, q.frames)
		if len(chunk) == 0 && to.pending() == 0 {
			o.hold(0)
			o.queue = nil
			return nil
		}
		taken, sent, err := to.write(chunk)
		if err != nil {
			return err
		}
		if sent > 0 {
			q.since = time.Now()
		}
		o.take(taken)
		o.hold(to.pending())
		if taken < len(chunk) || to.pending() > 0 {
			return nil
		}
	}
}

// take removes n bytes from the front of the queue.
func (o *outbox) take(n int) {
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
func (o *outbox) overBound() bool {
	q := o.queue
	if q == nil || q.fresh {
		return false
	}
	front := len(q.begun)
	if front == 0 && len(q.frames) > 0 {
		front = len(q.frames[0])
	}
	behind := q.cost - front - perFrame - q.held
	return behind > o.limits.perConn || o.limits.used.Load() > o.limits.node
}

// backlog judges how far the client is behind.
func (o *outbox) backlog(now time.Time) hub.Backlog {
	switch {
	case !o.overBound():
		return hub.Clear
	case now.Sub(o.queue.since) < stuckAfter:
		return hub.Full
	}
	return hub.Stuck
}

// stalled returns how long something has been waiting while the client took
// nothing; 0 = nothing waits.
func (o *outbox) stalled(now time.Time) time.Duration {
	if o.queue == nil || o.queue.fresh {
		return 0
	}
	return now.Sub(o.queue.since)
}

// startFlusher says whether something waits and nobody flushes it. The caller then
// starts a flusher, which calls endFlusher before it ends.
func (o *outbox) startFlusher() bool {
	if o.flushing || o.queue == nil || o.queue.fresh {
		return false
	}
	o.flushing = true
	return true
}

// endFlusher says whether the flusher may end, since nothing waits.
func (o *outbox) endFlusher() bool {
	o.flushing = o.queue != nil
	return !o.flushing
}

// progressed notes that the client has taken bytes that the sink had held.
func (o *outbox) progressed() {
	if o.queue != nil {
		o.queue.since = time.Now()
	}
}
