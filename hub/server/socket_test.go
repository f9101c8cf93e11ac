package server_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"channels/hub"
	"channels/hub/server"
	"channels/hub/testlog"
	"channels/hub/transport"
	"channels/protocol"
)

func TestSubscribeAndReceive(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect()
	c.subscribe("news")
	r.trigger("news", "hello", `{"a":"ä😀"}`)
	if got := string(c.expect("hello")); got != `{"a":"ä😀"}` {
		t.Errorf("got %s", got)
	}
}

func TestLargeEventsInARow(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect()
	c.subscribe("news")
	const events = 40
	for i := range events {
		r.trigger("news", fmt.Sprint("event-", i), `"`+strings.Repeat("x", 10_000)+`"`)
	}
	for i := range events {
		c.expect(fmt.Sprint("event-", i))
	}
}

func TestRefusedHandshakes(t *testing.T) {
	r := newRig(t, func(a *hub.App) { a.AllowedOrigins = []string{"https://example.com"} })
	for name, test := range map[string]struct {
		path   string
		code   protocol.Code
		reason string
	}{
		"unknown key":    {"/app/other?protocol=7", protocol.CodeUnknownKey, "App key other not in this cluster. Did you forget to specify the cluster?"},
		"wrong path":     {"/socket", protocol.CodePathNotFound, "Path not found"},
		"no key":         {"/app/?protocol=7", protocol.CodePathNotFound, "Path not found"},
		"no protocol":    {"/app/app-key", protocol.CodeNoProtocol, "No protocol version supplied"},
		"old protocol":   {"/app/app-key?protocol=3", protocol.CodeUnsupportedProtocol, "Unsupported protocol version"},
		"new protocol":   {"/app/app-key?protocol=8", protocol.CodeUnsupportedProtocol, "Unsupported protocol version"},
		"wrong protocol": {"/app/app-key?protocol=x", protocol.CodeUnsupportedProtocol, "Unsupported protocol version"},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial(test.path)
			data := string(c.expect("pusher:error"))
			if want := fmt.Sprintf(`{"code":%d,"message":%q}`, test.code, test.reason); data != want {
				t.Errorf("got %s, want %s", data, want)
			}
			c.expectClose(test.code, test.reason)
		})
	}
	c := r.connect() // no Origin, as clients that are no browsers
	c.subscribe("news")
}

func TestOrigins(t *testing.T) {
	r := newRig(t, func(a *hub.App) {
		a.AllowedOrigins = []string{"https://example.com", "*.example.org", "local:8080", "https://ported.com:443", "ported.net:80"}
	})
	for origin, allowed := range map[string]bool{
		"https://example.com":   true,
		"http://example.com":    false,
		"https://a.example.org": true,
		"https://example.org":   false,
		"http://local:8080":     true,
		"http://local:8081":     false,
		"null":                  false,
		"https://ported.com":    true,
		"http://ported.com":     false,
		"http://ported.net":     true,
		"https://ported.net":    false,
	} {
		ws, _, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/app/app-key?protocol=7", &websocket.DialOptions{
			HTTPHeader: map[string][]string{"Origin": {origin}},
		})
		if err != nil {
			t.Fatalf("%s: %v", origin, err)
		}
		c := &client{t: t, ws: ws}
		if allowed {
			c.expect("pusher:connection_established")
		} else {
			c.expectClose(protocol.CodeUnauthorized, "Origin not allowed")
		}
		_ = ws.CloseNow()
	}
}

func TestSubprotocolIsEchoed(t *testing.T) {
	r := newRig(t, nil)
	ws, _, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/app/app-key?protocol=7", &websocket.DialOptions{
		Subprotocols: []string{"pusher-channels-protocol-7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if got := ws.Subprotocol(); got != "pusher-channels-protocol-7" {
		t.Errorf("got %q", got)
	}
}

// rawClient speaks bytes, for what no library would send.
type rawClient struct {
	t    testing.TB
	conn net.Conn // TLS's over TLS
	tcp  *net.TCPConn
	over way
	r    *bufio.Reader
}

// way is how a raw client reaches a server.
type way struct {
	name    string
	tls     bool
	deflate bool // negotiated; its messages are compressed
}

