package transport

import (
	"bufio"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// newLibrary makes a library's connection over a guard whose handshake is long
// over. The library makes connections in handshakes only, so it is given one
// again, whose answer nobody gets.
func newLibrary(g *guard, limit int64) (*library, error) {
	over := &replay{guard: g, header: http.Header{}}
	ws, err := websocket.Accept(over, &http.Request{
		Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Connection":            {"Upgrade"},
			"Upgrade":               {"websocket"},
			"Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key":     {"AAAAAAAAAAAAAAAAAAAAAA=="},
		},
	}, acceptOptions())
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(limit)
	over.library.ws = ws
	return &over.library, nil
}

// replay is the http.ResponseWriter of such a handshake.
type replay struct {
	guard   *guard
	header  http.Header
	library library
}

// Header implements http.ResponseWriter.
func (r *replay) Header() http.Header { return r.header }

// Write implements http.ResponseWriter.
func (r *replay) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (r *replay) WriteHeader(int) {}

// Hijack implements http.Hijacker.
func (r *replay) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	rw := r.library.connect(r.guard)
	return r.library.port, rw, nil
}
