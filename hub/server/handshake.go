package server

import (
	"net/http"
	"strconv"
	"strings"

	"channels/hub"
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

// serveSocket takes a WebSocket in, whatever its path: a client can only be told
// what is wrong on an open connection.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !s.handshakes.allow(r) {
		tooManyHandshakes(w)
		return
	}
	app, refusal := s.checkHandshake(r)
	s.transport.Serve(w, r, app, refusal)
}

// checkHandshake finds the app and what stands against the connection, which is
// a protocol.Fault.
func (s *Server) checkHandshake(r *http.Request) (*hub.App, error) {
	key, ok := appKey(r.URL.Path)
	if !ok {
		return nil, protocol.PathNotFound()
	}
	app := s.hub.AppByKey(key)
	switch {
	case s.closed.Load():
		return nil, protocol.OverCapacity()
	case app == nil:
		return nil, protocol.UnknownAppKey(key)
	case app.Disabled:
		return nil, protocol.AppDisabled()
	case app.ForceTLS && r.TLS == nil && r.Header.Get("X-Forwarded-Proto") != "https":
		return nil, protocol.TLSOnly()
	}
	if err := checkProtocol(r.URL.Query().Get("protocol")); err != nil {
		return nil, err
	}
	if !originAllowed(app.AllowedOrigins, r.Header.Get("Origin")) {
		return nil, protocol.OriginNotAllowed()
	}
	return app, nil
}

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
