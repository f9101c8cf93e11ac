package transport

import (
	"context"
	"log/slog"
	"net"
	"time"

	"channels/hub"
	"channels/hub/transport/outbox"
	"channels/hub/transport/poller"
	"channels/protocol"
)

// CloseGrace is how long a peer has to take and answer a close frame.
const CloseGrace = 3 * time.Second

// session is one client on a WebSocket.
//
//	State    What is read           What is sent           What leads on
//	open     frames, to the hub     frames of the hub      closeWith, finish
//	closing  everything, dropped    the last frames        finish
//	closed   nothing                nothing                nothing
//
// closeWith is called when the server or the client wants to close, finish when
// the peer has closed, the connection is broken, or time is up. Who comes first
// says how the connection ended; that is reported once.
type session struct {
	line   line // its lock guards the fields up to the blank line
	outbox outbox.Outbox
	timer  *time.Timer // of a message that has begun, or of closing; nil = none
	client *hub.Conn   // nil before and unless the hub has accepted the client
	ended  bool        // reported; not open any more

	deflates bool // static, as transport and app are
	timed    bool // timer runs for a message; the reader's, as frames is
	frames   protocol.FrameReader

	transport *Transport
	app       *hub.App // nil for a client that no app was found for
}

var (
	_ hub.Socket    = (*session)(nil)
	_ poller.Parked = (*session)(nil)
)

func (t *Transport) newSession(conn net.Conn, app *hub.App, greeting []byte, deflate bool) *session {
	s := &session{
		transport: t,
		app:       app,
		deflates:  deflate,
		frames:    protocol.NewFrameReader(readLimit(app), deflate),
		outbox:    outbox.New(&t.limits),
	}
	s.line.init(conn)
	if !s.line.opaque {
		s.line.poller = t.readers.Get()
	}
	s.outbox.Greet(greeting)
	t.sessions.Add(1)
	return s
}

// Send implements hub.Socket.
func (s *session) Send(frames [][]byte) hub.Backlog {
	s.line.Lock()
	defer s.line.Unlock()
	s.settle(s.outbox.Send(frames, &s.line))
	if s.outbox.Empty() {
		return hub.Clear
	}
	return s.judge()
}

// Backlog implements hub.Socket.
func (s *session) Backlog() hub.Backlog {
	s.line.Lock()
	defer s.line.Unlock()
	if s.outbox.Empty() {
		return hub.Clear
	}
	return s.judge()
}

// judge says how far the client is behind. Before it says that the client is over
// its bound it makes an attempt to write: the kernel reports that there is room only
// when a third of its buffer is free, and the one that was paused may have been this
// process. The lock is held.
func (s *session) judge() hub.Backlog {
	b := s.outbox.Backlog(time.Now())
	if b != hub.Clear {
		s.settle(s.outbox.Advance(&s.line))
		b = s.outbox.Backlog(time.Now())
	}
	return b
}

// Stalled implements hub.Socket.
func (s *session) Stalled() time.Duration {
	s.line.Lock()
	defer s.line.Unlock()
	if s.outbox.Empty() {
		return 0
	}
	return s.outbox.Stalled(time.Now())
}

// Address implements hub.Addressed.
func (s *session) Address() string { return s.line.conn.RemoteAddr().String() }

// Deflates implements hub.Socket.
func (s *session) Deflates() bool { return s.deflates }

// Close implements hub.Socket.
func (s *session) Close(f protocol.Fault, reason hub.CloseReason) {
	s.closeWith(hub.End{Code: f.Code, Reason: reason}, lastFrames(f))
}

// lastFrames are what a client is sent before the connection is closed.
func lastFrames(f protocol.Fault) [][]byte {
	closing := protocol.AppendCloseFrame(nil, f.Code, f.Message)
	if f.Code >= protocol.CodeTLSOnly {
		return [][]byte{protocol.ErrorFrame(f), closing}
	}
	return [][]byte{closing}
}

