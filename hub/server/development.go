package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// warnOfPublicSecret warns, once, when an app with the secret for development is
// reached by others than this machine. The listener is on a loopback address then,
// so a proxy lets them in.
func (s *Server) warnOfPublicSecret(r *http.Request, from peer) {
	if !s.publicSecret() || fromThisMachine(r, from) {
		return
	}
	s.warned.Do(func() {
		s.log.Warn("the secret for development is public, and a proxy lets others use it: set a secret of your own",
			"host", r.Host, "address", r.RemoteAddr)
	})
}

// fromThisMachine says whether a request was sent on this machine and by a name
// that means this machine. A page of a stranger's, or one behind a proxy, has
// another name.
func fromThisMachine(r *http.Request, from peer) bool {
	return from.address.Addr().IsLoopback() && isLoopbackHost(r.Host)
}

// isLoopbackHost says whether a Host header names this machine: localhost,
// 127.0.0.0/8 or [::1], with or without a port.
func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && address.IsLoopback()
}
