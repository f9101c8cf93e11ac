package server

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxyHeaderTimeout is how long a proxy may take for its PROXY header.
const proxyHeaderTimeout = 5 * time.Second

// proxyListener accepts connections that begin with a header of the PROXY
// protocol, version 1 or 2, from trusted proxies. All others are closed: with the
// option on, they are a mistake in the set-up or an attack.
type proxyListener struct {
	net.Listener
	proxies trustedProxies
	log     *slog.Logger
	warned  sync.Once // of a peer that is not trusted
}

// Accept implements net.Listener. It does not wait for the header.
func (l *proxyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if address, ok := parseNode(conn.RemoteAddr().String()); ok && l.proxies.trust(address.Addr()) {
			return &proxiedConn{Conn: conn, log: l.log}, nil
		}
		l.warned.Do(func() {
			l.log.Warn("connections that do not come from a trusted proxy are closed, since proxy_protocol is on; this is the first",
				"address", conn.RemoteAddr().String())
		})
		_ = conn.Close()
	}
}

// proxiedConn is a connection that begins with a PROXY header. The header is read
// by the first call that needs it, which is RemoteAddr, by the HTTP server's
// goroutine for the connection. When the header is not in order, the connection
// is closed.
type proxiedConn struct {
	net.Conn
	log *slog.Logger

	once   sync.Once
	remote net.Addr // of the client
	err    error    // why there is no header

	ahead []byte // was read past the header; for the goroutine that reads
}

// errHeaderFamily is for a header whose addresses are not those of a TCP client.
var errHeaderFamily = errors.New("not a TCP connection")

func (c *proxiedConn) readHeader() {
	c.remote = c.Conn.RemoteAddr()
	// A header of version 1 has to fit in the buffer. Little else is read with it,
	// since the rest of the connection is not read through this buffer.
	const bufferSize = 256
	r := bufio.NewReaderSize(c.Conn, bufferSize)
	_ = c.SetReadDeadline(time.Now().Add(proxyHeaderTimeout)) // it fails on a connection that reading fails on too
	header, err := proxyproto.Read(r)
	_ = c.SetReadDeadline(time.Time{})
	if err == nil {
		err = c.apply(header)
	}
	if err != nil {
		c.err = fmt.Errorf("PROXY header: %w", err)
		c.log.Debug("connection without a valid PROXY header closed", "address", c.Conn.RemoteAddr().String(), "error", err)
		_ = c.Close()
		return
	}
	c.ahead, _ = r.Peek(r.Buffered())
}

// apply takes the client's address from the header. LOCAL and UNKNOWN, which are
// health checks, and clients on a Unix socket of the proxy have no address, so the
// proxy's remains.
func (c *proxiedConn) apply(header *proxyproto.Header) error {
	if header.Command.IsLocal() {
		return nil
	}
	switch address := header.SourceAddr.(type) {
	case *net.TCPAddr:
		c.remote = net.TCPAddrFromAddrPort(unmapped(address.AddrPort()))
	case *net.UnixAddr:
		if !header.TransportProtocol.IsStream() {
			return errHeaderFamily
		}
	default:
		return errHeaderFamily
	}
	return nil
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// RemoteAddr implements net.Conn: it is the client's address.
func (c *proxiedConn) RemoteAddr() net.Addr {
	c.once.Do(c.readHeader)
	return c.remote
}

// Read implements net.Conn.
func (c *proxiedConn) Read(p []byte) (int, error) {
	c.once.Do(c.readHeader)
	if c.err != nil {
		return 0, c.err
	}
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil // frees the buffer
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// NetConn returns the connection to the proxy. Reading from it is right once what
// was read past the header has been taken, which the HTTP server's first read and
// a TLS handshake do.
func (c *proxiedConn) NetConn() net.Conn { return c.Conn }
