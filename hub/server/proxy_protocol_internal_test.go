package server

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// addressedConn is a pipe's end whose peer has a TCP address.
type addressedConn struct {
	net.Conn
	remote string
}

func (c addressedConn) RemoteAddr() net.Addr {
	address, _ := net.ResolveTCPAddr("tcp", c.remote)
	return address
}

// handedConns is a listener that accepts what it is handed.
type handedConns struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newHandedConns(buffered int) handedConns {
	return handedConns{make(chan net.Conn, buffered), make(chan struct{})}
}

func (l handedConns) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l handedConns) Close() error {
	close(l.closed)
	return nil
}

func (l handedConns) Addr() net.Addr { return &net.TCPAddr{} }

// proxyListenerOf returns a listener that wants PROXY headers, what it logs, and
// how connections are handed to it.
func proxyListenerOf() (l *proxyListener, logged *bytes.Buffer, handed chan<- net.Conn) {
	const waiting = 10
	inner := newHandedConns(waiting)
	logged = new(bytes.Buffer)
	log := slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return &proxyListener{Listener: inner, proxies: proxiesOf(), log: log}, logged, inner.conns
}

// version2 is a header of version 2.
func version2(command, family byte, addresses string, tlvs string) string {
	b := []byte("\r\n\r\n\x00\r\nQUIT\n")
	b = append(b, 0x20|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addresses)+len(tlvs)))
	return string(b) + addresses + tlvs
}

const (
	proxyIPv4 = "\xcb\x00\x71\x07" + "\x0a\x00\x00\x01" + "\x12\x67" + "\x01\xbb" // 203.0.113.7:4711 to 10.0.0.1:443
	proxyIPv6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x12\x67" + "\x01\xbb"
)

func TestProxyHeaders(t *testing.T) {
	const rest = "GET / HTTP/1.1\r\n\r\n"
	for name, test := range map[string]struct {
		header string
		want   string // address; "" = closed
	}{
		"version 1":                         {"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", "203.0.113.7:4711"},
		"version 1, IPv6":                   {"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "[2001:db8::7]:4711"},
		"version 1, mapped IPv4":            {"PROXY TCP6 ::ffff:203.0.113.7 2001:db8::1 4711 443\r\n", "203.0.113.7:4711"},
		"version 1, unknown":                {"PROXY UNKNOWN\r\n", "10.0.0.1:5"},
		"version 1, unknown with addresses": {"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", "10.0.0.1:5"},
		"version 2":                         {version2(1, 0x11, proxyIPv4, ""), "203.0.113.7:4711"},
		"version 2, IPv6":                   {version2(1, 0x21, proxyIPv6, ""), "[2001:db8::7]:4711"},
		"version 2, TLVs":                   {version2(1, 0x11, proxyIPv4, "\x04\x00\x03abc\x01\x00\x02h2"), "203.0.113.7:4711"},
		"version 2, long TLVs":              {version2(1, 0x11, proxyIPv4, "\x04\x08\x00"+strings.Repeat("x", 2048)), "203.0.113.7:4711"},
		"version 2, local":                  {version2(0, 0x00, "", ""), "10.0.0.1:5"},
		"version 2, local with addresses":   {version2(0, 0x11, proxyIPv4, ""), "10.0.0.1:5"},
		"version 2, Unix":                   {version2(1, 0x31, strings.Repeat("\x00", 216), ""), "10.0.0.1:5"},

		"none":                           {"", ""},
		"lower case":                     {"proxy TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", ""},
		"version 1, no carriage return":  {"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\n", ""},
		"version 1, too long":            {"PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", ""},
		"version 1, no address":          {"PROXY TCP4 host 10.0.0.1 4711 443\r\n", ""},
		"version 1, IPv6 in TCP4":        {"PROXY TCP4 2001:db8::7 10.0.0.1 4711 443\r\n", ""},
		"version 1, a zone":              {"PROXY TCP6 fe80::7%eth0 2001:db8::1 4711 443\r\n", ""},
		"version 1, a port that is none": {"PROXY TCP4 203.0.113.7 10.0.0.1 99999 443\r\n", ""},
		"version 1, a field too many":    {"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443 x\r\n", ""},
		"version 1, another protocol":    {"PROXY UDP4 203.0.113.7 10.0.0.1 4711 443\r\n", ""},
		"version 2, another version":     {strings.Replace(version2(1, 0x11, proxyIPv4, ""), "\x21\x11", "\x31\x11", 1), ""},
		"version 2, another command":     {version2(7, 0x11, proxyIPv4, ""), ""},
		"version 2, another family":      {version2(1, 0x41, proxyIPv4, ""), ""},
		"version 2, datagrams":           {version2(1, 0x12, proxyIPv4, ""), ""},
		"version 2, datagrams of Unix":   {version2(1, 0x32, strings.Repeat("\x00", 216), ""), ""},
		"version 2, no family":           {version2(1, 0x00, "", ""), ""},
		"version 2, too short":           {version2(1, 0x11, proxyIPv4[:8], ""), ""},
		"version 2, too long":            {version2(1, 0x11, proxyIPv4, strings.Repeat("x", 5000)), ""},
		"version 2, a signature cut off": {"\r\n\r\n\x00\r\nQUIT", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, _, handed := proxyListenerOf()
			near, far := net.Pipe()
			handed <- addressedConn{far, "10.0.0.1:5"}
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _ = io.WriteString(near, test.header+rest)
				_ = near.Close()
			}()
			address := conn.RemoteAddr().String()
			read, err := io.ReadAll(conn)
			if test.want == "" {
				if err == nil || len(read) > 0 || address != "10.0.0.1:5" {
					t.Errorf("got %q of %s, %v; want it closed", read, address, err)
				}
				if _, err := conn.Write([]byte("x")); err == nil {
					t.Error("the connection is open")
				}
				return
			}
			if address != test.want || err != nil || string(read) != rest {
				t.Errorf("got %q of %s, %v; want all that follows, of %s", read, address, err, test.want)
			}
		})
	}
}

