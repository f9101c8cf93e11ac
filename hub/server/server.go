package server

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"channels/hub"
	"channels/hub/refusals"
	"channels/hub/transport"
	"channels/hub/transport/fallback"
)

// Options configure a Server. Zero values take the defaults named.
type Options struct {
	Hub       *hub.Hub
	API       http.Handler // answers what is below /apps/ and /users/
	Transport *transport.Transport
	Fallback  *fallback.Transport // for clients without WebSockets; nil = none may come
	Log       *slog.Logger

	HandshakesPerSecond int // sockets that one address may open; 0 = no limit

	// TrustedProxies are the proxies that are believed about their clients'
	// addresses and schemes; nil = none.
	TrustedProxies []netip.Prefix

	// ProxyProtocol wants a header of the PROXY protocol, version 1 or 2, from
	// every connection, which must come from a trusted proxy.
	ProxyProtocol bool

	MaxRequestConnections int // connections that are no sockets; 0 = no bound
	MaxOpenConnections    int // those and sockets together; 0 = no bound

	// Refusals is told which handshakes are refused; nil = nobody is.
	Refusals *refusals.Log

	// Ready is why this node should be given no clients; nil = as the hub says.
	Ready func() error

	// PublicSecret says that an app has the secret for development, which is
	// known to everybody. The server warns when others than this machine use it; nil =
	// none has.
	PublicSecret func() bool

	// Welcome serves a page at / that helps with the first steps, to this machine
	// only, with the app that it returns. It shows the app's secret, so it is for
	// development credentials only; nil = none.
	Welcome func() *hub.App
}

// Server answers HTTP: it is the handler of the public listener. Its methods may be
// called from any goroutine.
type Server struct {
	hub           *hub.Hub
	api           http.Handler
	transport     *transport.Transport
	fallback      *fallback.Transport
	log           *slog.Logger
	refusals      *refusals.Log
	welcome       func() *hub.App
	ready         func() error
	handshakes    handshakeLimit
	proxies       trustedProxies
	proxyProtocol bool
	requestConns  *requestConns

	publicSecret func() bool
	warned       sync.Once // of the public secret

	served        atomic.Bool // there was a request that was no socket's
	draining      atomic.Bool // not ready any more
	socketsClosed atomic.Bool // no new sockets
}

var _ http.Handler = (*Server)(nil)

// New returns a server for a running hub.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Refusals == nil {
		o.Refusals = refusals.New(slog.New(slog.DiscardHandler))
	}
	if o.PublicSecret == nil {
		o.PublicSecret = func() bool { return false }
	}
	if o.Welcome == nil {
		o.Welcome = func() *hub.App { return nil }
	}
	if o.Ready == nil {
		o.Ready = o.Hub.Err
	}
	return &Server{
		hub:           o.Hub,
		api:           o.API,
		transport:     o.Transport,
		fallback:      o.Fallback,
		log:           o.Log,
		refusals:      o.Refusals,
		welcome:       o.Welcome,
		ready:         o.Ready,
		handshakes:    handshakeLimit{perSecond: o.HandshakesPerSecond},
		proxies:       o.TrustedProxies,
		proxyProtocol: o.ProxyProtocol,
		requestConns:  newRequestConns(o),
		publicSecret:  o.PublicSecret,
	}
}

// StartDraining makes the server not ready, ahead of a shutdown. Keep-alive
// connections end with their next answer, so that publishers go to another node.
func (s *Server) StartDraining() { s.draining.Store(true) }

// HasServed says whether there was a request that was no socket's. If so, somebody
// may keep a connection for the next one.
func (s *Server) HasServed() bool { return s.served.Load() }

// CloseToSockets has new sockets closed with 4100 from now on, so that clients try
// again a second later: where nobody listens, pusher-js waits for fifteen.
func (s *Server) CloseToSockets() { s.socketsClosed.Store(true) }

// errDraining is what Ready answers after StartDraining.
var errDraining = errors.New("shutting down")

// Ready is why this node should be given no clients, nil when it should.
func (s *Server) Ready() error {
	if s.draining.Load() {
		return errDraining
	}
	return s.ready()
}

// ServeHTTP implements http.Handler. The transport and the API see the client's
// address in the request's RemoteAddr, as trusted proxies tell it; its port is 0
// when they do not tell that.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := s.proxies.peerOf(r)
	if from.told {
		ours := *r
		ours.RemoteAddr = from.address.String()
		r = &ours
	}
	s.warnOfPublicSecret(r, from)
	if isUpgrade(r) {
		s.serveSocket(w, r, from)
		return
	}
	if !s.served.Load() {
		s.served.Store(true)
	}
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	s.serveRequest(w, r, from)
}

// serveRequest answers what is no WebSocket.
func (s *Server) serveRequest(w http.ResponseWriter, r *http.Request, from peer) {
	if route, ok := fallback.ParsePath(r.URL.Path); ok && s.fallback != nil {
		s.serveFallback(w, r, route, from)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/apps/") || strings.HasPrefix(r.URL.Path, "/users/") {
		s.api.ServeHTTP(w, r)
		return
	}
	leaveBody(w, r)
	switch {
	case r.URL.Path == "/up" || r.URL.Path == "/readyz":
		s.serveReadiness(w, r)
	case strings.HasPrefix(r.URL.Path, "/app/"):
		upgradeRequired(w)
	case strings.HasPrefix(r.URL.Path, "/pusher/"):
		noFallback(w, r)
	case isWelcomePath(r.URL.Path) && fromThisMachine(r, from):
		s.serveWelcome(w, r, s.welcome())
	default:
		http.Error(w, "Not found", http.StatusNotFound)
	}
}

// serveReadiness tells balancers whether this node should be given clients. It says no
// more than that: strangers ask, too.
func (s *Server) serveReadiness(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET is supported here", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if s.Ready() != nil {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// leaveBody has a request's body, which nobody reads, not be waited for: net/http
// would read on to its end, and a client that does not send it would keep its place
// among the connections with a request.
func leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	w.Header().Set("Connection", "close")
	// An error says that this writer has no connection, as in tests.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now())
}

// upgradeRequired answers a plain request where a WebSocket is expected.
func upgradeRequired(w http.ResponseWriter) {
	w.Header().Add("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	http.Error(w, "This address takes WebSocket connections only", http.StatusUpgradeRequired)
}

// noFallback answers what is no path of the HTTP transports, from any origin, so
// that a developer can read what is the matter.
func noFallback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "content-type")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Error(w, "Not a path of the HTTP transports, which is /pusher/app/{key}/{server}/{session}/xhr_streaming, xhr or xhr_send",
		http.StatusNotFound)
}
