package transport

import (
	"errors"
	"io"
	"net"
)

// errNothingToRead is what readNow answers when it would have to wait.
var errNothingToRead = errors.New("nothing to read")

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

// park has the session claimed when there is something to read; see session.park.
func (g *guard) park(s *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != open || g.fd < 0 || g.poller.arm(g.fd, s) != nil {
		return false
	}
	g.parked = s
	return true
}

// claim takes a session that was parked; one caller gets it.
func (g *guard) claim() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.parked != nil
	g.parked = nil
	return was
}

// rouse gives a parked session a goroutine to read to its end with. The lock is
// held.
func (g *guard) rouse() {
	if s := g.parked; s != nil {
		g.parked = nil
		go s.run()
	}
}

// readNow reads what is there into p. The lock is held over the call, as it is
// for close, so that the descriptor is this connection's.
func (g *guard) readNow(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fd < 0 {
		return 0, net.ErrClosed
	}
	n, err := rawRead(g.fd, p)
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	case n > 0 && g.client != nil:
		g.client.Touch()
	}
	return n, nil
}
