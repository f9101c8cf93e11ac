package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"channels/hub/transport/outbox"
	"channels/hub/transport/poller"
)

// errWouldBlock is what a read answers when nothing is there. It is a net.Error
// that is temporary, which crypto/tls does not take for the end of a connection.
var errWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// heldBuffers are for what a line holds.
var heldBuffers = sync.Pool{New: func() any {
	const records = 512 // what TLS adds to a chunk, and more
	b := make([]byte, 0, outbox.ChunkSize+records)
	return &b
}}

// line is the descriptor of one client's connection.
//
//	State   Who reads                           What leads on
//	taken   its owner, one goroutine            park, close
//	parked  nobody: the poller watches it       claim (one caller gets it), close
//	closed  nobody: there is no descriptor      nothing
//
// Raw reads, raw writes and the poller's system calls are made with the lock held
// and only while there is a descriptor. close takes the descriptor away under the
// lock, and the connection is closed after that. So no raw call meets a descriptor
// that has been closed and reused.
//
// A line without a descriptor from the start is opaque: it has a connection whose
// calls block. That is so elsewhere than on Unix, and in tests over net.Pipe. Its
// owner reads from conn, and its flusher writes what Write has held back.
type line struct {
	sync.Mutex
	fd     int32 // -1 = none
	state  lineState
	opaque bool
	half   bool // the writing side has been shut

	conn   net.Conn    // from the listener: owns the descriptor, and is closed with it
	poller *poller.Set // nil: a goroutine reads
	port   *port       // nil: no TLS
	held   *[]byte     // taken by Write and not sent; nil = nothing
}

type lineState uint8

const (
	taken lineState = iota
	parked
	closed
)

// init sets up a line over a connection that an HTTP server has given up.
func (l *line) init(conn net.Conn) {
	l.conn, l.port = conn, portOf(conn)
	if l.port != nil {
		conn = l.port.Conn
	}
	l.fd = int32(rawDescriptor(conn))
	if l.opaque = l.fd < 0; l.opaque {
		l.port = nil
	}
	if l.port != nil {
		l.conn, l.port.line = conn, l
	}
}

// park has the poller watch the line for s. false: it cannot, and from then on a
// goroutine has to read. The lock is held.
func (l *line) park(s *session) bool {
	if l.fd < 0 || l.poller == nil {
		return false
	}
	if l.poller.Arm(int(l.fd), s) != nil {
		l.poller.Forget(int(l.fd))
		l.poller = nil
		return false
	}
	l.state = parked
	return true
}

// claim takes a line that was parked; one caller gets it.
func (l *line) claim() bool {
	l.Lock()
	defer l.Unlock()
	was := l.state == parked
	if was {
		l.state = taken
	}
	return was
}

// close takes the descriptor away. The caller that gets true closes conn, without
// the lock: to close it waits for everybody who waits for the descriptor, and they
// need the lock. The lock is held.
func (l *line) close() bool {
	if l.state == closed {
		return false
	}
	l.state = closed
	if l.fd >= 0 && l.poller != nil {
		l.poller.Forget(int(l.fd))
	}
	l.fd = -1
	if !l.opaque {
		l.releaseHeld()
	}
	return true
}

// read makes one attempt to read into p; first begins a turn. more: TLS may hold
// what the poller does not see, so the caller reads until errWouldBlock. The lock
// is held.
func (l *line) read(p []byte, first bool) (n int, more bool, err error) {
	switch {
	case l.fd < 0:
		return 0, false, net.ErrClosed
	case l.port != nil:
		n, err = l.port.readRecord(p, first)
		return n, true, err
	}
	n, err = rawRead(int(l.fd), p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, false, err
}

// Write implements outbox.Sink. The lock is held.
func (l *line) Write(p []byte) (taken, sent int, err error) {
	switch {
	case l.opaque:
		return l.holdBack(p), 0, nil
	case l.fd < 0:
		return 0, 0, net.ErrClosed
	case l.port != nil:
		return l.port.writeRecords(p)
	}
	sent, err = rawWrite(int(l.fd), p)
	return sent, sent, err
}

// Pending implements outbox.Sink.
func (l *line) Pending() int {
	if l.held == nil {
		return 0
	}
	return len(*l.held)
}

// holdBack takes a chunk for the flusher of an opaque line.
func (l *line) holdBack(p []byte) int {
	if l.held != nil || len(p) == 0 {
		return 0
	}
	l.held = heldBuffers.Get().(*[]byte)
	*l.held = append((*l.held)[:0], p[:min(len(p), outbox.ChunkSize)]...)
	return len(*l.held)
}

// releaseHeld gives the buffer of held bytes back.
func (l *line) releaseHeld() {
	if l.held == nil {
		return
	}
	if cap(*l.held) <= 2*outbox.ChunkSize {
		*l.held = (*l.held)[:0]
		heldBuffers.Put(l.held)
	}
	l.held = nil
}

// sever ends both directions after a failed write, so that whoever reads finds
// the end. The lock is held.
func (l *line) sever() {
	if l.fd >= 0 {
		rawShutdown(int(l.fd), true)
	}
}

// shutWriting ends the writing side of a line on which the last has been written.
// The lock is held.
func (l *line) shutWriting() {
	if l.half || l.fd < 0 {
		return
	}
	l.half = true
	rawShutdown(int(l.fd), false)
}

// rawConn returns a way to wait for the descriptor.
func (l *line) rawConn() (syscall.RawConn, error) {
	tcp := tcpConn(l.conn)
	if tcp == nil {
		return nil, errors.ErrUnsupported
	}
	return tcp.SyscallConn()
}

// tcpConn finds the TCP connection that conn is or wraps; nil for any other. A
// wrapper says so with a method NetConn. It changes nothing of what is read or
// written, but may have read ahead; see appendBuffered.
func tcpConn(conn net.Conn) *net.TCPConn {
	for {
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case *tls.Conn: // changes all of it
			return nil
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