var ways = []way{{name: "plain"}, {name: "TLS", tls: true}, {name: "compressed", deflate: true}, {name: "compressed over TLS", tls: true, deflate: true}}

// overEach runs a test with a server of its own for each way to reach it.
func overEach(t *testing.T, change func(*hub.App), test func(*testing.T, *rig), changes ...func(*options)) {
	t.Helper()
	over(t, ways, change, test, changes...)
}

// overBoth is overEach without compression.
func overBoth(t *testing.T, change func(*hub.App), test func(*testing.T, *rig), changes ...func(*options)) {
	t.Helper()
	over(t, ways[:2], change, test, changes...)
}

func over(t *testing.T, ways []way, change func(*hub.App), test func(*testing.T, *rig), changes ...func(*options)) {
	t.Helper()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t, change, changes...)
			r.comeOver(way)
			test(t, r)
		})
	}
}

// comeOver has raw clients come another way from now on.
func (r *rig) comeOver(w way) {
	r.t.Helper()
	if r.over = w; !w.tls {
		return
	}
	certFile, keyFile := writeCertificate(r.t.(*testing.T), r.t.TempDir(), 1)
	certificate, err := server.LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		r.t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = inner.Addr().String()
	web := r.front.HTTPServer()
	go func() { _ = web.Serve(transport.NewTLSListener(inner, certificate.Config())) }()
	r.t.Cleanup(func() { _ = web.Close() })
}

// raw connects by hand; pipelined goes out in one piece with the handshake.
func (r *rig) raw(pipelined []byte) *rawClient {
	r.t.Helper()
	c, err := r.rawDial()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.tcp.Close() })
	if err := c.upgrade(pipelined); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) rawDial() (*rawClient, error) {
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	c := &rawClient{t: r.t, conn: conn, tcp: conn.(*net.TCPConn), over: r.over}
	if r.over.tls {
		c.conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	c.r = bufio.NewReader(c.conn)
	return c, nil
}

// upgrade makes the handshake.
func (c *rawClient) upgrade(pipelined []byte) error {
	hello := "GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if c.over.deflate {
		hello += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
	}
	if _, err := c.conn.Write(append([]byte(hello+"\r\n"), pipelined...)); err != nil {
		return err
	}
	agreed := false
	for {
		line, err := c.r.ReadString('\n')
		if line == "Sec-Websocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n" {
			agreed = true
		}
		if line == "\r\n" && agreed != c.over.deflate {
			err = fmt.Errorf("compression agreed on: %t", agreed)
		}
		if err != nil || line == "\r\n" {
			return err
		}
	}
}

// text builds a message as the client sends it.
func (c *rawClient) text(payload string) []byte { return c.over.text(payload) }

func (w way) text(payload string) []byte {
	if w.deflate {
		return masked(0xc0|opText, deflated(payload))
	}
	return text(payload)
}

// pieces builds the frames of a message that is cut at two places.
func (w way) pieces(payload string) [3][]byte {
	first := byte(opText)
	if w.deflate {
		first, payload = 0x40|opText, deflated(payload)
	}
	return [3][]byte{masked(first, payload[:7]), masked(0, payload[7:20]), masked(0x80, payload[20:])}
}

// deflated is the payload of a compressed message.
func deflated(payload string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	_, _ = io.WriteString(w, payload)
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

func (c *rawClient) write(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// frame reads one frame of the server's.
func (c *rawClient) frame() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	switch size {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(c.r, b[:])
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(c.r, b[:])
		size = binary.BigEndian.Uint64(b[:])
	}
	if err != nil || head[0]&0x80 == 0 || size > 8<<20 {
		return 0, nil, fmt.Errorf("frame %x of %d bytes: %w", head, size, err)
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(c.r, payload)
	if err == nil && head[0]&0x40 != 0 {
		if !c.over.deflate {
			return 0, nil, errors.New("compressed, which was not agreed on")
		}
		payload, err = protocol.Inflate(nil, payload, 8<<20)
	}
	return head[0] & 0xf, payload, err
}

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

func (c *rawClient) expect(opcode byte, contains string) []byte {
	c.t.Helper()
	op, payload, err := c.frame()
	if err != nil {
		c.t.Fatalf("waiting for %q: %v", contains, err)
	}
	if op != opcode || !strings.Contains(string(payload), contains) {
		c.t.Fatalf("got opcode %d %q, want %d %q", op, payload, opcode, contains)
	}
	return payload
}

// masked builds a client's frame.
func masked(first byte, payload string) []byte {
	mask := [4]byte{1, 2, 3, 4}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func text(payload string) []byte { return masked(0x80|opText, payload) }

const subscribeNews = `{"event":"pusher:subscribe","data":{"channel":"news"}}`

func TestSubscribeBehindTheHandshake(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(r.over.text(subscribeNews))
		c.expect(opText, "pusher:connection_established")
		c.expect(opText, "subscription_succeeded")
	})
}

func TestFramesByteByByte(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(nil)
		c.expect(opText, "pusher:connection_established")
		for _, b := range c.text(subscribeNews) {
			c.write([]byte{b})
		}
		c.expect(opText, "subscription_succeeded")
	})
}

