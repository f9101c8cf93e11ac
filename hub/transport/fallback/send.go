package fallback

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
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
func (s *session) send(w http.ResponseWriter, r *http.Request, gate Gate) {
	if !s.awaitTurn(r) {
		http.Error(w, "The session has ended, or handles earlier messages", http.StatusServiceUnavailable)
		return
	}
	defer func() { s.turn <- struct{}{} }()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(messageTimeout)) // it had one before
	s.mu.Lock()
	limit, named := readLimit(s.app), s.app != nil || s.route.Key != ""
	s.mu.Unlock()
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
	if !named && len(messages) > 0 {
		s.identify(messages[0], gate)
		messages = messages[1:]
	} else if len(messages) == 0 {
		s.pinged()
	}
	for _, message := range messages {
		if len(message) > limit {
			s.tooLarge(w)
			return
		}
		s.receive(message)
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

// identify reads the first message of a SockJS client, which names the app as the
// path of a WebSocket does, and connects the client.
func (s *session) identify(message []byte, gate Gate) {
	var first struct {
		Path string `json:"path"`
	}
	var app *hub.App
	var visitor hub.Visitor
	refusal := error(protocol.PathNotFound())
	if json.Unmarshal(message, &first) == nil {
		if u, err := url.Parse(first.Path); err == nil {
			if key, ok := strings.CutPrefix(u.Path, "/app/"); ok {
				app, visitor, refusal = gate.App(gate.Client, key, u.Query())
			}
		}
	}
	if refusal != nil {
		s.refuse(asFault(refusal), hub.Refused)
		return
	}
	s.connect(app, visitor)
}

// receive hands a message to the hub, and waits until it has room. The caller has
// the turn, so the client does not change.
func (s *session) receive(message []byte) {
	for s.heard() && s.client != nil {
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
		return
	}
	s.refuse(f, reason)
}

// readLimit is the largest message accepted from a client, in bytes: an event of
// the app's largest size may be six times as long on the wire.
func readLimit(app *hub.App) int {
	const floor = 64 << 10
	if app == nil {
		return floor
	}
	return max(floor, 6*app.MaxEventBytes+4<<10)
}

// bodyLimit is the largest body of a request with messages, in bytes: quotes and
// backslashes are escaped once more in it.
func bodyLimit(message int) int { return 2*message + 4<<10 }
