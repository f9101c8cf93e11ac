package server

import (
	"net/url"
	"strings"
)

// originAllowed says whether a page from origin may connect. Clients that are not
// browsers send no origin, and may connect. A pattern is an origin, or a host, which
// allows any scheme and port; a host may start with "*." for all below it.
func originAllowed(patterns []string, origin string) bool {
	if len(patterns) == 0 || origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	for _, pattern := range patterns {
		if originMatches(pattern, u) {
			return true
		}
	}
	return false
}

func originMatches(pattern string, origin *url.URL) bool {
	if pattern == "*" {
		return true
	}
	scheme, host, hasScheme := strings.Cut(pattern, "://")
	if !hasScheme {
		host = pattern
	} else if !strings.EqualFold(scheme, origin.Scheme) {
		return false
	}
	if hasScheme || hasPort(host) {
		return hostMatches(withPort(host, origin.Scheme), withPort(origin.Host, origin.Scheme))
	}
	return hostMatches(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), origin.Hostname())
}

// hasPort says whether a port stands behind a host. The colons of an IPv6 address
// stand in brackets.
func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}

// withPort adds the port that a scheme has by default, which browsers leave out.
func withPort(host, scheme string) string {
	if hasPort(host) {
		return host
	}
	if strings.EqualFold(scheme, "https") {
		return host + ":443"
	}
	return host + ":80"
}

func hostMatches(pattern, host string) bool {
	pattern, host = strings.ToLower(pattern), strings.ToLower(host)
	if below, ok := strings.CutPrefix(pattern, "*."); ok {
		return strings.HasSuffix(host, "."+below)
	}
	return pattern == host
}
