package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"channels/hub/transport/outbox"
)

// NewTLSListener returns a listener whose connections speak TLS, which a Transport
// parks while they are idle. It is for an http.Server, which makes the handshake
// within its own time-outs. The config is copied.
func NewTLSListener(inner net.Listener, config *tls.Config) net.Listener {
	config = config.Clone()
	// Small records at the start let a browser draw early. Here they would make
	// ten records of an event.
	config.DynamicRecordSizingDisabled = true
	return &tlsListener{inner, config}
}

type tlsListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener. An http.Server wants a *tls.Conn.
func (l *tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p := &port{Conn: conn}
	p.records = tls.Server(p, l.config)
	return p.records, nil
}

// turnBytes is how much ciphertext is read from one client before others have
// their turn.
const turnBytes = 64 << 10

// mostHeld is how much ciphertext may wait for the kernel. It is a chunk, but for
// what TLS answers by itself, which a client can ask for without end: it may renew
// its keys, and have TLS renew ours in turn. After an answer that is refused,
// crypto/tls fails to read the client's next record, which ends the connection.
const mostHeld = 4 * outbox.ChunkSize

var errTooMuchHeld = errors.New("the client has TLS answer, and does not read the answers")

// port is the connection under a tls.Conn. Until a line adopts it, its calls block,
// as the HTTP server expects. After that they do not: a read answers errWouldBlock,
// and a write appends to what the line holds. The line's lock is held for each
// call of records then.
type port struct {
	net.Conn // from the inner listener; the line closes it
	records  *tls.Conn

	line    *line  // nil until a line has adopted the port
	ahead   []byte // what a wrapper in Conn had read ahead by then
	read    int    // bytes in this turn
	drained bool   // the kernel had less than was asked for
}

// portOf returns the port under a connection of a TLS listener of ours; nil for any
// other connection.
func portOf(conn net.Conn) *port {
	if secure, ok := conn.(*tls.Conn); ok {
		p, _ := secure.NetConn().(*port)
		return p
	}
	return nil
}

// Read implements net.Conn.
func (p *port) Read(b []byte) (int, error) {
	if p.line == nil {
		return p.Conn.Read(b)
	}
	if len(p.ahead) > 0 {
		n := copy(b, p.ahead)
		if p.ahead = p.ahead[n:]; len(p.ahead) == 0 {
			p.ahead = nil
		}
		return n, nil
	}
	if p.drained || p.read > turnBytes {
		return 0, errWouldBlock
	}
	n, err := rawRead(int(p.line.fd), b)
	if err == nil && n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	p.read += n
	p.drained = n < len(b)
	return n, err
}

// Write implements net.Conn.
func (p *port) Write(b []byte) (int, error) {
	if p.line == nil {
		return p.Conn.Write(b)
	}
	if p.line.Pending() > mostHeld {
		return 0, errTooMuchHeld
	}
	if p.line.held == nil {
		p.line.held = heldBuffers.Get().(*[]byte)
	}
	*p.line.held = append(*p.line.held, b...)
	return len(b), nil
}

// readRecord reads what the next record has for the application. At errWouldBlock
// the memory that records took is released.
func (p *port) readRecord(b []byte, first bool) (int, error) {
	if first {
		p.read, p.drained = 0, false
	}
	n, err := p.records.Read(b)
	if n > 0 {
		return n, nil // an error comes again
	}
	if err == errWouldBlock { //nolint:errorlint // crypto/tls returns it as it is
		releaseBuffers(p.records)
	}
	return 0, err
}

// writeRecords is Write of a line: it encrypts a chunk at a time, for as long as the
// kernel takes what that makes.
func (p *port) writeRecords(b []byte) (taken, sent int, err error) {
	for {
		n, err := p.sendHeld()
		sent += n
		if err != nil || p.line.held != nil || taken == len(b) {
			return taken, sent, err
		}
		chunk := b[taken:min(len(b), taken+outbox.ChunkSize)]
		if _, err := p.records.Write(chunk); err != nil {
			return taken, sent, err
		}
		taken += len(chunk)
	}
}

// sendHeld makes one attempt to write the ciphertext that is held.
func (p *port) sendHeld() (int, error) {
	l := p.line
	if l.held == nil {
		return 0, nil
	}
	n, err := rawWrite(int(l.fd), *l.held)
	if err != nil {
		return 0, err
	}
	if n == len(*l.held) {
		l.releaseHeld()
		return n, nil
	}
	*l.held = (*l.held)[:copy(*l.held, (*l.held)[n:])]
	return n, nil
}

// sayGoodbye appends TLS's close_notify to what is held. It does not block, since
// a port's write does not.
func (p *port) sayGoodbye() { _ = p.records.CloseWrite() }

// Close implements net.Conn. The line closes the connection that it has adopted.
func (p *port) Close() error {
	if p.line != nil {
		return nil
	}
	return p.Conn.Close()
}

// SetDeadline implements net.Conn.
func (p *port) SetDeadline(t time.Time) error {
	if p.line != nil {
		return nil
	}
	return p.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (p *port) SetReadDeadline(t time.Time) error {
	if p.line != nil {
		return nil
	}
	return p.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (p *port) SetWriteDeadline(t time.Time) error {
	if p.line != nil {
		return nil
	}
	return p.Conn.SetWriteDeadline(t)
}
