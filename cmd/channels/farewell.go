package main

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// farewell ends the connections on which proxies and SDKs make one request after
// the other. Closing such a connection may cross with a request that is on its way,
// which then fails, so the node tells its peers before: new connects are refused,
// which has a proxy try the next node, and the next answer on each connection says
// that it is the last one.
type farewell struct {
	handler http.Handler
	called  atomic.Bool // there was a request that was no socket
	leaving atomic.Bool
}

// longestFarewell is how long peers have at most to make their last requests. A
// tenth of a second was too short: where all stood still for as long, a connection
// that had not been used meanwhile was used again just when it was closed.
const longestFarewell = time.Second

// ServeHTTP implements http.Handler.
func (f *farewell) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		if !f.called.Load() {
			f.called.Store(true)
		}
		if f.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
	}
	f.handler.ServeHTTP(w, r)
}

// say refuses new connections, and gives those there are a moment to end. It
// blocks for a fifth of the grace period at most, and not at all where nobody has
// made a request.
func (f *farewell) say(listener net.Listener, grace time.Duration) {
	f.leaving.Store(true)
	_ = listener.Close()
	if f.called.Load() {
		time.Sleep(min(grace/5, longestFarewell))
	}
}
