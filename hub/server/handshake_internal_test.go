package server

import (
	"net/netip"
	"testing"
)

func TestOriginPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, origin string
		want            bool
	}{
		{"[::1]", "https://[::1]", true},
		{"[::1]", "https://[::1]:8443", true},
		{"[::1]", "http://[::2]:8443", false},
		{"[2001:DB8::1]", "http://[2001:db8::1]:80", true},
		{"[::1]:8443", "https://[::1]:8443", true},
		{"[::1]:8443", "https://[::1]", false},
		{"https://[::1]", "https://[::1]:443", true},
		{"https://[::1]", "https://[::1]:8443", false},
		{"https://[::1]:8443", "https://[::1]:8443", true},
		{"127.0.0.1", "http://127.0.0.1:3000", true},
		{"example.com", "https://example.com:8443", true},
		{"example.com:8443", "https://example.com", false},
		{"*.example.com", "https://a.example.com:8443", true},
		{"*.example.com", "https://example.com", false},
		{"*", "null", true},
		{"example.com", "null", false},
	} {
		if got := originAllowed([]string{test.pattern}, test.origin); got != test.want {
			t.Errorf("%s allows %s: %t, want %t", test.pattern, test.origin, got, test.want)
		}
	}
}

func TestSourceOf(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.7":          "203.0.113.7",
		"::ffff:203.0.113.7":   "203.0.113.7",
		"2001:db8::7":          "2001:db8::/64",
		"2001:db8:0:0:ffff::1": "2001:db8::/64",
		"2001:db8:0:1::7":      "2001:db8:0:1::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := sourceOf(netip.MustParseAddr(address)); got != want {
			t.Errorf("sourceOf(%s) = %s, want %s", address, got, want)
		}
	}
	if got := sourceOf(netip.Addr{}); got != "" {
		t.Errorf("no address has the source %s", got)
	}
	h := handshakeLimit{perSecond: 1}
	if !h.allow(netip.Addr{}, "@") || h.allow(netip.Addr{}, "@") {
		t.Error("connections without an address are not limited together")
	}
}
