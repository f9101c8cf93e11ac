//go:build conformance

package conformance

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

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
		{"reserved bit 2", []wireFrame{{Opcode: opText, Reserved: 2, Payload: ping}}},
		{"reserved bit 3", []wireFrame{{Opcode: opText, Reserved: 1, Payload: ping}}},
		{"reserved data opcode", []wireFrame{{Opcode: 0x3, Payload: ping}}},
		{"reserved control opcode", []wireFrame{{Opcode: 0xB}}},
		{"reserved bit 1 of a ping", []wireFrame{{Opcode: opPing, Reserved: rsv1}}},
		{"reserved bit 1 of a close", []wireFrame{{Opcode: opClose, Reserved: rsv1, Payload: "\x03\xe8"}}},
		{"reserved bit 1 of a continuation", []wireFrame{{Opcode: opText, More: true, Payload: ping[:5]}, {Opcode: opContinuation, Reserved: rsv1, Payload: ping[5:]}}},
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
		w.send(wireFrame{Opcode: opText, More: true, Verbatim: true, Payload: `{"event":"`})
		piece := wireFrame{Opcode: opContinuation, More: true, Payload: strings.Repeat("a", 16<<10)}.bytes()
		for range 8 {
			if _, err := w.conn.Write(piece); err != nil {
				break // closed already
			}
		}
		w.expectCut(1009)
	})
}

// TestFrameOfAbsurdLength announces more than there is memory for.
func TestFrameOfAbsurdLength(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		w := joinedWire(t, s)
		w.raw([]byte{0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4})
		_, _ = w.conn.Write(make([]byte, readLimit+1)) // closed at any byte of it
		w.expectCut(1009)
	})
}

// TestFrameOfNegativeLength sets the bit that RFC 6455 wants to be zero.
func TestFrameOfNegativeLength(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		w := joinedWire(t, s)
		w.raw([]byte{0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4, 'a'})
		w.expectFailed(1002)
	})
}

// TestClosedInTheMiddle leaves without a word where the server expects more,
// once with the end of the stream and once with a reset.
func TestClosedInTheMiddle(t *testing.T) {
	subscribe := text(subscribeFrame("elsewhere", "", "")).bytes()
	places := []struct {
		name  string
		reach func(t *testing.T, s *server) *wire
	}{
		{"of nothing", func(t *testing.T, s *server) *wire { return &wire{tcp: dialTCP(t, s)} }},
		{"of its first bytes", func(t *testing.T, s *server) *wire {
			w := &wire{tcp: dialTCP(t, s)}
			if _, err := io.WriteString(w.tcp, "\x16\x03\x01\x02\x00"); err != nil { // of a TLS handshake
				t.Fatal(err)
			}
			return w
		}},
		{"of the handshake", func(t *testing.T, s *server) *wire {
			w := newWire(t, s)
			w.raw([]byte(s.kind.request()[:len(upgradeRequest)/2]))
			return w
		}},
		{"of the upgrade, its answer unread", func(t *testing.T, s *server) *wire {
			w := newWire(t, s)
			w.raw([]byte(s.kind.request()))
			return w
		}},
		{"of a frame's header", func(t *testing.T, s *server) *wire {
			w := joinedWire(t, s)
			w.raw(subscribe[:1])
			return w
		}},
		{"of a frame", func(t *testing.T, s *server) *wire {
			w := joinedWire(t, s)
			w.raw(subscribe[:len(subscribe)-5])
			return w
		}},
		{"of a message in fragments", func(t *testing.T, s *server) *wire {
			w := joinedWire(t, s)
			w.send(wireFrame{Opcode: opText, More: true, Payload: `{"event":`})
			return w
		}},
		{"of a subscription", func(t *testing.T, s *server) *wire {
			w := joinedWire(t, s)
			w.raw(subscribe)
			return w
		}},
		{"of the closing handshake", func(t *testing.T, s *server) *wire {
			w := joinedWire(t, s)
			w.send(wireFrame{Opcode: opClose, Payload: "\x03\xe8"})
			return w
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
					w := place.reach(t, s)
					if reset {
						if err := w.tcp.SetLinger(0); err != nil {
							t.Fatal(err)
						}
					}
					if err := w.tcp.Close(); err != nil {
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
			conn := dialStream(t, s)
			if _, err := conn.Write([]byte(upgradeRequest[:40])); err != nil {
				t.Fatal(err)
			}
		}
		connect(t, s).subscribe(room)
	})
}

// goodKinds are those over which a server must also be pleasant.
var goodKinds = []kind{plain, overTLS, compressed, compressedTLS}

// TestFragmentedText is no bad input: a message may come in pieces, with
// control frames between them.
func TestFragmentedText(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := upgrade(t, k.start(t))
		frame := subscribeFrame(room, "", "")
		w.send(
			wireFrame{Opcode: opText, More: true, Payload: frame[:10]},
			wireFrame{Opcode: opPing, Payload: "between"},
			wireFrame{Opcode: opContinuation, More: true},
			wireFrame{Opcode: opContinuation, Payload: frame[10:]},
		)
		w.expect(opPong, "between")
		w.expectText(`{"event":"pusher_internal:subscription_succeeded"`)
	})
}

