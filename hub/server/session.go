package server

import (
	"context"
	"errors"
	"io"
	"slices"
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
	server    *Server
	guard     *guard
	client    *hub.Conn // nil when the client was refused
	library   *library  // nil while parked; see reader
	readLimit int64     // of the library, in bytes
}

// start has the session read from now on. With a poller it holds no goroutine
// while the client is silent.
func (s *session) start(p *poller) {
	s.server.sessions.Add(1)
	s.guard.poller = p
	if p == nil || s.guard.fd < 0 {
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
		s.client.Gone()
	}
	s.guard.drain()
	if s.library != nil {
		_ = s.library.ws.CloseNow()
	} else {
		_ = s.guard.Close()
	}
	s.server.sessions.Add(-1)
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
	buf := s.server.buffers.get()
	defer s.server.buffers.put(buf)
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

// serve handles what has arrived on a claimed session, and parks it again. It
// does not wait for the client.
func (s *session) serve(buf []byte) {
	n, err := s.guard.readNow(buf)
	if err != nil && !errors.Is(err, errNothingToRead) {
		s.leave()
		return
	}
	s.handle(buf[:n])
}

// handle works off what a claimed session has sent. A message that is not there
// whole is waited for by a goroutine.
func (s *session) handle(b []byte) {
	rest, err := s.handleWhole(b)
	switch {
	case err != nil:
		s.leave()
	case len(rest) > 0:
		rest = append([]byte(nil), rest...) // the buffer is the reader's
		go s.await(rest)
	case !s.park():
		go s.run()
	}
}

// park gives up the goroutine, and the library's memory. false: the connection is
// on its way out, and has to be read to its end.
func (s *session) park() bool {
	if !s.guard.isOpen() {
		return false
	}
	if s.library != nil {
		s.library.putAway()
		s.library = nil
	}
	return s.guard.park(s)
}

// leave ends a session without waiting here.
func (s *session) leave() {
	if s.guard.lingers() {
		go s.end()
		return
	}
	s.end()
}

// handleWhole handles the frames at the front of b that are there whole and make
// a message by themselves, and returns the rest.
func (s *session) handleWhole(b []byte) (rest []byte, err error) {
	for len(b) > 0 {
		f, whole := wholeFrame(b)
		switch {
		case !whole, !f.fin() && f.opcode() < opClose:
			return b, nil
		case f.quiet():
			err = s.answer(f, b)
		case f.text():
			s.receive(websocket.MessageText, f.unmask(b))
		default:
			err = s.read(b[:f.size])
		}
		if err != nil {
			return nil, err
		}
		b = b[f.size:]
	}
	return nil, nil
}

// answer handles a ping or a pong here: the library would go on to wait for a
// message behind it.
func (s *session) answer(f frame, b []byte) error {
	if f.opcode() != opPing {
		return nil
	}
	_, err := s.guard.Write(pongFrame(f.unmask(b)))
	return err
}

// read has the library read one whole frame, which is a close frame, a mistake or
// a binary message. There is nothing to wait for: at the end of the frame is the message
// or an error.
func (s *session) read(whole []byte) error {
	s.guard.ahead = whole
	defer func() { s.guard.ahead = nil }() // the buffer is the reader's
	return s.readMessage()
}

func (s *session) readMessage() error {
	kind, r, err := s.reader()
	if err != nil {
		return err
	}
	return s.receiveFrom(kind, r)
}

// await waits, in a goroutine, for the rest of a frame or message, handles it and
// what comes in the same breath, and parks the session.
func (s *session) await(rest []byte) {
	var err error
	for len(rest) > 0 && err == nil {
		if rest, err = s.finish(rest); err == nil {
			rest, err = s.handleWhole(rest)
		}
	}
	switch {
	case err != nil:
		s.end()
	case !s.park():
		s.run()
	}
}

// finish waits for the end of what has begun, for so long as a message may take.
// A message is handled; a ping or pong is returned whole, for the library would
// wait for a message behind it. Both with what has come after them.
func (s *session) finish(begun []byte) ([]byte, error) {
	s.guard.hurry(messageTimeout)
	defer s.guard.hurry(0)
	if mayBeQuiet(begun) {
		return s.fill(begun)
	}
	s.guard.ahead = begun
	if err := s.readMessage(); err != nil {
		return nil, err
	}
	rest := append(s.library.unread(), s.guard.ahead...)
	s.guard.ahead = nil
	return rest, nil
}

// fill reads on until the frame at the front of b is whole.
func (s *session) fill(b []byte) ([]byte, error) {
	for {
		if _, whole := wholeFrame(b); whole || !mayBeQuiet(b) {
			return b, nil
		}
		b = slices.Grow(b, maxControlPayload)
		n, err := s.guard.Read(b[len(b):cap(b)])
		if err != nil {
			return nil, err
		}
		b = b[:len(b)+n]
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
// time is up, which began with the close frame: to close over unread data would send a reset, which overtakes the
// close frame.
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
