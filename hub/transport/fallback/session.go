package fallback

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"channels/hub"
	"channels/protocol"
)

const (
	// CloseGrace is how long a session that is being closed waits for a request
	// to bring its close frame.
	CloseGrace = 3 * time.Second

	// streamGrace is how long a session outlives a stream that the client has
	// aborted. pusher-js does that when it goes; the grace is for browsers that
	// repeat a request.
	streamGrace = time.Second

	// absence is how long a session waits for the next request, plus the time in
	// which a slow client takes the last answer at slowest bytes a second.
	absence    = 5 * time.Second
	maxAbsence = 30 * time.Second
	slowest    = 16 << 10
)

// session is one client.
//
//	State    What is taken        What is brought       What leads on
//	open     messages, to the hub frames of the hub     Close, finish
//	closing  nothing              the last frames       finish
//	ended    nothing              nothing               nothing
//
// The hub calls Close; finish follows the close frame, or the client's absence.
type session struct {
	transport *Transport
	route     Route // of the request that opened it
	from      netip.AddrPort

	// turn holds a token while no request's messages are being handled, and the
	// client is connected.
	turn chan struct{}

	mu       sync.Mutex // guards what follows
	state    state
	app      *hub.App  // nil until a SockJS client has named it
	client   *hub.Conn // nil until the hub has accepted the client
	queue    queue
	receiver *receiver   // nil = no request is there to bring anything
	timer    *time.Timer // of absence or of closing; nil = none
	end      hub.End     // while closing
	streams  bool        // the last receiver streams
	opened   bool        // the client has got the open frame
	beat     bool        // a heartbeat was sent that a streaming client has not answered
}

type state uint8

const (
	open state = iota
	closing
	ended
)

var (
	_ hub.Socket    = (*session)(nil)
	_ hub.Addressed = (*session)(nil)
)

// Address implements hub.Addressed.
func (s *session) Address() string { return s.from.String() }

func newSession(t *Transport, route Route) *session {
	s := &session{transport: t, route: route, turn: make(chan struct{}, 1)}
	s.queue.limits = &t.limits
	s.queue.add(t.openFrame)
	return s
}

// heartbeat is a line that all sessions share.
var heartbeat = []byte(protocol.HTTPHeartbeat)

// connect gives the session to the hub, which may have no room for it. The caller
// has the turn.
func (s *session) connect(app *hub.App, visitor hub.Visitor) {
	visitor.Answers = true // there are no pings of a WebSocket
	client, err := s.transport.hub.ConnectAs(app, s, visitor)
	if err != nil {
		refusal := hub.Refusal{}
		errors.As(err, &refusal)
		s.refuse(refusal.Fault, refusal.Reason)
		return
	}
	s.mu.Lock()
	s.app, s.client = app, client
	over := s.state == ended
	s.mu.Unlock()
	if over { // meanwhile
		client.Gone(disconnected)
	}
}

// asFault returns what the client is told of an error.
func asFault(err error) protocol.Fault {
	if fault := (protocol.Fault{}); errors.As(err, &fault) {
		return fault
	}
	return protocol.OverCapacity()
}

// Send implements hub.Socket.
func (s *session) Send(frames [][]byte) hub.Backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return hub.Clear
	}
	s.queue.add(frames...)
	if n := len(frames); n > 0 && isPing(frames[n-1]) {
		s.beat = s.streams
	}
	s.wake()
	return s.queue.backlog(s.receiver != nil)
}

// Backlog implements hub.Socket.
func (s *session) Backlog() hub.Backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.backlog(s.receiver != nil)
}

// Stalled implements hub.Socket.
func (s *session) Stalled() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.stalled()
}

// Deflates implements hub.Socket.
func (s *session) Deflates() bool { return false }

// Close implements hub.Socket. The open frame goes out before the error, since
// clients do not look at what comes without it.
func (s *session) Close(f protocol.Fault, reason hub.CloseReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return
	}
	s.state, s.end = closing, hub.End{Code: f.Code, Reason: reason}
	keep := 0
	if !s.opened {
		keep = 1
	}
	s.queue.drop(keep)
	s.queue.add(lastFrames(f)...)
	s.wake()
	s.setTimer(CloseGrace, s.end)
}

// lastFrames are what a client is sent before the session ends.
func lastFrames(f protocol.Fault) [][]byte {
	last := protocol.AppendHTTPClose(nil, f.Code, f.Message)
	if f.Code >= protocol.CodeTLSOnly {
		return [][]byte{protocol.ErrorFrame(f), last}
	}
	return [][]byte{last}
}

// disconnected is the end of a client that does not come back.
var disconnected = hub.End{Code: 1006, Reason: hub.Disconnected}

// finish ends the session at once and without a word.
func (s *session) finish(e hub.End) {
	s.mu.Lock()
	if s.state == ended {
		s.mu.Unlock()
		return
	}
	first := s.state == open
	s.state = ended
	s.queue.release()
	s.stopTimer()
	if s.receiver != nil && !s.receiver.last {
		s.receiver.limitWrite(0)
		s.wake()
	}
	client := s.client
	s.mu.Unlock()
	s.transport.forget(s)
	if first && client != nil {
		client.Gone(e)
	}
	s.log(e)
}

// log reports the end of a session at debug level.
func (s *session) log(e hub.End) {
	log := s.transport.log
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	var appID, socketID string
	s.mu.Lock()
	if s.client != nil {
		appID, socketID = s.app.ID, s.client.ID()
	}
	s.mu.Unlock()
	log.Debug("connection ended", "transport", string(s.route.Kind), "app", appID, "socket", socketID,
		"code", int(e.Code), "reason", string(e.Reason))
}

// setTimer finishes the session after d, unless the timer is set anew or stopped.
// The lock is held.
func (s *session) setTimer(d time.Duration, e hub.End) {
	s.stopTimer()
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		s.mu.Lock()
		due := s.timer == t
		s.mu.Unlock()
		if due {
			s.finish(e)
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

// heard notes a request of the client. false: the session is at its end.
func (s *session) heard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Touch()
	}
	if s.state == open && s.receiver == nil {
		s.setTimer(absence, disconnected)
	}
	return s.state == open
}

// pinged answers a client that asks for a sign of life, unless it does so because
// it has got one: a client that streams answers each heartbeat.
func (s *session) pinged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return
	}
	if s.beat {
		s.beat = false
		return
	}
	s.addHeartbeat()
}

// idle follows a receiver that has had nothing to bring for a while. A SockJS
// client that has not said by then which app it wants has no business here.
func (s *session) idle() {
	s.mu.Lock()
	named := s.app != nil || s.route.Key != ""
	if named && s.state == open {
		s.addHeartbeat()
	}
	s.mu.Unlock()
	if !named {
		s.refuse(protocol.PathNotFound(), hub.Refused)
	}
}

// refuse closes a session that the hub does not have.
func (s *session) refuse(f protocol.Fault, reason hub.CloseReason) {
	s.transport.hub.CountClose(f, reason)
	s.Close(f, reason)
}

// addHeartbeat queues a heartbeat, unless one waits already. The lock is held.
func (s *session) addHeartbeat() {
	if n := len(s.queue.frames); n > 0 && isPing(s.queue.frames[n-1]) {
		return
	}
	s.queue.add(heartbeat)
	s.beat = s.streams
	s.wake()
}

// wake has the receiver look again. The lock is held.
func (s *session) wake() {
	if s.receiver == nil {
		return
	}
	select {
	case s.receiver.wake <- struct{}{}:
	default:
	}
}
