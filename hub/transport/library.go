package transport

import (
	"bufio"

	"github.com/coder/websocket"
)

// The library's buffers. It reads headers through the one and payloads past it;
// the other must hold a whole control frame, so that each is one write.
const (
	readBuffer  = 128
	writeBuffer = 136
)

// library is the WebSocket library's connection over a guard. It takes two
// kilobytes, so a parked session is without: it is put away when a session is
// parked, and a new one is made for what needs one.
type library struct {
	ws    *websocket.Conn
	input *bufio.Reader // what ws reads from
	port  *port
}

// port is a guard as a library's connection sees it, which closes it or not.
type port struct {
	*guard
	loose bool // closing the port leaves the guard as it is
}

// Close implements net.Conn.
func (p *port) Close() error {
	if p.loose {
		return nil
	}
	return p.guard.Close()
}

// putAway ends the library's connection, and leaves the client's as it is.
func (l *library) putAway() {
	l.port.loose = true
	_ = l.ws.CloseNow()
}

// unread takes back what the library has read past the end of a message.
func (l *library) unread() []byte {
	n := l.input.Buffered()
	past, _ := l.input.Peek(n) // cannot fail: it is there
	b := append([]byte(nil), past...)
	_, _ = l.input.Discard(n)
	return b
}

// acceptOptions are those of every handshake. Origins are checked per app, so
// the library does not.
func acceptOptions() *websocket.AcceptOptions {
	return &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionDisabled,
	}
}

// connect returns the buffers for a library's connection over the guard.
func (l *library) connect(g *guard) *bufio.ReadWriter {
	l.port = &port{guard: g}
	l.input = bufio.NewReaderSize(l.port, readBuffer)
	return bufio.NewReadWriter(l.input, bufio.NewWriterSize(l.port, writeBuffer))
}
