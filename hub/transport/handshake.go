package transport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"channels/hub"
	"channels/protocol"
)

// subprotocol is what some SDKs offer in Sec-WebSocket-Protocol.
const subprotocol = "pusher-channels-protocol-7"

// Serve takes a WebSocket in. A client can only be told what is wrong on an open
// connection, so a refusal, which is a protocol.Fault, is sent there; app may
// then be nil. Serve returns at once, which frees the HTTP server's part of the
// connection.
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, app *hub.App, refusal error) {
	session, err := t.accept(w, r, app)
	if err != nil {
		return // the library has answered
	}
	g := session.guard
	reason := hub.Refused
	if refusal == nil {
		session.client, reason, refusal = t.connect(app, g)
	}
	if refusal != nil {
		t.refuse(g, refusal, reason)
	}
	session.start()
}

// connect gives the socket to the hub, which may have no room for it.
func (t *Transport) connect(app *hub.App, g *guard) (*hub.Conn, hub.CloseReason, error) {
	client, err := t.hub.Connect(app, socket{g})
	if err != nil {
		if fault := asFault(err); fault.Code == protocol.CodeOverQuota {
			return nil, hub.Quota, err
		}
		return nil, hub.Capacity, err
	}
	g.client = client
	return client, "", nil
}

func (t *Transport) refuse(g *guard, refusal error, reason hub.CloseReason) {
	fault := asFault(refusal)
	t.hub.CountClose(fault, reason)
	g.shut(fault)
}

// asFault returns what the client is told of an error.
func asFault(err error) protocol.Fault {
	if fault := (protocol.Fault{}); errors.As(err, &fault) {
		return fault
	}
	return protocol.OverCapacity()
}

// accept has the library do the handshake over a guard.
func (t *Transport) accept(w http.ResponseWriter, r *http.Request, app *hub.App) (*session, error) {
	h := &hijacker{ResponseWriter: w, transport: t}
	ws, err := websocket.Accept(h, r, acceptOptions())
	if err != nil {
		return nil, err
	}
	limit := readLimit(app)
	ws.SetReadLimit(limit)
	h.library.ws = ws
	return &session{transport: t, guard: h.guard, library: h.library, readLimit: limit}, nil
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
	transport *Transport
	guard     *guard
	library   *library // by itself: it outlives the request, and this
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
	h.guard = newGuard(conn, ahead, h.transport.queues)
	if h.guard.fd >= 0 {
		h.guard.poller = h.transport.readers.get()
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
