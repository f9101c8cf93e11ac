package transport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"

	"channels/hub"
	"channels/protocol"
)

// subprotocol is what some SDKs offer in Sec-WebSocket-Protocol.
const subprotocol = "pusher-channels-protocol-7"

// Serve accepts a WebSocket. A client can only read what is wrong on an open
// connection, so a refusal, which is a protocol.Fault, is sent there; app may then
// be nil. Serve returns at once, which frees the HTTP server's part of the
// connection.
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, app *hub.App, visitor hub.Visitor, refusal error) {
	s, ahead, err := t.accept(w, r, app)
	if err != nil {
		return // it has been answered
	}
	reason := hub.Refused
	if refusal == nil {
		reason, refusal = t.connect(s, visitor)
	}
	if refusal != nil {
		fault := asFault(refusal)
		t.hub.CountClose(fault, reason)
		s.closeWith(hub.End{Code: fault.Code, Reason: reason}, lastFrames(fault))
	}
	s.start(ahead)
}

// connect gives the session to the hub, which may have no room for it.
func (t *Transport) connect(s *session, visitor hub.Visitor) (hub.CloseReason, error) {
	client, err := t.hub.ConnectAs(s.app, s, visitor)
	if err != nil {
		refusal := hub.Refusal{}
		errors.As(err, &refusal)
		return refusal.Reason, err
	}
	s.line.Lock()
	s.client = client
	s.line.Unlock()
	return "", nil
}

// asFault returns what the client is told of an error.
func asFault(err error) protocol.Fault {
	if fault := (protocol.Fault{}); errors.As(err, &fault) {
		return fault
	}
	return protocol.OverCapacity()
}

// accept makes the handshake and takes the connection over. It also returns what
// the client has sent behind the handshake.
func (t *Transport) accept(w http.ResponseWriter, r *http.Request, app *hub.App) (*session, []byte, error) {
	h := &handshake{ResponseWriter: w}
	ws, err := websocket.Accept(h, r, acceptOptions(app))
	if err != nil {
		return nil, nil, err
	}
	_ = ws.CloseNow() // it has no connection; see handshake
	conn, ahead, err := takeOver(w)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return nil, nil, err
	}
	deflate := strings.HasPrefix(h.Header().Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	return t.newSession(conn, app, switchingProtocols(h.Header()), deflate), ahead, nil
}

// acceptOptions are those of a handshake. Origins are checked per app, so the
// library does not. It agrees to compression only without context takeover.
func acceptOptions(app *hub.App) *websocket.AcceptOptions {
	o := &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionDisabled,
	}
	if app != nil && app.CompressionMin > 0 {
		o.CompressionMode = websocket.CompressionNoContextTakeover
	}
	return o
}

// readLimit is the largest message accepted from a client, in bytes: an event of
// the app's largest size may be six times as long on the wire.
func readLimit(app *hub.App) int {
	const floor = 64 << 10
	if app == nil {
		return floor
	}
	return max(floor, 6*app.MaxEventBytes+4<<10)
}

// handshake is the ResponseWriter with which the library checks the request and
// makes the answer. It does not get the connection: the library's own connection
// closes what it was given when it is closed or collected, and the descriptor
// belongs to the session's line. What it was given here is closed at once and
// collected with the request.
type handshake struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter. The answer of a handshake that
// succeeds goes out with the session's first frame.
func (h *handshake) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		h.ResponseWriter.WriteHeader(status)
	}
}

// Hijack implements http.Hijacker with a connection that is at its end.
func (h *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	const least = 16 // bytes; nothing is read or written
	rw := bufio.NewReadWriter(bufio.NewReaderSize(nowhere{}, least), bufio.NewWriterSize(nowhere{}, least))
	return nowhere{}, rw, nil
}

// nowhere is a connection without a descriptor.
type nowhere struct{ net.Conn }

func (nowhere) Read([]byte) (int, error)    { return 0, io.EOF }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) Close() error                { return nil }

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

// takeOver takes the connection from the HTTP server, with what has been read of
// it past the request: clients may send their first message right behind it.
func takeOver(w http.ResponseWriter) (net.Conn, []byte, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	ahead, err := rw.Peek(rw.Reader.Buffered())
	ahead = bytes.Clone(ahead)
	if p := portOf(conn); err == nil && p != nil {
		p.ahead, err = appendBuffered(nil, p.Conn)
	} else if err == nil {
		ahead, err = appendBuffered(ahead, conn)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	return conn, ahead, nil
}

// appendBuffered appends what a wrapper of a TCP connection has read and not
// returned yet, as one that reads a proxy's header may. A read whose deadline has
// passed returns that, and takes nothing from the socket.
func appendBuffered(b []byte, conn net.Conn) ([]byte, error) {
	if tcp := tcpConn(conn); tcp == nil || conn == net.Conn(tcp) {
		return b, nil
	}
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	chunk := make([]byte, 512)
	for {
		n, err := conn.Read(chunk)
		b = append(b, chunk[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