func TestControlFramesBetweenFragments(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(nil)
		c.expect(opText, "pusher:connection_established")
		pieces := r.over.pieces(subscribeNews)
		c.write(pieces[0])
		c.write(masked(0x80|opPing, "between"))
		c.expect(opPong, "between")
		c.write(pieces[1])
		c.write(masked(0x80|opPong, ""))
		c.write(pieces[2])
		c.expect(opText, "subscription_succeeded")
	})
}

func TestLongPingIsAnsweredWhole(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(nil)
		c.expect(opText, "pusher:connection_established")
		long := strings.Repeat("p", 125)
		c.write(masked(0x80|opPing, long))
		c.expect(opPong, long)
	})
}

// TestManyPingsAreAllAnswered, in their order, when they come in one piece.
func TestManyPingsAreAllAnswered(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(nil)
		c.expect(opText, "pusher:connection_established")
		var pings []byte
		const count = 1000
		for i := range count {
			pings = append(pings, masked(0x80|opPing, fmt.Sprintf("<%d>", i))...)
		}
		c.write(pings)
		for i := range count {
			c.expect(opPong, fmt.Sprintf("<%d>", i))
		}
	})
}

// ends are the ways in which a connection ends by what the client does, over any
// carrier.
func (w way) ends() map[string]clientEnd {
	reserved := byte(0xc0)
	if w.deflate {
		reserved = 0xa0
	}
	return map[string]clientEnd{
		"the client closes":          {masked(0x80|opClose, "\x03\xe8bye"), 1000, 1000, hub.ClientClosed},
		"with a code of its own":     {masked(0x80|opClose, "\x0f\xa0bye"), 4000, 0, hub.ClientClosed},
		"without a code":             {masked(0x80|opClose, ""), 0, 1005, hub.ClientClosed},
		"with half a code":           {masked(0x80|opClose, "\x03"), 1002, 1002, hub.BadFrame},
		"with a reserved code":       {masked(0x80|opClose, "\x03\xed"), 1002, 1002, hub.BadFrame},
		"with a reason not in UTF-8": {masked(0x80|opClose, "\x03\xe8\xff"), 1007, 1007, hub.BadText},
		"a message too large":        {w.text(strings.Repeat("x", 70_000)), 1009, 1009, hub.TooLarge},
		"a header of a large one":    {masked(0x80|opText, strings.Repeat("x", 200_000))[:14], 1009, 1009, hub.TooLarge},
		"text that is not UTF-8":     {w.text("\xff"), 1007, 1007, hub.BadText},
		"a binary message":           {masked(0x80|2, "x"), 1003, 1003, hub.Unsupported},
		"an unmasked message":        {[]byte("\x81\x01x"), 1002, 1002, hub.BadFrame},
		"an unmasked ping":           {[]byte("\x89\x00"), 1002, 1002, hub.BadFrame},
		"an unknown opcode":          {masked(0x80|5, "x"), 1002, 1002, hub.BadFrame},
		"a reserved bit":             {masked(reserved|opText, "x"), 1002, 1002, hub.BadFrame},
		"a fragmented control":       {masked(opPing, "x"), 1002, 1002, hub.BadFrame},
		"a long ping":                {masked(0x80|opPing, strings.Repeat("x", 126)), 1002, 1002, hub.BadFrame},
		"nothing to continue":        {masked(0x80, "x"), 1002, 1002, hub.BadFrame},
		"a message within another":   {append(masked(opText, "x"), text("x")...), 1002, 1002, hub.BadFrame},
	}
}

