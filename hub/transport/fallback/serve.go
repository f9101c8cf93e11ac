package fallback

import (
	"net/http"

	"channels/hub"
)

// Gate is what the listener decides about a client that opens a session.
type Gate struct {
	// Allow says whether its address may open one more now.
	Allow func() bool
	// App returns the app with a key for a version of the protocol, or why the
	// client may not connect, which is a protocol.Fault.
	App func(key, version string) (*hub.App, error)
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
	if r.Header.Get(forwardHeader) != "" && !t.verify(r) {
		http.Error(w, "Not forwarded by a node", http.StatusForbidden)
		return
	}
	switch route.Kind {
	case Info:
		info(w)
		return
	case Sending:
		t.send(w, r, route, gate)
		return
	}
	t.receive(w, r, route, gate)
}

// send serves a request with messages.
func (t *Transport) send(w http.ResponseWriter, r *http.Request, route Route, gate Gate) {
	s := t.find(route)
	if s == nil && t.mayForward(r) {
		if owner := t.owner(r.Context(), route); owner != "" {
			t.forward(w, r, route, owner)
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

// mayForward says whether a request came from a client: what came from another
// node goes nowhere else, so that no request runs in a circle.
func (t *Transport) mayForward(r *http.Request) bool {
	return t.peers != nil && r.Header.Get(forwardHeader) == ""
}

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
	control := http.NewResponseController(w)
	noReadDeadline(control)
	for {
		s := t.find(route)
		if s == nil {
			switch {
			case t.mayForward(r):
				if owner := t.claim(r.Context(), route); owner != "" {
					t.forward(w, r, route, owner)
					return
				}
			case t.peers != nil:
				w.WriteHeader(http.StatusGone)
				return
			}
			if !gate.Allow() {
				t.release(route)
				w.Header().Set("Retry-After", "1")
				http.Error(w, "Too many connections from this address, try again in a moment", http.StatusTooManyRequests)
				return
			}
			var app *hub.App
			if route.Key != "" {
				var refusal error
				if app, refusal = gate.App(route.Key, r.URL.Query().Get("protocol")); refusal != nil {
					t.release(route)
					t.refuse(w, route.Kind, refusal)
					return
				}
			}
			s = t.open(route, app)
		}
		if s.serve(w, r, route.Kind) {
			return
		}
	}
}

// release gives up a session that was claimed and is not opened.
func (t *Transport) release(route Route) {
	if t.peers != nil {
		t.peers.Release(route.id())
	}
}
