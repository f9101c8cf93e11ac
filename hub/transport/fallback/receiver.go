package fallback

import (
	"context"
	"net/http"
	"time"
)

// receiver is a request that brings messages.
type receiver struct {
	wake     chan struct{} // holds a token when there is something to look at
	done     chan struct{} // closed when the request does not touch the session any more
	replaced bool          // by a newer request; the session's lock guards it
	last     bool          // it has brought the close frame; guarded as well
	control  *http.ResponseController
}

// limitWrite ends a write that is in progress, or begins, after d. The session's
// lock is held.
func (r *receiver) limitWrite(d time.Duration) {
	_ = r.control.SetWriteDeadline(time.Now().Add(d)) // where there are no deadlines, writes do not block
}

// replaceTimeout is how long the older of two receivers may take to end.
const replaceTimeout = time.Second

// attach makes a request the receiver, in the place of the one that there is, if
// any. It returns nil when the session or the request has ended.
func (s *session) attach(ctx context.Context, control *http.ResponseController, streams bool) *receiver {
	r := &receiver{wake: make(chan struct{}, 1), done: make(chan struct{}), control: control}
	for {
		older, ok := s.tryAttach(r, streams)
		if older == nil {
			if !ok {
				return nil
			}
			return r
		}
		select {
		case <-older.done:
		case <-ctx.Done():
			return nil
		}
	}
}

// tryAttach returns the receiver that has to end first. ok: there is none, and r
// is the receiver.
func (s *session) tryAttach(r *receiver, streams bool) (older *receiver, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == ended {
		return nil, false
	}
	if older = s.receiver; older != nil {
		if !older.replaced {
			older.replaced = true
			older.limitWrite(replaceTimeout)
			s.wake()
		}
		return older, false
	}
	s.receiver, s.streams = r, streams
	if s.beat = streams && s.opened; s.state == open {
		s.stopTimer()
	}
	if s.client != nil {
		s.client.Touch()
	}
	s.transport.receivers.Add(1)
	return nil, true
}

// detach ends a receiver. The client has grace to make the next request.
func (s *session) detach(r *receiver, grace time.Duration) {
	s.mu.Lock()
	s.queue.putBack()
	s.receiver = nil
	if s.state == open {
		s.setTimer(grace, disconnected)
	}
	s.mu.Unlock()
	s.transport.receivers.Add(-1)
	close(r.done)
}
