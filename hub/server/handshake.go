package server

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"channels/hub"
	"channels/hub/refusals"
	"channels/hub/transport/fallback"
	"channels/protocol"
)

// The oldest and the newest version of the protocol that a client may ask for.
const (
	oldestProtocol = 4
	newestProtocol = 7
)

func isUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveSocket accepts a WebSocket, whatever its path: only on an open connection
// can a client learn what is wrong.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request, from peer) {
	if !s.allowHandshake(r, from) {
		tooManyHandshakes(w)
		return
	}
	app, visitor, refusal := s.checkHandshake(r, from)
	s.transport.Serve(clientWriter{w, from}, r, app, visitor, refusal)
}

// serveFallback answers a request of a client without WebSockets. Whether it may
// connect is decided when it opens its session.
func (s *Server) serveFallback(w http.ResponseWriter, r *http.Request, route fallback.Route, from peer) {
	s.fallback.Serve(w, r, route, fallback.Gate{
		Client: fallback.Client{Address: from.address, Secure: from.secure},
		Allow:  func() bool { return s.allowHandshake(r, from) },
		App: func(client fallback.Client, key string, query url.Values) (*hub.App, hub.Visitor, error) {
			app, visitor, err := s.admit(key, query, r.Header.Get("Origin"), client.Secure)
			s.tellRefused(key, client.Address.String(), err)
			return app, visitor, err
		},
	})
}

// allowHandshake takes one handshake from the bucket of the client's address.
func (s *Server) allowHandshake(r *http.Request, from peer) bool {
	if s.handshakes.allow(from.address.Addr(), r.RemoteAddr) {
		return true
	}
	s.refusals.Tell(refusals.Refusal{Kind: refusals.Handshake, Code: http.StatusTooManyRequests, Text: tooMany, Address: r.RemoteAddr})
	return false
}

// tellRefused notes that a client with a key may not connect; a nil error is none.
func (s *Server) tellRefused(key, client string, err error) {
	fault := protocol.Fault{}
	if !errors.As(err, &fault) {
		return
	}
	key, _, _ = protocol.SplitKey(key)
	r := refusals.Refusal{Kind: refusals.Handshake, Code: int(fault.Code), Text: fault.Message, Address: client}
	if app := s.hub.AppByKey(key); app != nil {
		r.App = app.ID
	}
	s.refusals.Tell(r)
}

// checkHandshake returns the app and who the client is, and why the connection is to be
// closed, which is a protocol.Fault; nil = it is not.
func (s *Server) checkHandshake(r *http.Request, from peer) (*hub.App, hub.Visitor, error) {
	key, ok := appKey(r.URL.Path)
	var app *hub.App
	var visitor hub.Visitor
	err := error(protocol.PathNotFound())
	if ok {
		app, visitor, err = s.admit(key, r.URL.Query(), r.Header.Get("Origin"), from.secure)
	}
	s.tellRefused(key, r.RemoteAddr, err)
	return app, visitor, err
}

// admit is checkHandshake for what a client names as its key, the query of its URL and its
// origin, and for whether it speaks TLS.
func (s *Server) admit(named string, query url.Values, origin string, secure bool) (*hub.App, hub.Visitor, error) {
	key, token, err := protocol.SplitKey(named)
	visitor := hub.Visitor{Token: token, Answers: query.Get("client") == answeringClient}
	app := s.hub.AppByKey(key)
	switch {
	case s.socketsClosed.Load():
		err = protocol.OverCapacity()
	case app == nil:
		err = protocol.UnknownAppKey(key)
	case app.Disabled:
		err = protocol.AppDisabled()
	case app.ForceTLS && !secure:
		err = protocol.TLSOnly()
	case err != nil: // of the token
	default:
		err = checkProtocol(query.Get("protocol"))
	}
	if err == nil && !originAllowed(app.AllowedOrigins, origin) {
		err = protocol.OriginNotAllowed()
	}
	if err != nil {
		return nil, visitor, err
	}
	return app, visitor, nil
}

// answeringClient is what pusher-js calls itself. It answers pusher:ping once it has
// dispatched the events before it; other SDKs do not, or it is not known.
const answeringClient = "js"

// appKey returns the key in /app/{key}.
func appKey(path string) (string, bool) {
	key, ok := strings.CutPrefix(path, "/app/")
	return key, ok && key != "" && !strings.Contains(key, "/")
}

func checkProtocol(version string) error {
	if version == "" {
		return protocol.NoProtocol()
	}
	n, err := strconv.Atoi(version)
	if err != nil || n < oldestProtocol || n > newestProtocol {
		return protocol.UnsupportedProtocol()
	}
	return nil
}
