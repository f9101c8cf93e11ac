package server

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"

	"channels/hub/transport"
)

// HTTPServer returns a server for the public listener, with the time-outs that
// keep slow strangers from holding connections. They end with a WebSocket's
// handshake. It serves what Listener returns.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second, // also for the TLS handshake
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          ErrorLog(s.log),
		ConnState:         s.requestConns.track,
	}
}

// Listener returns the public listener over a TCP listener: it takes no more
// connections than there is room for, reads PROXY headers if the option is on, and
// speaks TLS unless secure is nil.
func (s *Server) Listener(tcp net.Listener, secure *tls.Config) net.Listener {
	var l net.Listener = &boundedListener{Listener: tcp, conns: s.requestConns, closed: make(chan struct{})}
	if s.proxyProtocol {
		l = &proxyListener{Listener: l, proxies: s.proxies, log: s.log}
	}
	if secure != nil {
		l = transport.NewTLSListener(l, secure)
	}
	return l
}

// clientWriter is a ResponseWriter whose connection, when it is taken over, has the
// client's address, and is otherwise a TCP connection: the transport parks it and
// writes by its descriptor.
type clientWriter struct {
	http.ResponseWriter
	from peer
}

// Unwrap is for http.ResponseController.
func (w clientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w clientWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	named := w.from.told
	if proxied, ok := conn.(*proxiedConn); ok && len(proxied.ahead) == 0 {
		conn, named = proxied.Conn, true
	}
	if _, secure := conn.(*tls.Conn); named && !secure {
		conn = &clientConn{conn, w.from.address}
	}
	return conn, rw, nil
}

// clientConn is a connection to a proxy that has the address of the client.
type clientConn struct {
	net.Conn
	remote netip.AddrPort
}

// RemoteAddr implements net.Conn.
func (c *clientConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// NetConn returns the connection itself.
func (c *clientConn) NetConn() net.Conn { return c.Conn }
