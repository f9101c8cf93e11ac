//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Opcodes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// wireFrame is a WebSocket frame that a well-behaved library would not always
// send.
type wireFrame struct {
	More     bool // not the last fragment
	Reserved byte // RSV1 to RSV3, as the three bits after FIN
	Opcode   byte
	Unmasked bool
	Payload  string
}

func (f wireFrame) bytes() []byte {
	first := f.Opcode | f.Reserved<<4
	if !f.More {
		first |= 0x80
	}
	var mask byte
	if !f.Unmasked {
		mask = 0x80
	}
	out := []byte{first}
	switch n := len(f.Payload); {
	case n < 126:
		out = append(out, mask|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, mask|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, mask|127), uint64(n))
	}
	if f.Unmasked {
		return append(out, f.Payload...)
	}
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	out = append(out, key[:]...)
	for i := range len(f.Payload) {
		out = append(out, f.Payload[i]^key[i%4])
	}
	return out
}

func text(payload string) wireFrame { return wireFrame{Opcode: opText, Payload: payload} }

// dialTCP connects to the socket listener and gives the connection a deadline
// for everything that follows.
func dialTCP(t testing.TB, s *server) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// wire is a WebSocket connection without a library.
type wire struct {
	t    testing.TB
	conn *net.TCPConn
	in   *bufio.Reader
}

const upgradeRequest = "GET " + defaultPath + " HTTP/1.1\r\n" +
	"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// upgrade opens a wire, sending more bytes right behind the request.
func upgrade(t testing.TB, s *server, more ...wireFrame) *wire {
	t.Helper()
	w := &wire{t: t, conn: dialTCP(t, s)}
	w.in = bufio.NewReader(w.conn)
	first := []byte(upgradeRequest)
	for _, f := range more {
		first = append(first, f.bytes()...)
	}
	w.raw(first)
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		t.Fatalf("upgrade: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: got %s", res.Status)
	}
	if accept := res.Header.Get("Sec-WebSocket-Accept"); accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("Sec-WebSocket-Accept: got %q", accept)
	}
	w.expectText(`{"event":"pusher:connection_established"`)
	return w
}

// joined gives a wire that is subscribed to the room.
func joinedWire(t testing.TB, s *server) *wire {
	t.Helper()
	w := upgrade(t, s)
	w.send(text(subscribeFrame(room, "", "")))
	w.expectText(`{"event":"pusher_internal:subscription_succeeded"`)
	return w
}

func (w *wire) raw(bytes []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(bytes); err != nil {
		w.t.Fatalf("write: %v", err)
	}
}

func (w *wire) send(frames ...wireFrame) {
	w.t.Helper()
	var out []byte
	for _, f := range frames {
		out = append(out, f.bytes()...)
	}
	w.raw(out)
}

// read gives the next frame of the server, which is never masked and never in
// fragments.
func (w *wire) read() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xF0 != 0x80 || head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("frame header %x: fragmented, compressed or masked", head)
	}
	n := uint64(head[1])
	var long [8]byte
	switch n {
	case 126:
		if _, err := io.ReadFull(w.in, long[:2]); err != nil {
			return 0, nil, err
		}
		n = uint64(binary.BigEndian.Uint16(long[:2]))
	case 127:
		if _, err := io.ReadFull(w.in, long[:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(long[:])
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(w.in, payload)
	return head[0] & 0x0F, payload, err
}

func (w *wire) expect(opcode byte, beginning string) []byte {
	w.t.Helper()
	got, payload, err := w.read()
	if err != nil {
		w.t.Fatalf("read: %v, want opcode %#x %q", err, opcode, beginning)
	}
	if got != opcode || !bytes.HasPrefix(payload, []byte(beginning)) {
		w.t.Fatalf("got opcode %#x %q, want %#x %q", got, payload, opcode, beginning)
	}
	return payload
}

func (w *wire) expectText(beginning string) {
	w.t.Helper()
	w.expect(opText, beginning)
}

// expectFailed requires that the server fails the connection: a close frame
// with this code where it sends one, and the end of the stream.
func (w *wire) expectFailed(code uint16) {
	w.t.Helper()
	for {
		opcode, payload, err := w.read()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				w.t.Fatal("the server kept the connection open")
			}
			return
		}
		switch opcode {
		case opClose:
			if len(payload) < 2 || binary.BigEndian.Uint16(payload) != code {
				w.t.Fatalf("close frame: got %q, want code %d", payload, code)
			}
		case opText:
			if !bytes.HasPrefix(payload, []byte(`{"event":"pusher:error"`)) {
				w.t.Fatalf("got %q after a violation of the protocol", payload)
			}
		}
	}
}

