package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// LoopbackProxies are the proxies that are trusted by default: those on this
// machine.
func LoopbackProxies() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// trustedProxies are the addresses whose word about their clients is believed.
type trustedProxies []netip.Prefix

// peer is who sent a request: the client, as far as trusted proxies tell it.
type peer struct {
	address netip.AddrPort // port 0 = unknown; not valid where the connection has no IP address
	told    bool           // a proxy told the address
	secure  bool           // the client speaks TLS, to this server or to a proxy
}

// maxProxies is how many proxies in a row are followed.
const maxProxies = 32

// peerOf returns who sent a request. Without a trusted proxy that is whoever
// connected, and forwarding headers mean nothing. A trusted proxy is believed
// about the peer that it had itself; when that peer is a trusted proxy too, so
// is what it said, and so on towards the client.
//
// The walk ends at the first address that is not trusted. It also ends where the
// next address cannot be read (garbage, "unknown", an obfuscated "_name"), and
// after maxProxies: the peer is then the last address that was read. So the
// rightmost, which the nearest proxy wrote, counts, and clients cannot forge it.
func (t trustedProxies) peerOf(r *http.Request) peer {
	p := peer{secure: r.TLS != nil}
	address, ok := parseNode(r.RemoteAddr)
	if !ok {
		return p
	}
	p.address = address
	if !t.trust(address.Addr()) {
		return p
	}
	scheme := ""
	if lines := r.Header["Forwarded"]; len(lines) > 0 {
		p.address, scheme = t.walk(lines, p.address, readForwarded)
	} else {
		p.address, _ = t.walk(r.Header["X-Forwarded-For"], p.address, readForwardedFor)
	}
	p.told = p.address != address
	if scheme == "" {
		scheme, _, _ = strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	}
	p.secure = secureScheme(scheme, p.secure)
	return p
}

// trust says whether the address is a trusted proxy's.
func (t trustedProxies) trust(address netip.Addr) bool {
	for _, prefix := range t {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// walk follows the lines of a forwarding header from the right; they are one
// list. read returns the address and the scheme that an element tells. The scheme
// of the result is that of the last element that was believed; "" = not told.
func (t trustedProxies) walk(lines []string, nearest netip.AddrPort, read func(element string) (node, scheme string, ok bool)) (farthest netip.AddrPort, scheme string) {
	visited := 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var element string
			rest, element, more = cutLast(rest, ',')
			node, told, ok := read(element)
			if visited++; !ok || visited > maxProxies {
				return nearest, scheme
			}
			scheme = told
			next, ok := parseNode(node)
			if !ok {
				return nearest, scheme
			}
			nearest = next
			if !t.trust(next.Addr()) {
				return nearest, scheme
			}
		}
	}
	return nearest, scheme
}

// readForwardedFor reads one element of X-Forwarded-For, which is an address.
func readForwardedFor(element string) (node, scheme string, ok bool) { return element, "", true }

// readForwarded reads one element of Forwarded (RFC 7239), of which "for" and
// "proto" count; "" = not given. What is malformed, or given twice, is not ok.
func readForwarded(element string) (node, proto string, ok bool) {
	for rest, more := element, true; more; {
		var pair string
		rest, pair, more = cutLast(rest, ';')
		name, value, found := strings.Cut(pair, "=")
		if !found {
			if strings.TrimSpace(pair) == "" {
				continue
			}
			return "", "", false
		}
		value, found = unquote(strings.TrimSpace(value))
		if !found {
			return "", "", false
		}
		var to *string
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "for":
			to = &node
		case "proto":
			to = &proto
		default:
			continue
		}
		if *to != "" {
			return "", "", false
		}
		*to = value
	}
	return node, proto, true
}

// unquote returns the value of a token or of a quoted string.
func unquote(s string) (string, bool) {
	inner, quoted := strings.CutPrefix(s, `"`)
	if !quoted {
		return s, !strings.ContainsAny(s, `"\`)
	}
	inner, closed := strings.CutSuffix(inner, `"`)
	// Neither an address nor a scheme has a character that needs to be escaped.
	return inner, closed && !strings.ContainsAny(inner, `"\`)
}

// cutLast cuts s around its last separator that is not in quotes. It reads from
// the right, so that an open quote in what a client sent cannot swallow what a
// proxy has appended.
func cutLast(s string, separator byte) (before, after string, found bool) {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"' && !escaped(s, i):
			quoted = !quoted
		case s[i] == separator && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return "", s, false
}

// escaped says whether an odd number of backslashes stands before s[i].
func escaped(s string, i int) bool {
	n := 0
	for i-n > 0 && s[i-n-1] == '\\' {
		n++
	}
	return n%2 == 1
}

// parseNode reads an address with or without a port: 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. IPv4 that is mapped into IPv6
// becomes IPv4 again, and a zone is dropped, since only its host knows it. A port
// that is no number, which RFC 7239 allows, is unknown.
func parseNode(s string) (netip.AddrPort, bool) {
	s = strings.TrimSpace(s)
	host, port := s, ""
	if inner, bracket := strings.CutPrefix(s, "["); bracket {
		var closed bool
		if host, port, closed = strings.Cut(inner, "]"); !closed || !strings.Contains(host, ":") {
			return netip.AddrPort{}, false
		}
		if port != "" && port[0] != ':' {
			return netip.AddrPort{}, false
		}
		port = strings.TrimPrefix(port, ":")
	} else if strings.Count(s, ":") == 1 {
		host, port, _ = strings.Cut(s, ":")
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(address.Unmap().WithZone(""), parsePort(port)), true
}

// parsePort returns 0 for what is no port.
func parsePort(s string) uint16 {
	const most = 65535
	n := 0
	for _, digit := range []byte(s) {
		if digit < '0' || digit > '9' {
			return 0
		}
		if n = 10*n + int(digit-'0'); n > most {
			return 0
		}
	}
	return uint16(n)
}

// secureScheme says whether a scheme that a proxy told is one over TLS. A scheme
// that is none we know leaves it at what the connection itself is.
func secureScheme(scheme string, connection bool) bool {
	switch strings.ToLower(strings.TrimSpace(scheme)) {
	case "https", "wss":
		return true
	case "http", "ws":
		return false
	}
	return connection
}
