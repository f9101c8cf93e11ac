package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"channels/hub"
	"channels/hub/server"
)

// loopbackTrusted is a change that trusts the proxies that are trusted by default.
func loopbackTrusted(o *options) { o.server.TrustedProxies = server.LoopbackProxies() }

// withProxyProtocol is a change that wants PROXY headers from this machine.
func withProxyProtocol(o *options) {
	loopbackTrusted(o)
	o.server.ProxyProtocol = true
}

// first opens a socket with these headers and returns the first message.
func (r *rig) first(header http.Header) (message string, status int) {
	r.t.Helper()
	ws, response, err := websocket.Dial(r.t.Context(), "ws://"+r.addr+"/app/app-key?protocol=7", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		if response == nil {
			r.t.Fatal(err)
		}
		return "", response.StatusCode
	}
	defer func() { _ = ws.CloseNow() }()
	_, got, err := ws.Read(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return string(got), http.StatusSwitchingProtocols
}

func TestForceTLSBehindProxies(t *testing.T) {
	force := func(a *hub.App) { a.ForceTLS = true }
	trusting, alone := newRig(t, force, loopbackTrusted), newRig(t, force)
	for name, test := range map[string]struct {
		header http.Header
		secure bool
	}{
		"https":              {http.Header{"X-Forwarded-Proto": {"https"}}, true},
		"as Traefik says it": {http.Header{"X-Forwarded-Proto": {"wss"}}, true},
		"a chain":            {http.Header{"X-Forwarded-Proto": {"https,http"}}, true},
		"capitals":           {http.Header{"X-Forwarded-Proto": {"HTTPS"}}, true},
		"Forwarded":          {http.Header{"Forwarded": {"for=203.0.113.7;proto=https"}}, true},
		"http":               {http.Header{"X-Forwarded-Proto": {"http"}}, false},
		"http, Forwarded":    {http.Header{"Forwarded": {"for=203.0.113.7;proto=http"}, "X-Forwarded-Proto": {"https"}}, false},
		"nothing":            {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := trusting.first(test.header); strings.Contains(got, "connection_established") != test.secure {
				t.Errorf("from a trusted proxy: %s, want secure to be %t", got, test.secure)
			}
			if got, _ := alone.first(test.header); !strings.Contains(got, "4000") {
				t.Errorf("from a stranger: %s, want 4000", got)
			}
		})
	}
}

// TestHandshakeRateBehindProxies counts clients, IPv6 by networks, not the proxy.
func TestHandshakeRateBehindProxies(t *testing.T) {
	const perSecond = 3
	limited := func(o *options) { o.server.HandshakesPerSecond = perSecond }
	from := func(format string, n int) http.Header {
		return http.Header{"X-Forwarded-For": {fmt.Sprintf(format, n)}}
	}
	for name, test := range map[string]struct {
		clients string
		trusted bool
		limited bool
	}{
		"many IPv4 clients":              {"203.0.113.%d", true, false},
		"one IPv4 client":                {"203.0.113.7:%d", true, true},
		"one client that forges others":  {"198.51.100.%d, 203.0.113.7", true, true},
		"many IPv6 networks":             {"2001:db8:0:%d::1", true, false},
		"one IPv6 network":               {"2001:db8::%d", true, true},
		"mapped IPv4 clients":            {"::ffff:203.0.113.%d", true, false},
		"a stranger that names clients":  {"203.0.113.%d", false, true},
		"a stranger that names networks": {"2001:db8:0:%d::1", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			changes := []func(*options){limited}
			if test.trusted {
				changes = append(changes, loopbackTrusted)
			}
			r := newRig(t, nil, changes...)
			refused := 0
			for i := range 5 * perSecond {
				if _, status := r.first(from(test.clients, i+1)); status == http.StatusTooManyRequests {
					refused++
				}
			}
			if (refused > 0) != test.limited {
				t.Errorf("%d of %d refused", refused, 5*perSecond)
			}
		})
	}
}