// closeWith begins to close: last is all that goes out still, and the peer has
// CloseGrace to read it and to close. It says whether this was the end.
func (s *session) closeWith(e hub.End, last [][]byte) bool {
	s.line.Lock()
	first := !s.ended
	if first {
		s.ended = true
		s.settle(s.outbox.Close(last, &s.line))
		s.setTimer(CloseGrace, func() { s.finish(e) })
	}
	s.line.Unlock()
	if first {
		s.log(e)
	}
	return first
}

// finish closes the connection, at once and without a word.
func (s *session) finish(e hub.End) {
	s.line.Lock()
	last := s.line.close()
	first := !s.ended
	s.ended = true
	s.outbox.Release()
	s.stopTimer()
	client := s.client
	s.line.Unlock()
	if !last {
		return
	}
	if first {
		s.log(e)
		if client != nil {
			client.Gone(e)
		}
	}
	_ = s.line.conn.Close()
	s.transport.sessions.Add(-1)
}

// log reports the end of a connection at debug level. What it needs is made only
// then.
func (s *session) log(e hub.End) {
	log := s.transport.log
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	var appID, socketID string
	if s.app != nil {
		appID = s.app.ID
	}
	s.line.Lock()
	if s.client != nil {
		socketID = s.client.ID()
	}
	s.line.Unlock()
	log.Debug("connection ended", "address", s.line.conn.RemoteAddr().String(),
		"app", appID, "socket", socketID, "code", int(e.Code), "reason", string(e.Reason))
}

// setTimer runs then, in a goroutine of its own, after d, unless the timer has
// been set anew or stopped. The lock is held.
func (s *session) setTimer(d time.Duration, then func()) {
	s.stopTimer()
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		s.line.Lock()
		due := s.timer == t
		s.line.Unlock()
		if due {
			then()
		}
	})
	s.timer = t
}

// stopTimer is for the holder of the lock.
func (s *session) stopTimer() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// settle follows each use of the outbox: it starts the flusher when something
// waits, ends the writing side behind the last frame, and gives up after an error.
// The lock is held.
func (s *session) settle(err error) {
	if err != nil {
		s.outbox.Release()
		s.line.sever()
		return
	}
	if s.outbox.Closing() && s.outbox.Empty() {
		s.endWriting()
	}
	if s.outbox.StartFlusher() {
		go s.flush()
	}
}

// endWriting follows the last frame.
func (s *session) endWriting() {
	if p := s.line.port; p != nil && !s.line.half {
		p.sayGoodbye()
		if _, _, err := s.line.Write(nil); err != nil || s.line.Pending() > 0 {
			return // the peer has stopped reading; CloseGrace ends this
		}
	}
	s.line.shutWriting()
}

// flush writes the queue until it is empty, as a goroutine. It does not limit how
// long that takes: a client that stops reading is the hub's to judge, by Backlog
// and Stalled.
func (s *session) flush() {
	if s.line.opaque {
		s.flushOpaque()
		return
	}
	raw, err := s.line.rawConn()
	if err == nil {
		// Write calls until it gets true, each time when the descriptor is ready.
		err = raw.Write(func(uintptr) bool { return s.flushNow() })
	}
	if err != nil {
		s.finish(disconnected)
	}
}

// flushNow makes one attempt to write the queue, and says whether nothing is left.
func (s *session) flushNow() bool {
	s.line.Lock()
	defer s.line.Unlock()
	s.settle(s.outbox.Advance(&s.line))
	return s.outbox.EndFlusher()
}

// flushOpaque writes what the line has held back, without the lock.
func (s *session) flushOpaque() {
	for !s.flushNow() {
		if _, err := s.line.conn.Write(*s.line.held); err != nil {
			s.finish(disconnected)
			return
		}
		s.line.Lock()
		s.line.releaseHeld()
		s.outbox.Progressed()
		s.line.Unlock()
	}
	if half, ok := s.line.conn.(interface{ CloseWrite() error }); ok && s.isClosing() {
		_ = half.CloseWrite()
	}
}

// isClosing says that nothing but the last frames goes out.
func (s *session) isClosing() bool {
	s.line.Lock()
	defer s.line.Unlock()
	return s.outbox.Closing()
}

// disconnected is the end of a connection without a close frame.
var disconnected = hub.End{Code: 1006, Reason: hub.Disconnected}
