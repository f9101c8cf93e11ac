package transport

import (
	"slices"

	"github.com/coder/websocket"
)

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
// a binary message. There is nothing to wait for: at the end of the frame is the
// message or an error.
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