// TestClientsAddressReachesHandlers looks at what the REST API is shown.
func TestClientsAddressReachesHandlers(t *testing.T) {
	engine := hub.New(hub.Options{Apps: []hub.App{hub.DefaultApp()}})
	defer engine.Close()
	_, carrier, _ := assemble(engine, options{})
	seen := ""
	front := server.New(server.Options{
		Hub: engine, Transport: carrier, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		API: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.RemoteAddr }),
	})
	for _, test := range []struct{ from, want string }{
		{"10.0.0.1:99", "203.0.113.7:0"}, {"203.0.113.9:99", "203.0.113.9:99"},
	} {
		r, _ := http.NewRequest("GET", "/apps/1/channels", nil)
		r.RemoteAddr = test.from
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		front.ServeHTTP(nil, r)
		if seen != test.want || r.RemoteAddr != test.from {
			t.Errorf("from %s: the API sees %s, want %s, and the request changed to %s", test.from, seen, test.want, r.RemoteAddr)
		}
	}
}

const (
	hello = "GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	proxyHeader = "PROXY TCP4 203.0.113.7 127.0.0.1 4711 6001\r\n"
)

// proxied connects as a proxy does, and sends header, handshake and first message
// in one piece.
func (r *rig) proxied(header string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, header+hello+string(text(subscribeNews)))
	return conn, bufio.NewReader(conn)
}

// readUntil reads on until it finds the text.
func readUntil(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	var got strings.Builder
	for !strings.Contains(got.String(), want) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("got %q, then %v; want %s", got.String(), err, want)
		}
		got.WriteByte(b)
	}
}

// TestSocketsBehindProxyHeaders requires that such sockets are like any others:
// nothing that follows the header is lost, and idle ones hold no goroutine.
func TestSocketsBehindProxyHeaders(t *testing.T) {
	r := newRig(t, nil, withProxyProtocol, func(o *options) { o.server.HandshakesPerSecond = 1000 })
	before := runtime.NumGoroutine()
	const sockets = 40
	var readers []*bufio.Reader
	for range sockets {
		_, reader := r.proxied(proxyHeader)
		readUntil(t, reader, "subscription_succeeded")
		readers = append(readers, reader)
	}
	if readersOf() == parkedReaders && runtime.GOOS == "linux" {
		waitFor(t, "idle sockets to be parked", func() bool { return runtime.NumGoroutine() < before+sockets/2 })
	}
	r.trigger("news", "event", "x")
	for _, reader := range readers {
		readUntil(t, reader, `"event"`)
	}
}

func TestForgedProxyHeadersOpenNoSocket(t *testing.T) {
	for name, header := range map[string]string{"none": "", "half": "PROXY TCP4 203.0.113.7", "garbage": "PROXY TCP4 a b c d\r\n"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, withProxyProtocol)
			conn, _ := r.proxied(header)
			if got, _ := io.ReadAll(conn); len(got) > 0 {
				t.Errorf("answered %q", got)
			}
		})
	}
	t.Run("from a stranger", func(t *testing.T) {
		log, logged := newLog()
		r := newRig(t, nil, func(o *options) { o.server.ProxyProtocol, o.server.Log = true, log })
		for range 3 {
			conn, _ := r.proxied(proxyHeader)
			if got, _ := io.ReadAll(conn); len(got) > 0 {
				t.Errorf("answered %q", got)
			}
		}
		if n := strings.Count(logged.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want one:\n%s", n, logged)
		}
	})
}

// TestHandshakeRateBehindProxyHeaders counts the clients that headers name.
func TestHandshakeRateBehindProxyHeaders(t *testing.T) {
	r := newRig(t, nil, withProxyProtocol, func(o *options) { o.server.HandshakesPerSecond = 1 })
	for i := range 5 {
		_, reader := r.proxied(fmt.Sprintf("PROXY TCP4 203.0.113.%d 127.0.0.1 4711 6001\r\n", i+1))
		readUntil(t, reader, "connection_established")
	}
	_, reader := r.proxied("PROXY TCP4 203.0.113.1 127.0.0.1 4712 6001\r\n")
	readUntil(t, reader, "429 Too Many Requests")
}

