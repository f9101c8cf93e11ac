package server

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// proxiesOf trusts loopback addresses and two private networks.
func proxiesOf() trustedProxies {
	return append(LoopbackProxies(), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"))
}

func TestPeerOf(t *testing.T) {
	many := strings.Repeat("10.0.0.9, ", maxProxies)
	for name, test := range map[string]struct {
		from   string // default: a trusted proxy
		tls    bool
		header http.Header
		want   string
		secure bool
	}{
		"no header":                     {want: "10.0.0.1"},
		"no header, TLS":                {tls: true, want: "10.0.0.1", secure: true},
		"a stranger's headers":          {from: "203.0.113.5:0", header: http.Header{"X-Forwarded-For": {"10.0.0.2"}, "X-Forwarded-Proto": {"https"}}, want: "203.0.113.5"},
		"a stranger's Forwarded":        {from: "203.0.113.5:0", header: http.Header{"Forwarded": {"for=127.0.0.1;proto=https"}}, want: "203.0.113.5"},
		"a stranger's downgrade":        {from: "203.0.113.5:0", tls: true, header: http.Header{"X-Forwarded-Proto": {"http"}}, want: "203.0.113.5", secure: true},
		"mapped IPv4 is IPv4":           {from: "[::ffff:10.0.0.1]:0", header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}, want: "203.0.113.7"},
		"a link-local proxy":            {from: "[fe80::1%eth0]:0", header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}, want: "fe80::1"},
		"no IP address":                 {from: "@", header: http.Header{"X-Forwarded-For": {"203.0.113.7"}, "X-Forwarded-Proto": {"https"}}},
		"one client":                    {header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}, want: "203.0.113.7"},
		"with a port":                   {header: http.Header{"X-Forwarded-For": {"203.0.113.7:4711"}}, want: "203.0.113.7:4711"},
		"IPv6":                          {header: http.Header{"X-Forwarded-For": {"2001:db8::7"}}, want: "2001:db8::7"},
		"IPv6 in brackets":              {header: http.Header{"X-Forwarded-For": {"[2001:db8::7]"}}, want: "2001:db8::7"},
		"IPv6 with a port":              {header: http.Header{"X-Forwarded-For": {"[2001:db8::7]:80"}}, want: "[2001:db8::7]:80"},
		"IPv6 with a zone":              {header: http.Header{"X-Forwarded-For": {"2001:db8::7%eth0"}}, want: "2001:db8::7"},
		"mapped IPv4 in the header":     {header: http.Header{"X-Forwarded-For": {"::ffff:203.0.113.7"}}, want: "203.0.113.7"},
		"forged by the client":          {header: http.Header{"X-Forwarded-For": {"1.1.1.1, 203.0.113.7"}}, want: "203.0.113.7"},
		"forged as a trusted one":       {header: http.Header{"X-Forwarded-For": {"127.0.0.1, 203.0.113.7"}}, want: "203.0.113.7"},
		"two proxies":                   {header: http.Header{"X-Forwarded-For": {"1.1.1.1, 203.0.113.7, 10.0.0.2"}}, want: "203.0.113.7"},
		"two lines are one list":        {header: http.Header{"X-Forwarded-For": {"1.1.1.1", "203.0.113.7, 10.0.0.2"}}, want: "203.0.113.7"},
		"the line of the second proxy":  {header: http.Header{"X-Forwarded-For": {"203.0.113.7", "10.0.0.2"}}, want: "203.0.113.7"},
		"trusted ones only":             {header: http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, want: "10.0.0.3"},
		"garbage behind a good one":     {header: http.Header{"X-Forwarded-For": {"203.0.113.7, <script>"}}, want: "10.0.0.1"},
		"garbage before a proxy":        {header: http.Header{"X-Forwarded-For": {"garbage, 10.0.0.2"}}, want: "10.0.0.2"},
		"unknown":                       {header: http.Header{"X-Forwarded-For": {"unknown"}}, want: "10.0.0.1"},
		"empty":                         {header: http.Header{"X-Forwarded-For": {""}}, want: "10.0.0.1"},
		"an open bracket":               {header: http.Header{"X-Forwarded-For": {"[2001:db8::7"}}, want: "10.0.0.1"},
		"brackets around IPv4":          {header: http.Header{"X-Forwarded-For": {"[203.0.113.7]"}}, want: "10.0.0.1"},
		"text behind brackets":          {header: http.Header{"X-Forwarded-For": {"[2001:db8::7]x"}}, want: "10.0.0.1"},
		"a port that is none":           {header: http.Header{"X-Forwarded-For": {"203.0.113.7:99999"}}, want: "203.0.113.7"},
		"as many as are followed":       {header: http.Header{"X-Forwarded-For": {"203.0.113.7, " + many[len("10.0.0.9, "):len(many)-len(", ")]}}, want: "203.0.113.7"},
		"more than are followed":        {header: http.Header{"X-Forwarded-For": {"203.0.113.7, " + many + "10.0.0.8"}}, want: "10.0.0.9"},
		"Forwarded":                     {header: http.Header{"Forwarded": {"for=203.0.113.7;proto=https;by=10.0.0.1"}}, want: "203.0.113.7", secure: true},
		"Forwarded wins":                {header: http.Header{"Forwarded": {"for=203.0.113.7"}, "X-Forwarded-For": {"203.0.113.8"}}, want: "203.0.113.7"},
		"its scheme wins":               {header: http.Header{"Forwarded": {"for=203.0.113.7;proto=http"}, "X-Forwarded-Proto": {"https"}}, want: "203.0.113.7"},
		"Forwarded without a scheme":    {header: http.Header{"Forwarded": {"for=203.0.113.7"}, "X-Forwarded-Proto": {"https"}}, want: "203.0.113.7", secure: true},
		"Forwarded in capitals":         {header: http.Header{"Forwarded": {`For="203.0.113.7:80";PROTO=HTTPS`}}, want: "203.0.113.7:80", secure: true},
		"Forwarded with IPv6":           {header: http.Header{"Forwarded": {`for="[2001:db8::7]:4711"`}}, want: "[2001:db8::7]:4711"},
		"Forwarded by two proxies":      {header: http.Header{"Forwarded": {`for=203.0.113.7;proto=https, for=10.0.0.2;proto=http`}}, want: "203.0.113.7", secure: true},
		"Forwarded in two lines":        {header: http.Header{"Forwarded": {`for=1.1.1.1;proto=http`, `for=203.0.113.7;proto=https`, `for=10.0.0.2`}}, want: "203.0.113.7", secure: true},
		"Forwarded forged":              {header: http.Header{"Forwarded": {`for=127.0.0.1;proto=https, for=203.0.113.7`}}, want: "203.0.113.7"},
		"an open quote before a proxy":  {header: http.Header{"Forwarded": {`for="1.1.1.1, for=203.0.113.7;proto=https`}}, want: "203.0.113.7", secure: true},
		"an escape before a proxy":      {header: http.Header{"Forwarded": {`for="\, for="203.0.113.7"`}}, want: "203.0.113.7"},
		"a comma in quotes":             {header: http.Header{"Forwarded": {`for=203.0.113.7;by="a,b;c"`}}, want: "203.0.113.7"},
		"an escaped quote in quotes":    {header: http.Header{"Forwarded": {`by="a\",b";for=203.0.113.7`}}, want: "10.0.0.1"},
		"Forwarded unknown":             {header: http.Header{"Forwarded": {`for=unknown;proto=https`}}, want: "10.0.0.1", secure: true},
		"Forwarded obfuscated":          {header: http.Header{"Forwarded": {`for=_hidden`}}, want: "10.0.0.1"},
		"an obfuscated port":            {header: http.Header{"Forwarded": {`for="203.0.113.7:_port"`}}, want: "203.0.113.7"},
		"Forwarded without an address":  {header: http.Header{"Forwarded": {`proto=https`}}, want: "10.0.0.1", secure: true},
		"Forwarded twice for":           {header: http.Header{"Forwarded": {`for=203.0.113.7;for=203.0.113.8`}}, want: "10.0.0.1"},
		"Forwarded garbage":             {header: http.Header{"Forwarded": {`;;;=,"`}}, want: "10.0.0.1"},
		"Forwarded without a name":      {header: http.Header{"Forwarded": {`203.0.113.7`}}, want: "10.0.0.1"},
		"X-Forwarded-Proto wss":         {header: http.Header{"X-Forwarded-Proto": {"wss"}}, want: "10.0.0.1", secure: true},
		"X-Forwarded-Proto in capitals": {header: http.Header{"X-Forwarded-Proto": {" HTTPS "}}, want: "10.0.0.1", secure: true},
		"X-Forwarded-Proto, a list":     {header: http.Header{"X-Forwarded-Proto": {"https,http"}}, want: "10.0.0.1", secure: true},
		"X-Forwarded-Proto, first http": {header: http.Header{"X-Forwarded-Proto": {"http, https"}}, want: "10.0.0.1"},
		"X-Forwarded-Proto garbage":     {header: http.Header{"X-Forwarded-Proto": {"gopher"}}, want: "10.0.0.1"},
		"re-encrypted by the proxy":     {tls: true, header: http.Header{"X-Forwarded-Proto": {"http"}}, want: "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: "10.0.0.1:0", Header: test.header}
			if test.from != "" {
				r.RemoteAddr = test.from
			}
			if test.tls {
				r.TLS = new(tls.ConnectionState)
			}
			p := proxiesOf().peerOf(r)
			got := ""
			switch {
			case p.address.Port() > 0:
				got = p.address.String()
			case p.address.IsValid():
				got = p.address.Addr().String()
			}
			if got != test.want || p.secure != test.secure {
				t.Errorf("got %s, secure %t; want %s, secure %t", got, p.secure, test.want, test.secure)
			}
		})
	}
}

