package transport

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"channels/hub"
	"channels/protocol"
)

// CloseGrace is how long a peer has to take and answer a close frame.
const CloseGrace = 3 * time.Second

// guard stands between a client's network connection and its two users: the
// WebSocket library, which reads from it and writes control frames, and the
// hub's worker, which writes whole data frames straight to it. Its lock makes
// every write a whole frame, and covers close, so that the raw write never
// meets a descriptor that has been reused.
//
// A write is one attempt that does not block. What the kernel does not take is
// queued, and a flusher goroutine lives for as long as there is a queue;
// meanwhile everybody else only appends.
type guard struct {
	// What a delivery looks at, side by side.
	mu       sync.Mutex
	fd       int // for raw writes; -1: everything goes through the flusher
	state    guardState
	partial  bool   // the front of queue is the rest of a frame, or the greeting
	flushing bool   // the flusher runs
	greeting []byte // goes out ahead of the first frame

	queued int      // bytes in queue
	queue  [][]byte // what remains to be written
	parked *session // waits in the poller; nil while somebody reads

	// Static, but for ahead, which is the reader's.
	conn   net.Conn
	limits *queueLimits
	client *hub.Conn // told of every sign of life; set before reading starts
	poller *poller   // nil: the session has a goroutine
	ahead  []byte    // what has been read already
}

var _ net.Conn = (*guard)(nil)

// socket is a guard as the hub sees it.
type socket struct{ guard *guard }

var _ hub.Socket = socket{}

// Send implements hub.Socket.
func (s socket) Send(frames [][]byte) hub.Backlog {
	if s.guard.send(frames) != nil {
		return hub.Stuck
	}
	return hub.Clear
}

// Backlog implements hub.Socket.
func (s socket) Backlog() hub.Backlog { return hub.Clear }

// Stalled implements hub.Socket.
func (s socket) Stalled() time.Duration { return 0 }

// Deflates implements hub.Socket.
func (s socket) Deflates() bool { return false }

// Close implements hub.Socket.
func (s socket) Close(f protocol.Fault) { s.guard.shut(f) }

var errSlowConsumer = errors.New("client reads too slowly")

type guardState uint8

const (
	open    guardState = iota
	closing            // a close frame is the last that goes out
	dead               // the connection is closed or broken
)

// queueLimits bound what is queued for clients that read slowly.
type queueLimits struct {
	perConn int          // bytes for one client
	node    int64        // bytes for all of them together
	used    atomic.Int64 // of node
}

// take reserves n bytes of the node's budget, if they are left.
func (l *queueLimits) take(n int) bool {
	if l.used.Add(int64(n)) > l.node {
		l.used.Add(int64(-n))
		return false
	}
	return true
}

func (l *queueLimits) giveBack(n int) { l.used.Add(int64(-n)) }

func newGuard(conn net.Conn, ahead []byte, limits *queueLimits) *guard {
	return &guard{conn: conn, fd: rawDescriptor(conn), limits: limits, ahead: ahead}
}

// Read implements net.Conn for the library.
func (g *guard) Read(p []byte) (int, error) {
	if len(g.ahead) > 0 {
		n := copy(p, g.ahead)
		g.ahead = g.ahead[n:]
		if len(g.ahead) == 0 {
			g.ahead = nil
		}
		return n, nil
	}
	n, err := g.conn.Read(p)
	if n > 0 && g.client != nil {
		g.client.Touch()
	}
	return n, err
}

// send is hub.Socket's Send.
func (g *guard) send(frames [][]byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != open {
		return nil
	}
	return g.write(frames)
}

// Write implements net.Conn for the library, which writes one whole control
// frame at a time: pongs, and a close frame of its own.
func (g *guard) Write(frame []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != open {
		return len(frame), nil
	}
	own := append([]byte(nil), frame...) // the library reuses its buffer
	if err := g.write([][]byte{own}); err != nil {
		return 0, err
	}
	if isCloseFrame(frame) {
		g.state = closing
		g.limitRest()
	}
	return len(frame), nil
}

func isCloseFrame(frame []byte) bool {
	return len(frame) > 0 && frame[0]&0xf == opClose
}

// shut is hub.Socket's Close, a name that net.Conn has for something else.
func (g *guard) shut(f protocol.Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != open {
		return
	}
	g.state = closing
	g.dropQueue()
	var last [][]byte
	if f.Code >= protocol.CodeTLSOnly {
		last = append(last, protocol.ErrorFrame(f))
	}
	last = append(last, protocol.AppendCloseFrame(nil, f.Code, f.Message))
	g.writeOrQueue(last)
	g.limitRest()
	g.rouse()
}

// limitRest gives the peer CloseGrace for all that is left to read and write.
func (g *guard) limitRest() { _ = g.conn.SetDeadline(time.Now().Add(CloseGrace)) }