// TestOneByteAtATime is no bad input either.
func TestOneByteAtATime(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := upgrade(t, k.start(t))
		if err := w.tcp.SetNoDelay(true); err != nil {
			t.Fatal(err)
		}
		for _, b := range w.encode(text(subscribeFrame(room, "", ""))) {
			w.raw([]byte{b})
		}
		w.expectText(`{"event":"pusher_internal:subscription_succeeded"`)
	})
}

// TestPipelinedSubscribe sends its first frames in the same packet as the
// request to upgrade.
func TestPipelinedSubscribe(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := upgrade(t, k.start(t), text(subscribeFrame("a", "", "")), text(subscribeFrame("b", "", "")))
		w.expectText(`{"event":"pusher_internal:subscription_succeeded","channel":"a"`)
		w.expectText(`{"event":"pusher_internal:subscription_succeeded","channel":"b"`)
	})
}

// TestWebSocketPings sends as many as the .NET client would in a minute.
func TestWebSocketPings(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := joinedWire(t, k.start(t))
		for i := range 60 {
			payload := fmt.Sprint("ping ", i)
			w.send(wireFrame{Opcode: opPing, Payload: payload})
			w.expect(opPong, payload)
		}
	})
}

// TestClosingHandshake requires that a close frame is answered with its code.
func TestClosingHandshake(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := joinedWire(t, k.start(t))
		w.send(wireFrame{Opcode: opClose, Payload: "\x03\xe8bye"})
		w.expect(opClose, "\x03\xe8")
		if _, _, err := w.read(); !errors.Is(err, io.EOF) {
			t.Errorf("after the closing handshake: got %v, want the end of the stream", err)
		}
	})
}

// TestProbe requires that a silent client is asked with a WebSocket ping, which
// every client answers, and not with an event, which many do not.
func TestProbe(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := upgrade(t, k.start(t, "CHANNELS_APP_ACTIVITY_TIMEOUT=1s"))
		for range 2 {
			payload := w.expect(opPing, "")
			w.send(wireFrame{Opcode: opPong, Payload: string(payload)})
		}
	})
}

// TestSlowReaderGetsEverything reads with a small buffer, after everything was
// sent: a client that is slow, but not dead, loses nothing.
func TestSlowReaderGetsEverything(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		s := k.start(t)
		slow := joinedWire(t, s)
		if err := slow.tcp.SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		data := incompressible(10_000)
		const events = 60
		for range events {
			publish(t, s, room, "big", data)
		}
		for range events {
			slow.expectText(`{"event":"big","channel":"room"`)
		}
	})
}