// TestSlowProxyHeaders has proxies that take their time, beside one that does not.
func TestSlowProxyHeaders(t *testing.T) {
	header := version2(1, 0x11, proxyIPv4, "")
	for name, send := range map[string]func(net.Conn){
		"nothing": func(net.Conn) {},
		"half":    func(c net.Conn) { _, _ = io.WriteString(c, header[:20]) },
		"in drops": func(c net.Conn) {
			for i := range header {
				if _, err := io.WriteString(c, header[i:i+1]); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _, handed := proxyListenerOf()
				slow, far := net.Pipe()
				fast, other := net.Pipe()
				handed <- addressedConn{far, "10.0.0.1:5"}
				handed <- addressedConn{other, "10.0.0.2:5"}
				held, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				var sender sync.WaitGroup
				sender.Go(func() { send(slow) })
				start := time.Now()
				next, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = io.WriteString(fast, header) }()
				if got := next.RemoteAddr().String(); got != "203.0.113.7:4711" || time.Since(start) > 0 {
					t.Errorf("the other connection is from %s, %v later", got, time.Since(start))
				}
				if got := held.RemoteAddr().String(); got != "10.0.0.1:5" || time.Since(start) != proxyHeaderTimeout {
					t.Errorf("held for %v, as %s; want %v", time.Since(start), got, proxyHeaderTimeout)
				}
				if _, err := slow.Write([]byte("x")); err == nil {
					t.Error("the connection is open")
				}
				_ = next.Close()
				sender.Wait()
			})
		})
	}
}

// TestHeaderInTimeLeavesNoDeadline reads long after the header.
func TestHeaderInTimeLeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, handed := proxyListenerOf()
		near, far := net.Pipe()
		handed <- addressedConn{far, "10.0.0.1:5"}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(near, version2(1, 0x11, proxyIPv4, ""))
			time.Sleep(time.Hour)
			_, _ = io.WriteString(near, "late")
			_ = near.Close()
		}()
		if got, err := io.ReadAll(conn); string(got) != "late" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestProxyHeadersOfStrangers(t *testing.T) {
	l, logged, handed := proxyListenerOf()
	var strangers []net.Conn
	for _, from := range []string{"203.0.113.5:1", "203.0.113.6:1", "[2001:db8::1]:1"} {
		near, far := net.Pipe()
		strangers = append(strangers, near)
		handed <- addressedConn{far, from}
	}
	near, far := net.Pipe()
	handed <- addressedConn{far, "[::ffff:10.0.0.1]:5"}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(near, "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n") }()
	if got := conn.RemoteAddr().String(); got != "203.0.113.7:4711" {
		t.Errorf("accepted %s, want the one from the trusted proxy", got)
	}
	for _, stranger := range strangers {
		if _, err := stranger.Write([]byte("PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n")); err == nil {
			t.Error("a stranger's connection is open")
		}
	}
	if got := logged.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "203.0.113.5:1") {
		t.Errorf("logged %s, want one warning", got)
	}
}

// FuzzProxyHeader sends anything through the listener. Either the connection is
// closed and nothing is read, or what is read is the end of what was sent.
func FuzzProxyHeader(f *testing.F) {
	for _, seed := range []string{
		"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\nGET / HTTP/1.1\r\n", "PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "PROXY UNKNOWN x\r\nrest",
		version2(1, 0x11, proxyIPv4, "") + "rest", version2(1, 0x21, proxyIPv6, "\x04\x00\x01x"), version2(0, 0, "", ""),
		version2(1, 0x31, strings.Repeat("s", 216), ""), version2(1, 0x11, "", ""), "", "PROXY", "\r\n\r\n\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		l, _, handed := proxyListenerOf()
		near, far := net.Pipe()
		handed <- addressedConn{far, "10.0.0.1:5"}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = near.Write(sent)
			_ = near.Close()
		}()
		address := conn.RemoteAddr()
		read, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil {
			if len(read) > 0 || address.String() != "10.0.0.1:5" {
				t.Errorf("%q: read %q of %s, and %v", sent, read, address, err)
			}
			return
		}
		if !bytes.HasSuffix(sent, read) || len(sent)-len(read) < len("PROXY UNKNOWN\r\n") {
			t.Errorf("read %q of %q", read, sent)
		}
		if _, ok := parseNode(address.String()); !ok {
			t.Errorf("%q: address %s", sent, address)
		}
	})
}
