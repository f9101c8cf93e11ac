package transport

import (
	"context"
	"io"
	"time"

	"github.com/coder/websocket"

	"channels/hub"
	"channels/protocol"
)

// messageTimeout is how long a message may take from its first frame's header to
// its end, so that nobody holds buffers by sending in drops.
const messageTimeout = 30 * time.Second

// session reads what one client sends, until the end of its connection. It is
// read either by a goroutine of its own (run), or, while it is parked in a
// poller, by nobody: a reader that finds it readable claims it, handles what is
// there whole (serve) and parks it again.
//
// Whole messages, pings and pongs are handled by hand. For all else, messages in
// pieces and what is wrong, there is the library.
type session struct {
	transport *Transport
	guard     *guard
	client    *hub.Conn // nil when the client was refused
	library   *library  // nil while parked; see reader
	readLimit int64     // of the library, in bytes
}

// start has the session read from now on. With a poller it holds no goroutine
// while the client is silent.
func (s *session) start() {
	s.transport.sessions.Add(1)
	if s.guard.poller == nil {
		go s.run()
		return
	}
	ahead := s.guard.ahead
	s.guard.ahead = nil
	s.handle(ahead)
}

// run reads to the end, as the connection's goroutine. It is kept shallow, since
// its stack is most of what an idle connection costs.
func (s *session) run() {
	var err error
	for err == nil {
		err = s.handleMessage()
	}
	s.end()
}

// end is the last that happens to a session. It waits for the peer when a close
// frame has been sent.
func (s *session) end() {
	if s.client != nil {
		s.client.Gone(hub.End{Code: 1006, Reason: hub.Disconnected})
	}
	s.guard.drain()
	if s.library != nil {
		_ = s.library.ws.CloseNow()
	} else {
		_ = s.guard.Close()
	}
	s.transport.sessions.Add(-1)
}

// handleMessage waits for a message and hands it on. An error is the end of the
// connection.
func (s *session) handleMessage() error {
	kind, r, err := s.reader()
	if err != nil {
		return err
	}
	s.guard.hurry(messageTimeout)
	defer s.guard.hurry(0)
	return s.receiveFrom(kind, r)
}

// reader has the library wait for a message.
func (s *session) reader() (websocket.MessageType, io.Reader, error) {
	if s.library == nil {
		var err error
		if s.library, err = newLibrary(s.guard, s.readLimit); err != nil {
			return 0, nil, err
		}
	}
	return s.library.ws.Reader(context.Background())
}

func (s *session) receiveFrom(kind websocket.MessageType, r io.Reader) error {
	buf := s.transport.buffers.get()
	defer s.transport.buffers.put(buf)
	if _, err := buf.ReadFrom(r); err != nil {
		return err
	}
	s.receive(kind, buf.Bytes())
	return nil
}

func (s *session) receive(kind websocket.MessageType, message []byte) {
	switch {
	case s.client == nil: // refused: the peer may not have noticed yet
	case kind == websocket.MessageText:
		for wait := s.client.Receive(message); wait != nil; wait = s.client.Receive(message) {
			<-wait
		}
	default:
		s.client.Fail(protocol.BinaryFrame())
		s.client.Close(protocol.Fault{
			Code: protocol.CodeUnsupportedData, Message: protocol.BinaryFrame().Message,
		}, hub.BadFrame)
	}
}

// hurry gives the client so long to send on; 0 = any time it likes. Once the
// connection is closing it has a deadline already.
func (g *guard) hurry(timeout time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != open {
		return
	}
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	_ = g.conn.SetReadDeadline(deadline)
}

// lingers says whether the peer is to be given time to read what it was sent
// last.
func (g *guard) lingers() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state == closing
}

func (g *guard) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state == open
}

// drain reads on after a close frame of ours, until the peer has closed or its
// time is up, which began with the close frame: to close over unread data would
// send a reset, which overtakes the close frame.
func (g *guard) drain() {
	if !g.lingers() {
		return
	}
	if half, ok := g.conn.(interface{ CloseWrite() error }); ok && g.flushed() {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, onlyReader{g.conn})
}

// flushed says whether nothing is left to write.
func (g *guard) flushed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.flushing
}

// onlyReader hides the methods by which io.Copy would take shortcuts.
type onlyReader struct{ io.Reader }