// TestFrameViolation sends what RFC 6455 forbids; the connection fails with
// 1002.
func TestFrameViolation(t *testing.T) {
	ping := `{"event":"pusher:ping","data":{}}`
	tests := []struct {
		name   string
		frames []wireFrame
	}{
		{"unmasked text", []wireFrame{{Opcode: opText, Unmasked: true, Payload: ping}}},
		{"unmasked ping", []wireFrame{{Opcode: opPing, Unmasked: true}}},
		{"unmasked close", []wireFrame{{Opcode: opClose, Unmasked: true, Payload: "\x03\xe8"}}},
		{"reserved bit 1 without compression", []wireFrame{{Opcode: opText, Reserved: 4, Payload: ping}}},
		{"reserved bit 2", []wireFrame{{Opcode: opText, Reserved: 2, Payload: ping}}},
		{"reserved bit 3", []wireFrame{{Opcode: opText, Reserved: 1, Payload: ping}}},
		{"reserved data opcode", []wireFrame{{Opcode: 0x3, Payload: ping}}},
		{"reserved control opcode", []wireFrame{{Opcode: 0xB}}},
		{"ping in fragments", []wireFrame{{Opcode: opPing, More: true}}},
		{"ping of 126 bytes", []wireFrame{{Opcode: opPing, Payload: strings.Repeat("a", 126)}}},
		{"continuation of nothing", []wireFrame{{Opcode: opContinuation, Payload: ping}}},
		{"text inside of a fragmented text", []wireFrame{{Opcode: opText, More: true, Payload: "{"}, {Opcode: opText, Payload: ping}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				w := joinedWire(t, s)
				w.send(tt.frames...)
				w.expectFailed(1002)
			})
		})
	}
}

// TestFragmentsOverTheReadLimit adds up fragments that are small themselves.
func TestFragmentsOverTheReadLimit(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		w := joinedWire(t, s)
		w.send(wireFrame{Opcode: opText, More: true, Payload: `{"event":"`})
		piece := wireFrame{Opcode: opContinuation, More: true, Payload: strings.Repeat("a", 16<<10)}.bytes()
		for range 8 {
			if _, err := w.conn.Write(piece); err != nil {
				break // closed already
			}
		}
		w.expectFailed(1009)
	})
}

// TestFrameOfAbsurdLength announces more than there is memory for.
func TestFrameOfAbsurdLength(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		w := joinedWire(t, s)
		w.raw([]byte{0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4})
		_, _ = w.conn.Write(make([]byte, readLimit+1)) // closed at any byte of it
		w.expectFailed(1009)
	})
}

// TestFrameOfNegativeLength sets the bit that RFC 6455 wants to be zero.
func TestFrameOfNegativeLength(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		w := joinedWire(t, s)
		w.raw([]byte{0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4, 'a'})
		for {
			if _, _, err := w.read(); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("the server kept the connection open")
				}
				return
			}
		}
	})
}

// TestClosedInTheMiddle leaves without a word where the server expects more,
// once with the end of the stream and once with a reset.
func TestClosedInTheMiddle(t *testing.T) {
	subscribe := text(subscribeFrame("elsewhere", "", "")).bytes()
	places := []struct {
		name  string
		reach func(t *testing.T, s *server) *net.TCPConn
	}{
		{"of nothing", func(t *testing.T, s *server) *net.TCPConn { return dialTCP(t, s) }},
		{"of the handshake", func(t *testing.T, s *server) *net.TCPConn {
			conn := dialTCP(t, s)
			if _, err := conn.Write([]byte(upgradeRequest[:len(upgradeRequest)/2])); err != nil {
				t.Fatal(err)
			}
			return conn
		}},
		{"of the upgrade, its answer unread", func(t *testing.T, s *server) *net.TCPConn {
			conn := dialTCP(t, s)
			if _, err := conn.Write([]byte(upgradeRequest)); err != nil {
				t.Fatal(err)
			}
			return conn
		}},
		{"of a frame's header", func(t *testing.T, s *server) *net.TCPConn {
			w := joinedWire(t, s)
			w.raw(subscribe[:1])
			return w.conn
		}},
		{"of a frame", func(t *testing.T, s *server) *net.TCPConn {
			w := joinedWire(t, s)
			w.raw(subscribe[:len(subscribe)-5])
			return w.conn
		}},
		{"of a message in fragments", func(t *testing.T, s *server) *net.TCPConn {
			w := joinedWire(t, s)
			w.send(wireFrame{Opcode: opText, More: true, Payload: `{"event":`})
			return w.conn
		}},
		{"of a subscription", func(t *testing.T, s *server) *net.TCPConn {
			w := joinedWire(t, s)
			w.raw(subscribe)
			return w.conn
		}},
		{"of the closing handshake", func(t *testing.T, s *server) *net.TCPConn {
			w := joinedWire(t, s)
			w.send(wireFrame{Opcode: opClose, Payload: "\x03\xe8"})
			return w.conn
		}},
	}
	for _, place := range places {
		for _, reset := range []bool{false, true} {
			name := place.name + ", end of stream"
			if reset {
				name = place.name + ", reset"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				besideBystander(t, func(t *testing.T, s *server) {
					conn := place.reach(t, s)
					if reset {
						if err := conn.SetLinger(0); err != nil {
							t.Fatal(err)
						}
					}
					if err := conn.Close(); err != nil {
						t.Fatal(err)
					}
					awaitSubscribers(t, s, room, 1)
				})
			})
		}
	}
}

