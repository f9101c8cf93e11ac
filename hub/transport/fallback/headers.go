package fallback

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// allowOrigins lets pages of every origin read the answers. Which origins may
// connect is the app's to say, when a session is opened. SockJS clients make
// requests with credentials, which are ignored.
func allowOrigins(h http.Header, origin string, sockJS bool) {
	if !sockJS || origin == "" {
		h.Set("Access-Control-Allow-Origin", "*")
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Vary", "Origin")
}

// preflight answers a browser that asks whether a page may make requests. Browsers
// remember the answer for a day at most.
func preflight(w http.ResponseWriter, method string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "OPTIONS, "+method)
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}

// info tells a SockJS client what there is: no WebSocket, which is what has failed.
func info(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, _ = fmt.Fprintf(w, `{"websocket":false,"origins":["*:*"],"cookie_needed":false,"entropy":%d}`, rand.Uint32()) // nothing is left to do
}

// noStore keeps caches from storing an answer, and proxies from compressing it,
// which would hold it back.
func noStore(h http.Header) { h.Set("Cache-Control", "no-store, no-transform") }

// noReadDeadline takes away the time limit for reading the request, which has been
// read: when it passes, the server would take the client for gone.
func noReadDeadline(c *http.ResponseController) {
	_ = c.SetReadDeadline(time.Time{}) // where there are no deadlines, none passes
}