// clientEnd is what the client sends, the code that it is answered, and what is
// counted.
type clientEnd struct {
	send    []byte
	code    protocol.Code // 0 = a close frame without one
	counted protocol.Code
	reason  hub.CloseReason
}

// TestOneCloseFrame: each end has one close frame, is counted once, and is logged.
func TestOneCloseFrame(t *testing.T) {
	for _, w := range ways {
		for name, end := range w.ends() {
			t.Run(w.name+"/"+name, func(t *testing.T) {
				var log testlog.Buffer
				r := newRig(t, nil, func(o *options) {
					o.transport.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				})
				r.comeOver(w)
				c := r.raw(nil)
				c.expect(opText, "pusher:connection_established")
				c.write(end.send)
				c.expectOneClose(end.code)
				want := hub.End{Code: end.counted, Reason: end.reason}
				waitFor(t, fmt.Sprintf("%v to be counted, of %v", want, r.hub.Stats().Closes), func() bool {
					closes := r.hub.Stats().Closes
					return len(closes) == 1 && closes[want] == 1
				})
				for _, part := range []string{"level=DEBUG", `msg="connection ended"`, "address=127.0.0.1:", "app=1", "socket=", "code=", "reason="} {
					if got := log.String(); strings.Count(got, part) != 1 {
						t.Errorf("%q is there %d times: %s", part, strings.Count(got, part), got)
					}
				}
			})
		}
	}
}

// expectOneClose reads to the end and answers the one close frame on the way.
func (c *rawClient) expectOneClose(want protocol.Code) {
	c.t.Helper()
	closes := 0
	for {
		op, payload, err := c.frame()
		if err != nil {
			break
		}
		if op != opClose {
			continue
		}
		closes++
		got := protocol.NoCode
		if len(payload) > 0 {
			got = protocol.Code(binary.BigEndian.Uint16(payload))
		}
		if got != want {
			c.t.Errorf("code %d, want %d", got, want)
		}
		_, _ = c.conn.Write(masked(0x80|opClose, "\x03\xe8"))
	}
	if closes != 1 {
		c.t.Errorf("%d close frames, want 1", closes)
	}
}

// TestBadCompression: garbage and bombs end a connection as other bad messages do.
func TestBadCompression(t *testing.T) {
	bomb := deflated(strings.Repeat("x", 50<<20))
	half := deflated(subscribeNews)
	for name, end := range map[string]clientEnd{
		"garbage":                     {send: masked(0xc0|opText, "\xff\xff\xff\xff garbage"), code: 1007},
		"half a message":              {send: masked(0xc0|opText, half[:len(half)/2]), code: 1007},
		"a bomb":                      {send: masked(0xc0|opText, bomb), code: 1009},
		"a bomb in fragments":         {send: append(masked(0x40|opText, bomb[:20_000]), masked(0x80, bomb[20_000:])...), code: 1009},
		"a binary bomb":               {send: masked(0xc0|2, bomb), code: 1009},
		"a bit on a continuation":     {send: append(masked(0x40|opText, half[:9]), masked(0xc0, half[9:])...), code: 1002},
		"a bit on a ping":             {send: masked(0xc0|opPing, "x"), code: 1002},
		"a binary message":            {send: masked(0xc0|2, deflated("x")), code: 1003},
		"text that is not UTF-8":      {send: masked(0xc0|opText, deflated("\xc3(")), code: 1007},
		"a message that is too large": {send: masked(0xc0|opText, deflated(strings.Repeat("0123456789", 7000))), code: 1009},
	} {
		for _, w := range ways[2:] {
			t.Run(w.name+"/"+name, func(t *testing.T) {
				r := newRig(t, nil)
				r.comeOver(w)
				c := r.raw(nil)
				c.expect(opText, "pusher:connection_established")
				c.write(end.send)
				c.expectOneClose(end.code)
			})
		}
	}
	t.Run("not agreed on", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.raw(nil)
		c.expect(opText, "pusher:connection_established")
		c.write(masked(0xc0|opText, deflated(subscribeNews)))
		c.expectOneClose(protocol.CodeProtocolError)
	})
}

