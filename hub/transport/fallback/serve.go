package fallback

import (
	"net/http"
	"net/url"

	"channels/hub"
)

// Gate is what the listener decides about a client that opens a session.
type Gate struct {
	Client Client
	// Allow says whether its address may open one more now.
	Allow func() bool
	// App returns the app with a key and who the client is, as the query of a
	// WebSocket's URL says, or why the client may not connect, which is a
	// protocol.Fault. The client is another than Client when another node has
	// forwarded the request.
	App func(client Client, key string, query url.Values) (*hub.App, hub.Visitor, error)
}

// Serve answers a request of the HTTP transports.
//
//	200  frames: a refusal, too, is a close frame behind an open frame
//	204  the messages have been handled, or the answer to a preflight
//	400  the body is no JSON array of strings; nothing of it has been handled
//	403  a request that claims in vain to be forwarded by another node
//	404  messages for a session that is not known
//	405  another method
//	410  a request that another node has forwarded, for a session that is not known
//	413  a message is too large, and the session ends with 1009
//	429  the address opens too many sessions
//	503  the messages have not been handled, and the session ends
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, route Route, gate Gate) {
	allowOrigins(w.Header(), r.Header.Get("Origin"), route.Key == "")
	method := http.MethodPost
	if route.Kind == EventSource || route.Kind == Info {
		method = http.MethodGet
	}
	switch r.Method {
	case http.MethodOptions:
		preflight(w, method)
		return
	case method:
	default:
		w.Header().Set("Allow", "OPTIONS, "+method)
		http.Error(w, "Use "+method, http.StatusMethodNotAllowed)
		return
	}
	noStore(w.Header())
	if isForwarded(r) {
		var ok bool
		if gate.Client, ok = t.verify(r); !ok {
			http.Error(w, "Not forwarded by a node", http.StatusForbidden)
			return
		}
		w.Header().Set(nodeHeader, t.id)
	}
	switch route.Kind {
	case Info:
		info(w)
	case Sending:
		t.send(w, r, route, gate)
	default:
		t.receive(w, r, route, gate)
	}
}

// send serves a request with messages.
func (t *Transport) send(w http.ResponseWriter, r *http.Request, route Route, gate Gate) {
	s := t.find(route)
	if s == nil && !isForwarded(r) {
		if owner := t.owner(r.Context(), route); owner != "" {
			t.forward(w, r, route, owner, gate.Client)
			return
		}
	}
	if s == nil || !s.heard() {
		unknown(w)
		return
	}
	s.send(w, r, gate)
}

func unknown(w http.ResponseWriter) { http.Error(w, "The session is not known", http.StatusNotFound) }

// receive serves a request that brings messages. The first one opens the session.
func (t *Transport) receive(w http.ResponseWriter, r *http.Request, route Route, gate Gate) {
	if err := discardBody(w, r); err != nil {
		if isTooLarge(err) {
			http.Error(w, "A request for messages has no body", http.StatusRequestEntityTooLarge)
		}
		return
	}
	w.Header().Set("Content-Type", "application/javascript; charset=UTF-8")
	if route.Kind == EventSource {
		w.Header().Set("Content-Type", "text/event-stream; charset=UTF-8")
	}
	w.Header().Set("X-Accel-Buffering", "no")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	noReadDeadline(http.NewResponseController(w))
	for {
		s := t.find(route)
		if s == nil {
			s = t.admit(w, r, route, gate)
		}
		if s == nil || s.serve(w, r, route.Kind) {
			return
		}
	}
}

// admit opens a session for a request. It returns nil when the request has been
// answered: by the owner of the session, or with a refusal. What another node has
// forwarded goes nowhere else, so that no request runs in a circle.
func (t *Transport) admit(w http.ResponseWriter, r *http.Request, route Route, gate Gate) *session {
	if isForwarded(r) {
		w.WriteHeader(http.StatusGone)
		return nil
	}
	if owner := t.owner(r.Context(), route); owner != "" {
		t.forward(w, r, route, owner, gate.Client)
		return nil
	}
	if !gate.Allow() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many connections from this address, try again in a moment", http.StatusTooManyRequests)
		return nil
	}
	var app *hub.App
	var visitor hub.Visitor
	if route.Key != "" {
		var refusal error
		if app, visitor, refusal = gate.App(gate.Client, route.Key, r.URL.Query()); refusal != nil {
			t.refuse(w, route.Kind, refusal)
			return nil
		}
	}
	if owner := t.claim(r.Context(), route); owner != "" { // since a moment ago
		t.forward(w, r, route, owner, gate.Client)
		return nil
	}
	return t.open(route, app, visitor, gate.Client.Address)
}