// dropQueue forgets the queue, but for the rest of a frame that has begun.
func (g *guard) dropQueue() {
	kept := g.queue[:0]
	if g.partial {
		kept = g.queue[:1]
	}
	for _, frame := range g.queue[len(kept):] {
		g.release(len(frame))
	}
	clear(g.queue[len(kept):])
	g.queue = kept
}

func (g *guard) release(n int) {
	g.queued -= n
	g.limits.giveBack(n)
}

// write sends or queues frames, within the bounds. The lock is held.
func (g *guard) write(frames [][]byte) error {
	frames = g.greet(frames)
	if !g.flushing && g.fd >= 0 {
		frames = g.writeNow(frames)
	}
	if len(frames) == 0 || g.state == dead {
		return nil
	}
	size := 0
	for _, frame := range frames {
		size += len(frame)
	}
	if g.queued+size > g.limits.perConn || !g.limits.take(size) {
		if g.partial && !g.flushing { // just cut in the middle: to be finished
			g.limits.used.Add(int64(len(frames[0])))
			g.enqueue(frames[:1])
		}
		return errSlowConsumer
	}
	g.enqueue(frames)
	return nil
}

// writeOrQueue is write without bounds, for the last words.
func (g *guard) writeOrQueue(frames [][]byte) {
	frames = g.greet(frames)
	if !g.flushing && g.fd >= 0 {
		frames = g.writeNow(frames)
	}
	for _, frame := range frames {
		g.limits.used.Add(int64(len(frame)))
	}
	if len(frames) > 0 && g.state != dead {
		g.enqueue(frames)
	}
}

// greet puts the greeting before the first frame, as a part of it that counts as
// begun: whatever happens, it goes out.
func (g *guard) greet(frames [][]byte) [][]byte {
	if g.greeting == nil {
		return frames
	}
	greeted := append([][]byte(nil), frames...) // the caller's slice stays as it is
	greeted[0] = append(g.greeting, frames[0]...)
	g.greeting = nil
	g.partial = true
	return greeted
}

// enqueue appends what has been reserved, and sees to it that it is flushed.
func (g *guard) enqueue(frames [][]byte) {
	for _, frame := range frames {
		g.queued += len(frame)
	}
	g.queue = append(g.queue, frames...)
	if !g.flushing {
		g.flushing = true
		go g.flush()
	}
}

// writeNow makes one attempt to write everything, and returns what is left. A
// frame that was cut has become its rest, and partial is set.
func (g *guard) writeNow(frames [][]byte) [][]byte {
	var space []byte
	if len(frames) > 1 {
		buf := scratch.Get().(*[]byte)
		defer scratch.Put(buf)
		space = (*buf)[:0]
	}
	for len(frames) > 0 {
		chunk, count := gather(space, frames)
		n, err := rawWrite(g.fd, chunk)
		if err != nil {
			g.state = dead // the reader finds out why
			return nil
		}
		if n < len(chunk) {
			return g.cut(frames, n)
		}
		frames = frames[count:]
		g.partial = false
	}
	return nil
}

// gather returns as many frames as fit into buf in one piece, and how many they
// are. A single one, or a large one, is not copied.
func gather(buf []byte, frames [][]byte) ([]byte, int) {
	if len(frames) == 1 || len(frames[0]) > cap(buf) {
		return frames[0], 1
	}
	count := 0
	for _, frame := range frames {
		if len(buf)+len(frame) > cap(buf) {
			break
		}
		buf = append(buf, frame...)
		count++
	}
	return buf, count
}

// cut removes the first n bytes of the frames.
func (g *guard) cut(frames [][]byte, n int) [][]byte {
	for n > 0 && n >= len(frames[0]) {
		n -= len(frames[0])
		frames = frames[1:]
		g.partial = false
	}
	if n == 0 {
		return frames
	}
	rest := append([][]byte(nil), frames...) // the caller's slice stays as it is
	rest[0] = rest[0][n:]
	g.partial = true
	return rest
}

// Close implements net.Conn: at once, without a word.
func (g *guard) Close() error {
	g.mu.Lock()
	g.state = dead
	if g.fd >= 0 {
		defer g.mu.Unlock()
		if g.poller != nil {
			g.poller.forget(g.fd)
		}
		g.rouse()
		g.fd = -1
		return g.conn.Close()
	}
	g.mu.Unlock()
	return g.conn.Close() // TLS says goodbye, which may take a while
}

// LocalAddr implements net.Conn.
func (g *guard) LocalAddr() net.Addr { return g.conn.LocalAddr() }

// RemoteAddr implements net.Conn.
func (g *guard) RemoteAddr() net.Addr { return g.conn.RemoteAddr() }

// SetDeadline implements net.Conn; the library does not use it.
func (g *guard) SetDeadline(t time.Time) error { return g.conn.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (g *guard) SetReadDeadline(t time.Time) error { return g.conn.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (g *guard) SetWriteDeadline(t time.Time) error { return g.conn.SetWriteDeadline(t) }