// TestCompressionOffered: an app that never compresses does not agree to it.
func TestCompressionOffered(t *testing.T) {
	for least, want := range map[int]string{0: "", 1024: "permessage-deflate; client_no_context_takeover; server_no_context_takeover"} {
		r := newRig(t, func(a *hub.App) { a.CompressionMin = least })
		ws, response, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/app/app-key?protocol=7", &websocket.DialOptions{
			CompressionMode: websocket.CompressionNoContextTakeover,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Get("Sec-WebSocket-Extensions"); got != want {
			t.Errorf("from %d bytes on: agreed to %q, want %q", least, got, want)
		}
		c := &client{t: t, ws: ws}
		c.expect("pusher:connection_established")
		c.subscribe(strings.Repeat("x", 150)) // long enough for a library to compress
		_ = ws.CloseNow()
	}
}

// TestStalledReaderIsClosedAndOthersAreNot has one client read nothing, among many
// that do.
func TestStalledReaderIsClosedAndOthersAreNot(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, r *rig) {
		const many = 5
		healthy := make([]*rawClient, many)
		for i := range healthy {
			healthy[i] = r.raw(r.over.text(subscribeNews))
			healthy[i].expect(opText, "pusher:connection_established")
			healthy[i].expect(opText, "subscription_succeeded")
		}
		stalled := r.raw(r.over.text(subscribeNews))
		stalled.expect(opText, "pusher:connection_established")
		stalled.expect(opText, "subscription_succeeded")

		data := `"` + strings.Repeat("x", 100_000) + `"`
		event := func(name string) {
			r.trigger("news", name, data)
			for _, c := range healthy {
				c.expect(opText, `{"event":"`+name+`",`)
			}
		}
		waitFor(t, "the stalled reader to be closed", func() bool {
			event("event")
			return r.hub.Connections() == many
		})
		// It resumes in time: whole frames, then the reason.
		for {
			op, payload, err := stalled.frame()
			if err != nil {
				t.Fatalf("no close frame: %v", err)
			}
			if op == opClose {
				if code := binary.BigEndian.Uint16(payload); code != uint16(protocol.CodeOverCapacity) {
					t.Errorf("code %d, want 4100", code)
				}
				break
			}
		}
		event("still")
	}, func(o *options) { o.transport.QueueBytes = 64 << 10 })
}

// TestLargeFrameArrives: a frame may be larger than a client's queue. It arrives
// when the client reads, and what follows arrives in order.
func TestLargeFrameArrives(t *testing.T) {
	overEach(t, func(a *hub.App) { a.MaxEventBytes = 8 << 20 }, func(t *testing.T, r *rig) {
		c := r.raw(r.over.text(subscribeNews))
		c.expect(opText, "pusher:connection_established")
		c.expect(opText, "subscription_succeeded")
		large := randomText(6 << 20)
		r.trigger("news", "large", `"`+large+`"`)
		r.trigger("news", "behind", "x")
		if got := c.expect(opText, `{"event":"large",`); !strings.Contains(string(got), large) {
			t.Error("the large frame is another one")
		}
		c.expect(opText, `{"event":"behind",`)
		for i := range 20 {
			r.trigger("news", fmt.Sprintf("event-%d", i), "x")
			c.expect(opText, fmt.Sprintf(`{"event":"event-%d",`, i))
		}
	})
}

// randomText is text that does not compress by much.
func randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rand.IntN(26))
	}
	return string(b)
}

// TestPausingClientStays: a client that does not read for a while, with less than
// its bound waiting for it, is not closed.
func TestPausingClientStays(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(r.over.text(subscribeNews))
		c.expect(opText, "pusher:connection_established")
		c.expect(opText, "subscription_succeeded")
		sent := 0
		for r.budget.Used() == 0 && sent < 10_000 {
			r.trigger("news", fmt.Sprintf("event-%d", sent), `"`+randomText(4000)+`"`)
			sent++
			if sent%10 == 0 {
				time.Sleep(time.Millisecond) // the worker may be behind, which is not what is asked
			}
		}
		time.Sleep(1500 * time.Millisecond)
		if r.hub.Connections() != 1 {
			t.Fatal("the client has been closed")
		}
		for i := range sent {
			c.expect(opText, fmt.Sprintf(`{"event":"event-%d",`, i))
		}
		waitFor(t, "nothing to be queued", func() bool { return r.budget.Used() == 0 })
	})
}

