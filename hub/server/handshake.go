package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"channels/hub"
	"channels/protocol"
)

// The oldest and the newest version of the protocol that a client may ask for.
const (
	oldestProtocol = 4
	newestProtocol = 7
)

// subprotocol is what some SDKs offer in Sec-WebSocket-Protocol.
const subprotocol = "pusher-channels-protocol-7"

func isUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveSocket takes a WebSocket in, whatever its path: a client can only be told
// what is wrong on an open connection. The handler returns at once, which frees
// the HTTP server's part of the connection.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !s.knocks.allow(r) {
		tooManyHandshakes(w)
		return
	}
	app, refusal := s.checkHandshake(r)
	session, err := s.accept(w, r, app)
	if err != nil {
		return // the library has answered
	}
	g := session.guard
	reason := hub.Refused
	if refusal == nil {
		session.client, reason, refusal = s.connect(app, g)
	}
	if refusal != nil {
		s.refuseSocket(g, refusal, reason)
	}
	session.start()
}

// connect gives the socket to the hub, which may have no room for it.
func (s *Server) connect(app *hub.App, g *guard) (*hub.Conn, hub.CloseReason, error) {
	client, err := s.hub.Connect(app, socket{g})
	if err != nil {
		if fault := asFault(err); fault.Code == protocol.CodeOverQuota {
			return nil, hub.Quota, err
		}
		return nil, hub.Capacity, err
	}
	g.client = client
	return client, "", nil
}

func (s *Server) refuseSocket(g *guard, refusal error, reason hub.CloseReason) {
	fault := asFault(refusal)
	s.hub.CountClose(fault, reason)
	g.shut(fault)
}

// asFault returns what the client is told of an error.
func asFault(err error) protocol.Fault {
	if fault := (protocol.Fault{}); errors.As(err, &fault) {
		return fault
	}
	return protocol.OverCapacity()
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

// accept has the library do the handshake over a guard.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, app *hub.App) (*session, error) {
	h := &hijacker{ResponseWriter: w, server: s}
	ws, err := websocket.Accept(h, r, acceptOptions())
	if err != nil {
		return nil, err
	}
	limit := readLimit(app)
	ws.SetReadLimit(limit)
	h.library.ws = ws
	return &session{server: s, guard: h.guard, library: h.library, readLimit: limit}, nil
}

// readLimit is the largest message taken from a client, in bytes: an event of
// the app's largest size may be six times as long on the wire.
func readLimit(app *hub.App) int64 {
	const floor = 64 << 10
	if app == nil {
		return floor
	}
	return int64(max(floor, 6*app.MaxEventBytes+4<<10))
}

// hijacker is a ResponseWriter that hands out a guarded connection. The answer to
// the handshake goes out in one write with the first frame behind it: a write
// takes longer than anything else that is done for a connection.
type hijacker struct {
	http.ResponseWriter
	server  *Server
	guard   *guard
	library *library // by itself: it outlives the request, and this
}

// WriteHeader implements http.ResponseWriter. The status of a handshake is left
// to Hijack.
func (h *hijacker) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		h.ResponseWriter.WriteHeader(status)
	}
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	ahead, err := readAhead(rw.Reader)
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	h.guard = newGuard(conn, ahead, h.server.queues)
	if h.guard.fd >= 0 {
		h.guard.poller = h.server.readers.get()
	}
	h.guard.greeting = switchingProtocols(h.Header())
	h.library = new(library)
	rw = h.library.connect(h.guard)
	return h.library.port, rw, nil
}

// switchingProtocols is the head of the answer to a handshake.
func switchingProtocols(header http.Header) []byte {
	const usual = 256 // bytes that it takes
	var b bytes.Buffer
	b.Grow(usual)
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

// readAhead returns what the HTTP server has read past the handshake: clients
// may send their first message right behind it.
func readAhead(r *bufio.Reader) ([]byte, error) {
	n := r.Buffered()
	if n == 0 {
		return nil, nil
	}
	b, err := r.Peek(n)
	return append([]byte(nil), b...), err
}