// awaitSubscribers asks until a channel has n subscriptions.
func awaitSubscribers(t testing.TB, s *server, channel string, n int) {
	t.Helper()
	want := fmt.Sprintf(`"subscription_count":%d`, n)
	eventually(t, fmt.Sprintf("%d subscriptions of %s", n, channel), func() (string, bool) {
		_, body := get(t, s, "/apps/1/channels/"+channel, map[string]string{"info": "subscription_count"})
		return body, strings.Contains(body, want)
	})
}

// eventually asks until the answer is right. For what the server does on its
// own and announces to nobody.
func eventually(t testing.TB, what string, ask func() (got string, ok bool)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got, ok := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; last answer %q", what, patience, got)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestManyHalfHandshakes holds connections that never finish their request
// open while others work.
func TestManyHalfHandshakes(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		for range 100 {
			conn := dialTCP(t, s)
			if _, err := conn.Write([]byte(upgradeRequest[:40])); err != nil {
				t.Fatal(err)
			}
		}
		connect(t, s).subscribe(room)
	})
}

// TestFragmentedText is no bad input: a message may come in pieces, with
// control frames between them.
func TestFragmentedText(t *testing.T) {
	t.Parallel()
	w := upgrade(t, start(t))
	frame := subscribeFrame(room, "", "")
	w.send(
		wireFrame{Opcode: opText, More: true, Payload: frame[:10]},
		wireFrame{Opcode: opPing, Payload: "between"},
		wireFrame{Opcode: opContinuation, More: true},
		wireFrame{Opcode: opContinuation, Payload: frame[10:]},
	)
	w.expect(opPong, "between")
	w.expectText(`{"event":"pusher_internal:subscription_succeeded"`)
}

// TestOneByteAtATime is no bad input either.
func TestOneByteAtATime(t *testing.T) {
	t.Parallel()
	s := start(t)
	w := upgrade(t, s)
	if err := w.conn.SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	for _, b := range text(subscribeFrame(room, "", "")).bytes() {
		w.raw([]byte{b})
	}
	w.expectText(`{"event":"pusher_internal:subscription_succeeded"`)
}

// TestPipelinedSubscribe sends its first frames in the same packet as the
// request to upgrade.
func TestPipelinedSubscribe(t *testing.T) {
	t.Parallel()
	s := start(t)
	w := upgrade(t, s, text(subscribeFrame("a", "", "")), text(subscribeFrame("b", "", "")))
	w.expectText(`{"event":"pusher_internal:subscription_succeeded","channel":"a"`)
	w.expectText(`{"event":"pusher_internal:subscription_succeeded","channel":"b"`)
}

// TestWebSocketPings sends as many as the .NET client would in a minute.
func TestWebSocketPings(t *testing.T) {
	t.Parallel()
	w := joinedWire(t, start(t))
	for i := range 60 {
		payload := fmt.Sprint("ping ", i)
		w.send(wireFrame{Opcode: opPing, Payload: payload})
		w.expect(opPong, payload)
	}
}

// TestClosingHandshake requires that a close frame is answered with its code.
func TestClosingHandshake(t *testing.T) {
	t.Parallel()
	w := joinedWire(t, start(t))
	w.send(wireFrame{Opcode: opClose, Payload: "\x03\xe8bye"})
	w.expect(opClose, "\x03\xe8")
	if _, _, err := w.read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the closing handshake: got %v, want the end of the stream", err)
	}
}

// TestProbe requires that a silent client is asked with a WebSocket ping, which
// every client answers, and not with an event, which many do not.
func TestProbe(t *testing.T) {
	t.Parallel()
	w := upgrade(t, start(t, "CHANNELS_APP_ACTIVITY_TIMEOUT=1s"))
	for range 2 {
		payload := w.expect(opPing, "")
		w.send(wireFrame{Opcode: opPong, Payload: string(payload)})
	}
}

// TestSlowReaderGetsEverything reads with a small buffer, after everything was
// sent: a client that is slow, but not dead, loses nothing.
func TestSlowReaderGetsEverything(t *testing.T) {
	t.Parallel()
	s := start(t)
	slow := joinedWire(t, s)
	if err := slow.conn.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	data := strings.Repeat("x", 10_000)
	const events = 60
	for range events {
		publish(t, s, room, "big", data)
	}
	for range events {
		slow.expectText(`{"event":"big","channel":"room"`)
	}
}
