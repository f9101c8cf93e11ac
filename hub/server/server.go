package server

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"channels/hub"
	"channels/hub/transport"
)

// Options configure a Server. Zero values take the defaults named.
type Options struct {
	Hub       *hub.Hub
	API       http.Handler // answers what is below /apps/ and /users/
	Transport *transport.Transport
	Log       *slog.Logger

	HandshakesPerSecond int // connections of an address; 0 = no limit

	// Ready is why this node should be given no clients; nil = as the hub says.
	Ready func() error

	// Welcome serves a page at / that helps with the first steps. It shows the
	// app's secret, so it is for development credentials only; nil = none.
	Welcome *hub.App
}

// Server answers HTTP: it is the handler of the public listener.
type Server struct {
	hub        *hub.Hub
	api        http.Handler
	transport  *transport.Transport
	log        *slog.Logger
	welcome    *hub.App
	ready      func() error
	handshakes handshakes

	leaving atomic.Bool // not ready any more
	closed  atomic.Bool // to new sockets
}

var _ http.Handler = (*Server)(nil)

// New returns a server for a running hub.
func New(o Options) *Server {
	s := &Server{
		hub:        o.Hub,
		api:        o.API,
		transport:  o.Transport,
		log:        o.Log,
		welcome:    o.Welcome,
		ready:      o.Ready,
		handshakes: handshakes{perSecond: o.HandshakesPerSecond},
	}
	if s.ready == nil {
		s.ready = o.Hub.Err
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// HTTPServer returns a server for the public listener, with the time-outs that
// keep slow strangers from holding connections.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Leave makes the server not ready, ahead of a shutdown.
func (s *Server) Leave() { s.leaving.Store(true) }

// Refuse has new sockets closed with 4100 from now on, so that clients try again
// a second later: where nobody listens, pusher-js waits for fifteen.
func (s *Server) Refuse() { s.closed.Store(true) }

// errLeaving is what Ready answers after Leave.
var errLeaving = errors.New("shutting down")

// Ready is why this node should be given no clients, nil when it should.
func (s *Server) Ready() error {
	if s.leaving.Load() {
		return errLeaving
	}
	return s.ready()
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isUpgrade(r):
		s.serveSocket(w, r)
	case strings.HasPrefix(r.URL.Path, "/apps/"), strings.HasPrefix(r.URL.Path, "/users/"):
		s.api.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, "/app/"):
		upgradeRequired(w)
	case strings.HasPrefix(r.URL.Path, "/pusher/"):
		noFallback(w, r)
	case s.welcome != nil && (r.URL.Path == "/" || r.URL.Path == welcomeEventPath):
		s.serveWelcome(w, r)
	default:
		http.Error(w, "Not found", http.StatusNotFound)
	}
}

// upgradeRequired answers a plain request where a WebSocket is expected.
func upgradeRequired(w http.ResponseWriter) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	http.Error(w, "This address takes WebSocket connections only", http.StatusUpgradeRequired)
}

// noFallback answers the HTTP transports of pusher-js, from any origin, so that
// its user can read what is the matter.
func noFallback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "content-type")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Error(w, "HTTP fallback transports are not supported; set enabledTransports: ['ws', 'wss']", http.StatusNotFound)
}
