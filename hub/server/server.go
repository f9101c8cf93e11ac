package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"channels/hub"
)

// Options configure a Server. Zero values take the defaults named.
type Options struct {
	Hub *hub.Hub
	Log *slog.Logger

	QueueBytes      int   // bound of one client's queue; 0 = 1 MiB
	NodeQueueBytes  int64 // bound of all queues together; 0 = 512 MiB
	MaxRequestBytes int   // bound of a REST request's body; 0 = what the app's limits allow at most

	RequestsPerSecond   int // REST calls of an app; 0 = no limit
	HandshakesPerSecond int // connections of an address; 0 = no limit

	// GoroutineReaders gives every socket a goroutine that reads, which it has
	// anyway where idle sockets cannot be parked: over TLS, and elsewhere than on
	// Linux. It is meant for tests.
	GoroutineReaders bool

	// Ready is why this node should be given no clients; nil = as the hub says.
	Ready func() error

	// Metrics is filled in with what this server does; nil = one of its own.
	Metrics *Metrics

	// Welcome serves a page at / that helps with the first steps. It shows the
	// app's secret, so it is for development credentials only; nil = none.
	Welcome *hub.App
}

// Server answers HTTP: it is the handler of the public listener.
type Server struct {
	hub     *hub.Hub
	log     *slog.Logger
	queues  *queueLimits
	maxBody int
	welcome *hub.App
	buffers *buffers
	ready   func() error
	metrics *Metrics
	ok      prometheus.Counter // answers with status 200
	traffic map[*hub.App]*appTraffic
	knocks  handshakes
	listens atomic.Pointer[string] // port of the public listener

	requestsPerSecond int

	leaving  atomic.Bool  // not ready any more
	closed   atomic.Bool  // to new sockets
	sessions atomic.Int64 // sockets that are not closed yet
	readers  readers
}

var _ http.Handler = (*Server)(nil)

// New returns a server for a running hub.
func New(o Options) *Server {
	s := &Server{
		hub:     o.Hub,
		log:     o.Log,
		queues:  &queueLimits{perConn: o.QueueBytes, node: o.NodeQueueBytes},
		maxBody: o.MaxRequestBytes,
		welcome: o.Welcome,
		buffers: newBuffers(),
		ready:   o.Ready,
		metrics: o.Metrics,
		traffic: newTraffic(o.Hub.Apps(), o.RequestsPerSecond),
		knocks:  handshakes{perSecond: o.HandshakesPerSecond},

		requestsPerSecond: o.RequestsPerSecond,
	}
	if s.ready == nil {
		s.ready = o.Hub.Err
	}
	if s.metrics == nil {
		s.metrics = NewMetrics()
	}
	s.readers.off = o.GoroutineReaders
	s.metrics.setSource(s)
	s.ok = s.metrics.api.WithLabelValues("200")
	if s.queues.perConn <= 0 {
		s.queues.perConn = 1 << 20
	}
	if s.queues.node <= 0 {
		s.queues.node = 512 << 20
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.readers.log = s.log
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

// SetPort names the port of the public listener, for the metrics' labels.
func (s *Server) SetPort(port string) { s.listens.Store(&port) }

func (s *Server) port() string {
	if port := s.listens.Load(); port != nil {
		return *port
	}
	return ""
}

// Leave makes the server not ready, ahead of a shutdown.
func (s *Server) Leave() { s.leaving.Store(true) }

// Refuse has new sockets closed with 4100 from now on, so that clients try again
// a second later: where nobody listens, pusher-js waits for fifteen.
func (s *Server) Refuse() { s.closed.Store(true) }

// Wait returns when the last socket is closed, or with ctx's error.
func (s *Server) Wait(ctx context.Context) error {
	const step = 10 * time.Millisecond
	for s.sessions.Load() > 0 {
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return fmt.Errorf("waiting for sockets to close: %w", ctx.Err())
		}
	}
	return nil
}

// Close stops reading from sockets. It is called when there are none; see Wait.
func (s *Server) Close() { s.readers.close() }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isUpgrade(r):
		s.serveSocket(w, r)
	case strings.HasPrefix(r.URL.Path, "/apps/"), strings.HasPrefix(r.URL.Path, "/users/"):
		s.serveAPI(w, r)
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