// fuzzPeer wants an answer that is one of the addresses that the header holds,
// or the peer's, and the same one whatever a client has put before it.
func fuzzPeer(f *testing.F, header string, seeds []string, appended string) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		proxies := proxiesOf()
		r := &http.Request{RemoteAddr: "10.0.0.1:55555", Header: http.Header{header: {value}}}
		p := proxies.peerOf(r)
		if !p.address.Addr().IsValid() || p.address.Addr().Zone() != "" || p.address.Addr().Is4In6() {
			t.Errorf("got %v for %q", p.address, value)
		}
		for _, lines := range [][]string{{value + "," + appended}, {value, appended}} {
			r.Header[header] = lines
			if got := proxies.peerOf(r).address.Addr().String(); got != "203.0.113.7" {
				t.Errorf("%q made the client %s", lines, got)
			}
		}
		r.RemoteAddr = "203.0.113.9:1"
		if got := proxies.peerOf(r); got.address.String() != r.RemoteAddr || got.secure {
			t.Errorf("a stranger's %q made it %v", value, got)
		}
	})
}

func FuzzForwarded(f *testing.F) {
	fuzzPeer(f, "Forwarded", []string{
		"for=192.0.2.1;proto=https", `for="[2001:db8::1%eth0]:_x";by="a,\"b"`, `for="`, `\",;=`, "for=unknown, for=_x", "",
	}, `for="203.0.113.7:80";proto=https`)
}

func FuzzForwardedFor(f *testing.F) {
	fuzzPeer(f, "X-Forwarded-For", []string{
		"192.0.2.1, 10.0.0.2", "[2001:db8::1]:80", "fe80::1%eth0", "unknown, _x", ",,,", `"`, "::ffff:10.1.2.3",
	}, "203.0.113.7")
}