func TestSlowReaderGetsEverythingInOrder(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(r.over.text(subscribeNews))
		c.expect(opText, "pusher:connection_established")
		c.expect(opText, "subscription_succeeded")
		const events = 1000 // 30 MB, more than the kernel takes
		for i := range events {
			r.trigger("news", fmt.Sprintf("event-%d", i), `"`+strings.Repeat("x", 30_000)+`"`)
		}
		for i := range events {
			c.expect(opText, fmt.Sprintf(`{"event":"event-%d",`, i))
		}
	}, func(o *options) { o.transport.QueueBytes = 64 << 20 })
}

// TestStalledTLSHandshakeIsCutOff has a client begin a TLS handshake and stop.
func TestStalledTLSHandshakeIsCutOff(t *testing.T) {
	certFile, keyFile := writeCertificate(t, t.TempDir(), 1)
	certificate, err := server.LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, sent := range map[string]string{"nothing": "", "half a record": "\x16\x03\x01\x02\x00\x01", "no TLS": "GET / HTTP/1.1\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(hub.Options{Apps: []hub.App{hub.DefaultApp()}})
				defer h.Close()
				front, _, _ := assemble(h, options{})
				web := front.HTTPServer()
				near, far := net.Pipe()
				listener := transport.NewTLSListener(&oneConn{conn: far, done: make(chan struct{})}, certificate.Config())
				go func() { _ = web.Serve(listener) }()
				defer web.Close()
				start := time.Now()
				go func() { _, _ = io.WriteString(near, sent) }()
				_, _ = io.ReadAll(near)
				if took := time.Since(start); took > 15*time.Second {
					t.Errorf("held for %v, want about 10 s at most", took)
				}
			})
		})
	}
}

// TestTLSWithoutADescriptor: where sockets cannot be driven by their descriptors,
// TLS works with goroutines.
func TestTLSWithoutADescriptor(t *testing.T) {
	certFile, keyFile := writeCertificate(t, t.TempDir(), 1)
	certificate, err := server.LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		app := hub.DefaultApp()
		app.ID, app.Key, app.Secret = "1", key, secret
		memory := hub.NewMemory()
		defer memory.Close()
		h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory})
		defer h.Close()
		front, _, _ := assemble(h, options{})
		web := front.HTTPServer()
		near, far := net.Pipe()
		listener := transport.NewTLSListener(&oneConn{conn: far, done: make(chan struct{})}, certificate.Config())
		go func() { _ = web.Serve(listener) }()
		defer web.Close()
		c := &rawClient{t: t, conn: tls.Client(near, &tls.Config{InsecureSkipVerify: true})}
		c.r = bufio.NewReader(c.conn)
		if err := c.upgrade(nil); err != nil {
			t.Fatal(err)
		}
		c.expect(opText, "pusher:connection_established")
		c.write(text(subscribeNews))
		c.expect(opText, "subscription_succeeded")
		c.write(masked(0x80|opClose, "\x03\xe8"))
		c.expect(opClose, "\x03\xe8")
		_ = c.conn.Close()
		synctest.Wait()
		if n := h.Connections(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}

func TestVanishedClientLeavesNothing(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(r.over.text(subscribeNews))
		c.expect(opText, "pusher:connection_established")
		c.expect(opText, "subscription_succeeded")
		_ = c.tcp.SetLinger(0) // a reset
		_ = c.tcp.Close()
		waitFor(t, "the connection to be gone", func() bool { return r.hub.Connections() == 0 })
		found, err := r.hub.Channels(context.Background(), r.app, "")
		if err != nil || len(found) != 0 {
			t.Errorf("channels %v, %v; want none", found, err)
		}
		want := hub.End{Code: 1006, Reason: hub.Disconnected}
		waitFor(t, "the end to be counted", func() bool { return r.hub.Stats().Closes[want] == 1 })
	})
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
