package server

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

// session reads what one client sends, until the end of its connection.
type session struct {
	ws     *websocket.Conn
	guard  *guard
	client *hub.Conn // nil when the client was refused

	buffers *buffers
}

// run is the connection's goroutine. It is kept shallow, since its stack is
// most of what an idle connection costs.
func (s *session) run() {
	var err error
	for err == nil {
		err = s.handleMessage()
	}
	if s.client != nil {
		s.client.Gone()
	}
	s.guard.drain()
	_ = s.ws.CloseNow()
}

// handleMessage reads one message and hands it on. An error is the end of the
// connection.
func (s *session) handleMessage() error {
	kind, r, err := s.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	s.guard.hurry(messageTimeout)
	defer s.guard.hurry(0)
	buf := s.buffers.get()
	defer s.buffers.put(buf)
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
		s.client.Receive(message)
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

// drain reads on after a close frame of ours, until the peer has closed or its
// time is up: to close over unread data would send a reset, which overtakes the
// close frame.
func (g *guard) drain() {
	g.mu.Lock()
	wait := g.state == closing
	g.mu.Unlock()
	if !wait {
		return
	}
	_ = g.conn.SetReadDeadline(time.Now().Add(CloseGrace))
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
