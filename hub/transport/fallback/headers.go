package fallback

import (
	"net/http"
	"time"
)

// allowOrigins lets pages of every origin read the answers. Which origins may
// connect is the app's to say, when a session is opened.
func allowOrigins(h http.Header) { h.Set("Access-Control-Allow-Origin", "*") }

// preflight answers a browser that asks whether a page may make requests. Browsers
// remember the answer for a day at most.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "OPTIONS, POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}

// noStore keeps caches from storing an answer, and proxies from compressing it,
// which would hold it back.
func noStore(h http.Header) { h.Set("Cache-Control", "no-store, no-transform") }

// noReadDeadline takes away the time limit for reading the request, which has been
// read: when it passes, the server would take the client for gone.
func noReadDeadline(c *http.ResponseController) {
	_ = c.SetReadDeadline(time.Time{}) // where there are no deadlines, none passes
}
