package server

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"time"
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
		l = tls.NewListener(l, secure)
	}
	return l
}

// bareConn is a ResponseWriter whose connection, when it is taken over, is the
// TCP connection itself, also where a PROXY header stood before: the transport
// parks and writes by its descriptor.
type bareConn struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (w bareConn) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w bareConn) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if proxied, ok := conn.(*proxiedConn); ok && len(proxied.ahead) == 0 {
		conn = proxied.Conn
	}
	return conn, rw, err
}