// TestProxyHeaderBeforeTLS has the header come before the handshake.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	secure, trusting := overTLS(t)
	log, logged := newLog()
	r := newRig(t, func(a *hub.App) { a.ForceTLS = true }, withProxyProtocol, secure, func(o *options) { o.server.Log = log })
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, proxyHeader)
	client := tls.Client(conn, trusting)
	_, _ = io.WriteString(client, hello+string(text(subscribeNews)))
	reader := bufio.NewReader(client)
	readUntil(t, reader, "subscription_succeeded")
	r.trigger("news", "event", "x")
	readUntil(t, reader, `"event"`)

	broken, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	_, _ = io.WriteString(broken, proxyHeader+"no TLS at all\r\n\r\n")
	waitFor(t, "the client's address in the log", func() bool {
		return strings.Contains(logged.String(), "TLS handshake error from 203.0.113.7:4711")
	})
}

// TestEndsAreLoggedWithTheClientsAddress requires that sockets behind proxies are
// parked as others are, and that the log names the client.
func TestEndsAreLoggedWithTheClientsAddress(t *testing.T) {
	const sockets = 20
	secure, trusting := overTLS(t)
	for name, test := range map[string]struct {
		changes []func(*options)
		before  string // what comes first on the connection
		header  string
		want    string
	}{
		"nobody between":             {want: "address=127.0.0.1:"},
		"X-Forwarded-For":            {changes: []func(*options){loopbackTrusted}, header: "X-Forwarded-For: 203.0.113.7\r\n", want: "address=203.0.113.7:0 "},
		"Forwarded":                  {changes: []func(*options){loopbackTrusted}, header: "Forwarded: for=\"[2001:db8::7]:99\"\r\n", want: "address=[2001:db8::7]:99 "},
		"a stranger's header":        {header: "X-Forwarded-For: 203.0.113.7\r\n", want: "address=127.0.0.1:"},
		"a PROXY header":             {changes: []func(*options){withProxyProtocol}, before: proxyHeader, want: "address=203.0.113.7:4711 "},
		"a PROXY header and TLS":     {changes: []func(*options){withProxyProtocol, secure}, before: proxyHeader, want: "address=203.0.113.7:4711 "},
		"a PROXY header and a proxy": {changes: []func(*options){withProxyProtocol}, before: "PROXY TCP4 127.0.0.9 127.0.0.1 1 2\r\n", header: "X-Forwarded-For: 203.0.113.7\r\n", want: "address=203.0.113.7:0 "},
	} {
		t.Run(name, func(t *testing.T) {
			log, logged := newLog()
			r := newRig(t, nil, append(test.changes, func(o *options) { o.transport.Log = log })...)
			before := runtime.NumGoroutine()
			var conns []net.Conn
			for range sockets {
				conn, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(conn, test.before)
				if strings.Contains(name, "TLS") {
					conn = tls.Client(conn, trusting)
				}
				_, _ = io.WriteString(conn, strings.Replace(hello, "Host: x\r\n", "Host: x\r\n"+test.header, 1)+string(text(subscribeNews)))
				readUntil(t, bufio.NewReader(conn), "subscription_succeeded")
				conns = append(conns, conn)
			}
			if readersOf() == parkedReaders && runtime.GOOS == "linux" {
				waitFor(t, "idle sockets to be parked", func() bool { return runtime.NumGoroutine() < before+sockets/2 })
			}
			for _, conn := range conns {
				_ = conn.Close()
			}
			waitFor(t, "the ends in the log", func() bool {
				return strings.Count(logged.String(), `msg="connection ended" `+test.want) == sockets
			})
		})
	}
}
