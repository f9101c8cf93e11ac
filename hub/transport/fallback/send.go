package fallback

import (
	"io"
	"net/http"
	"time"

	"channels/hub"
	"channels/protocol"
)

// messageTimeout is how long a request with messages may take, and wait for its
// turn, so that nobody holds connections by sending in drops.
const messageTimeout = 30 * time.Second

// answerTimeout is how long the answer to a request with messages may take.
const answerTimeout = 10 * time.Second

// send handles a request with messages. Requests are handled one after the other,
// in the order in which they come; a body is read when it is its turn.
func (s *session) send(w http.ResponseWriter, r *http.Request) {
	if !s.awaitTurn(r) {
		http.Error(w, "The session has ended, or handles earlier messages", http.StatusServiceUnavailable)
		return
	}
	defer func() { s.turn <- struct{}{} }()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(messageTimeout)) // it had one before
	limit := readLimit(s.app)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(bodyLimit(limit))))
	_ = control.SetWriteDeadline(time.Now().Add(messageTimeout + answerTimeout))
	switch {
	case isTooLarge(err):
		s.tooLarge(w)
		return
	case err != nil:
		return // the client has gone, or has sent no body in time
	}
	messages, err := protocol.DecodeHTTPMessages(body)
	if err != nil {
		http.Error(w, "The body must be a JSON array of strings: it is "+err.Error(), http.StatusBadRequest)
		return
	}
	for _, message := range messages {
		if len(message) > limit {
			s.tooLarge(w)
			return
		}
		s.receive(message)
	}
	if len(messages) == 0 {
		s.pinged()
	}
	s.heard()
	_ = control.SetWriteDeadline(time.Now().Add(answerTimeout))
	w.WriteHeader(http.StatusNoContent)
}

// awaitTurn takes the token. false: the client or the session has gone, or the
// hub lets nothing through.
func (s *session) awaitTurn(r *http.Request) bool {
	select {
	case <-s.turn:
		return true
	default:
	}
	late := time.NewTimer(messageTimeout)
	defer late.Stop()
	select {
	case <-s.turn:
		return true
	case <-late.C:
		s.close(protocol.Fault{Code: codePolicy, Message: "A message was not handled within 30 seconds"}, hub.MessageTimeout)
	case <-r.Context().Done():
	}
	return false
}

// codePolicy is RFC 6455's code for what no other one says.
const codePolicy protocol.Code = 1008

// receive hands a message to the hub, and waits until it has room. The caller has
// the turn, so the client does not change.
func (s *session) receive(message []byte) {
	for s.heard() {
		wait := s.client.Receive(message)
		if wait == nil {
			return
		}
		select {
		case <-wait:
		case <-time.After(time.Second): // the session or the hub may have ended
		}
	}
}

// tooLarge closes the session of a client that sends more than the app allows.
func (s *session) tooLarge(w http.ResponseWriter) {
	s.close(protocol.Fault{Code: protocol.CodeTooBig, Message: "Message too large"}, hub.TooLarge)
	http.Error(w, "The message is too large", http.StatusRequestEntityTooLarge)
}

// close has the hub close the session, so that answers to earlier messages go out
// first.
func (s *session) close(f protocol.Fault, reason hub.CloseReason) {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client != nil {
		client.Close(f, reason)
	}
}

// readLimit is the largest message accepted from a client, in bytes: an event of
// the app's largest size may be six times as long on the wire.
func readLimit(app *hub.App) int {
	const floor = 64 << 10
	return max(floor, 6*app.MaxEventBytes+4<<10)
}

// bodyLimit is the largest body of a request with messages, in bytes: quotes and
// backslashes are escaped once more in it.
func bodyLimit(message int) int { return 2*message + 4<<10 }
