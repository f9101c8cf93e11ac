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
//	404  messages for a session that is not known
//	405  another method
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
	switch route.Kind {
	case Info:
		info(w)
		return
	case Sending:
		s := t.find(route)
		if s == nil || !s.heard() {
			http.Error(w, "The session is not known", http.StatusNotFound)
			return
		}
		s.send(w, r, gate)
		return
	}
	t.receive(w, r, route, gate)
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
			if !gate.Allow() {
				w.Header().Set("Retry-After", "1")
				http.Error(w, "Too many connections from this address, try again in a moment", http.StatusTooManyRequests)
				return
			}
			var app *hub.App
			if route.Key != "" {
				var refusal error
				if app, refusal = gate.App(route.Key, r.URL.Query().Get("protocol")); refusal != nil {
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
