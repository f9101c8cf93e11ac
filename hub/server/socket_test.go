package server_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"channels/hub"
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
	conn *net.TCPConn
	r    *bufio.Reader
}

// raw connects by hand; pipelined goes out in one piece with the handshake.
func (r *rig) raw(pipelined []byte) *rawClient {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	c := newRawClient(r.t, conn.(*net.TCPConn))
	if err := c.upgrade(pipelined); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func newRawClient(t testing.TB, conn *net.TCPConn) *rawClient {
	return &rawClient{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// upgrade makes the handshake.
func (c *rawClient) upgrade(pipelined []byte) error {
	const hello = "GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := c.conn.Write(append([]byte(hello), pipelined...)); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil || line == "\r\n" {
			return err
		}
	}
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
	if err != nil || head[0]&0x80 == 0 || size > 1<<20 {
		return 0, nil, fmt.Errorf("frame %x of %d bytes: %w", head, size, err)
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(c.r, payload)
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
	r := newRig(t, nil)
	c := r.raw(text(subscribeNews))
	c.expect(opText, "pusher:connection_established")
	c.expect(opText, "subscription_succeeded")
}

func TestFramesByteByByte(t *testing.T) {
	r := newRig(t, nil)
	c := r.raw(nil)
	c.expect(opText, "pusher:connection_established")
	for _, b := range text(subscribeNews) {
		c.write([]byte{b})
	}
	c.expect(opText, "subscription_succeeded")
}

func TestControlFramesBetweenFragments(t *testing.T) {
	r := newRig(t, nil)
	c := r.raw(nil)
	c.expect(opText, "pusher:connection_established")
	c.write(masked(opText, subscribeNews[:10]))
	c.write(masked(0x80|opPing, "between"))
	c.expect(opPong, "between")
	c.write(masked(0, subscribeNews[10:20]))
	c.write(masked(0x80|opPong, ""))
	c.write(masked(0x80, subscribeNews[20:]))
	c.expect(opText, "subscription_succeeded")
}

func TestLongPingIsAnsweredWhole(t *testing.T) {
	r := newRig(t, nil)
	c := r.raw(nil)
	c.expect(opText, "pusher:connection_established")
	long := strings.Repeat("p", 125)
	c.write(masked(0x80|opPing, long))
	c.expect(opPong, long)
}

func TestOneCloseFrame(t *testing.T) {
	for name, closing := range map[string]struct {
		send []byte
		code protocol.Code
	}{
		"the client closes":    {masked(0x80|opClose, "\x03\xe8bye"), 1000},
		"a frame too large":    {text(strings.Repeat("x", 70_000)), protocol.CodeTooBig},
		"a binary frame":       {masked(0x80|2, "x"), protocol.CodeUnsupportedData},
		"an unknown opcode":    {masked(0x80|5, "x"), protocol.CodeProtocolError},
		"a reserved bit":       {masked(0xc0|opText, "x"), protocol.CodeProtocolError},
		"a fragmented control": {masked(opPing, "x"), protocol.CodeProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.raw(nil)
			c.expect(opText, "pusher:connection_established")
			c.write(closing.send)
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
				if got := protocol.Code(binary.BigEndian.Uint16(payload)); got != closing.code {
					t.Errorf("code %d, want %d", got, closing.code)
				}
				c.write(masked(0x80|opClose, "\x03\xe8"))
			}
			if closes != 1 {
				t.Errorf("%d close frames, want 1", closes)
			}
		})
	}
}

func TestStalledReaderIsClosedAndOthersAreNot(t *testing.T) {
	r := newRig(t, nil, func(o *options) { o.transport.QueueBytes = 64 << 10 })
	healthy := r.connect()
	healthy.subscribe("news")
	stalled := r.raw(nil)
	stalled.expect(opText, "pusher:connection_established")
	stalled.write(text(subscribeNews))
	stalled.expect(opText, "subscription_succeeded")

	data := `"` + strings.Repeat("x", 9000) + `"`
	waitFor(t, "the stalled reader to be closed", func() bool {
		r.trigger("news", "event", data)
		healthy.expect("event")
		return r.hub.Connections() == 1
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
	r.trigger("news", "still", data)
	healthy.expect("still")
}

func TestSlowReaderGetsEverythingInOrder(t *testing.T) {
	r := newRig(t, nil, func(o *options) { o.transport.QueueBytes = 64 << 20 })
	c := r.raw(nil)
	c.expect(opText, "pusher:connection_established")
	c.write(text(subscribeNews))
	c.expect(opText, "subscription_succeeded")
	const events = 4000 // 36 MB, more than the kernel takes
	for i := range events {
		r.trigger("news", fmt.Sprintf("event-%d", i), `"`+strings.Repeat("x", 9000)+`"`)
	}
	for i := range events {
		c.expect(opText, fmt.Sprintf(`{"event":"event-%d",`, i))
	}
}

func TestVanishedClientLeavesNothing(t *testing.T) {
	r := newRig(t, nil)
	c := r.raw(nil)
	c.expect(opText, "pusher:connection_established")
	c.write(text(subscribeNews))
	c.expect(opText, "subscription_succeeded")
	_ = c.conn.SetLinger(0) // a reset
	_ = c.conn.Close()
	waitFor(t, "the connection to be gone", func() bool { return r.hub.Connections() == 0 })
	found, err := r.hub.Channels(context.Background(), r.app, "")
	if err != nil || len(found) != 0 {
		t.Errorf("channels %v, %v; want none", found, err)
	}
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
