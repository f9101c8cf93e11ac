//go:build conformance

package conformance

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// compressedKinds are those that negotiate compression.
var compressedKinds = []kind{compressed, compressedTLS}

// rawMessage is a compressed message with this payload, whatever it is.
func rawMessage(payload string) wireFrame {
	return wireFrame{Opcode: opText, Reserved: rsv1, Payload: payload}
}

// TestCompressedGarbage sends what is marked as compressed and is not. The
// connection is closed with 1007.
func TestCompressedGarbage(t *testing.T) {
	good := deflate(t, protocolPing)
	random := make([]byte, 4096)
	_, _ = rand.Read(random)
	random[0] |= 0x06 // a block of the type that is reserved
	tests := []struct {
		name   string
		frames []wireFrame
	}{
		{"a text as it is", []wireFrame{rawMessage(protocolPing)}},
		{"a reserved type of block", []wireFrame{rawMessage("\x07")}},
		{"random bytes", []wireFrame{rawMessage(string(random))}},
		{"a stored block of another length", []wireFrame{rawMessage("\x00\x05\x00\xfa\xffab")}},
		{"a stored block whose lengths disagree", []wireFrame{rawMessage("\x00\x02\x00\x02\x00ab")}},
		{"cut in the middle", []wireFrame{rawMessage(good[:len(good)/2])}},
		{"a distance before the beginning", []wireFrame{rawMessage("\x4b\x04\x42\x00")}},
		{"something behind the final block", []wireFrame{rawMessage(finished(t, protocolPing) + "more")}},
		{"in fragments", []wireFrame{{Opcode: opText, Reserved: rsv1, More: true, Payload: "\x07\x07"}, {Opcode: opContinuation, Payload: "\x07"}}},
		{"text that is not UTF-8", []wireFrame{rawMessage(deflate(t, "{\"event\":\"\xff\"}"))}},
		{"text that ends inside of a character", []wireFrame{rawMessage(deflate(t, "{\"event\":\"\xe2\x82"))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystanderOver(t, compressedKinds, func(t *testing.T, s *server) {
				w := joinedWire(t, s)
				w.send(tt.frames...)
				w.expectFailed(1007)
			})
		})
	}
}

// finished compresses a text with a final block, which RFC 7692 allows too.
func finished(t testing.TB, payload string) string {
	t.Helper()
	var out bytes.Buffer
	d := must[*flate.Writer](t, "flate")(flate.NewWriter(&out, flate.DefaultCompression))
	if _, err := io.WriteString(d, payload); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestCompressedForms is no garbage: the same text in the forms that RFC 7692
// allows.
func TestCompressedForms(t *testing.T) {
	t.Parallel()
	stored := func(s string) string {
		return "\x00" + string([]byte{byte(len(s)), 0, ^byte(len(s)), 0xff}) + s
	}
	good := deflate(t, protocolPing)
	tests := []struct {
		name   string
		frames []wireFrame
	}{
		{"as libraries do", []wireFrame{rawMessage(good)}},
		{"stored", []wireFrame{rawMessage(stored(protocolPing) + "\x00")}},
		{"two blocks", []wireFrame{rawMessage(stored(protocolPing[:9]) + stored(protocolPing[9:]) + "\x00")}},
		{"a final block", []wireFrame{rawMessage(finished(t, protocolPing) + "\x00")}},
		{"not compressed, as a client may decide for each message", []wireFrame{{Opcode: opText, Verbatim: true, Payload: protocolPing}}},
		{"in fragments of a byte", append([]wireFrame{{Opcode: opText, Reserved: rsv1, More: true, Payload: good[:1]}}, fragments("x"+good[1:], 1)[1:]...)},
		{"with a ping between", []wireFrame{
			{Opcode: opText, Reserved: rsv1, More: true, Payload: good[:4]}, {Opcode: opPong}, {Opcode: opContinuation, Payload: good[4:]},
		}},
		{"an empty fragment first", []wireFrame{{Opcode: opText, Reserved: rsv1, More: true}, {Opcode: opContinuation, Payload: good}}},
	}
	over(t, compressedKinds, func(t *testing.T, k kind) {
		s := k.start(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				for _, size := range []int{0, 1} {
					w := upgrade(t, s)
					w.sendInPieces(exchange{send: tt.frames}.encoded(w), size)
					w.expectAnswers(exchange{answers: 1})
					w.expectServing()
				}
			})
		}
	})
}

// TestCompressedBinary is refused as binary is.
func TestCompressedBinary(t *testing.T) {
	t.Parallel()
	besideBystanderOver(t, compressedKinds, func(t *testing.T, s *server) {
		w := joinedWire(t, s)
		w.send(wireFrame{Opcode: opBinary, Reserved: rsv1, Payload: deflate(t, protocolPing)})
		w.expectText(`{"event":"pusher:error"`)
		w.expectFailed(1003)
	})
}

// TestReservedBitWithoutNegotiation marks frames as compressed where nothing was
// negotiated: none was offered, or the app does not allow it.
func TestReservedBitWithoutNegotiation(t *testing.T) {
	tests := []struct {
		name   string
		frames []wireFrame
	}{
		{"text", []wireFrame{{Opcode: opText, Reserved: rsv1, Payload: protocolPing}}},
		{"text that is compressed", []wireFrame{rawMessage(deflate(t, protocolPing))}},
		{"empty text", []wireFrame{rawMessage("")}},
		{"binary", []wireFrame{{Opcode: opBinary, Reserved: rsv1, Payload: "x"}}},
		{"first fragment", []wireFrame{{Opcode: opText, Reserved: rsv1, More: true, Payload: "{"}}},
		{"last fragment", []wireFrame{{Opcode: opText, More: true, Payload: "{"}, {Opcode: opContinuation, Reserved: rsv1, Payload: "}"}}},
		{"ping", []wireFrame{{Opcode: opPing, Reserved: rsv1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystanderOver(t, []kind{plain, overTLS}, func(t *testing.T, s *server) {
				w := joinedWire(t, s)
				w.send(tt.frames...)
				w.expectFailed(1002)
			})
		})
	}
}

// bombOf is a message that inflates to n bytes.
func bombOf(t testing.TB, n int) string {
	t.Helper()
	return deflate(t, strings.Repeat("a", n))
}

// TestBombs sends messages that inflate to a thousand times their size. Each is
// refused with 1009.
func TestBombs(t *testing.T) {
	small, large := bombOf(t, readLimit+1), bombOf(t, 48<<20)
	if len(large) >= readLimit {
		t.Fatalf("the bomb has %d bytes, and would be refused unopened", len(large))
	}
	half := len(large) / 2
	tests := []struct {
		name   string
		frames []wireFrame
	}{
		{"one byte too many", []wireFrame{rawMessage(small)}},
		{"48 MiB", []wireFrame{rawMessage(large)}},
		{"48 MiB in fragments", []wireFrame{{Opcode: opText, Reserved: rsv1, More: true, Payload: large[:half]}, {Opcode: opContinuation, Payload: large[half:]}}},
		{"a text over the limit that does not shrink", []wireFrame{rawMessage(deflate(t, incompressible(readLimit+readLimit/2)))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystanderOver(t, compressedKinds, func(t *testing.T, s *server) {
				w := joinedWire(t, s)
				w.send(tt.frames...)
				w.expectCut(1009)
			})
		})
	}
}

// incompressible is a text of n bytes that shrinks to no less than three
// quarters.
func incompressible(n int) string {
	random := make([]byte, n)
	_, _ = rand.Read(random)
	return base64.StdEncoding.EncodeToString(random)[:n]
}

// TestBombsTakeNoMemory has many clients send bombs at once, of 4.8 GiB in all.
// What the server takes is what its inflaters take.
func TestBombsTakeNoMemory(t *testing.T) {
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := compressed.startBinary(t, binary)
	const clients, growth = 100, 64 << 20
	bomb := rawMessage(bombOf(t, 48<<20)).bytes()
	var wires []*wire
	for range clients {
		wires = append(wires, joinedWire(t, s))
	}
	before := resident(t, s)
	watch := watchMemory(t, s)
	var all sync.WaitGroup
	for _, w := range wires {
		all.Go(func() {
			_, _ = w.conn.Write(bomb)
			_, _ = io.Copy(io.Discard, w.in)
		})
	}
	all.Wait()
	if peak := watch.stop(); peak > before+growth {
		t.Errorf("resident memory: %d MiB before, %d MiB at most, want no more than %d MiB of growth", before>>20, peak>>20, growth>>20)
	}
	connect(t, s).subscribe(room)
}

// memoryWatch samples the resident memory of a process.
type memoryWatch struct {
	done chan struct{}
	peak chan int
}

// sampleEvery is how often the memory is looked at.
const sampleEvery = 100 * time.Millisecond

func watchMemory(t testing.TB, s *server) *memoryWatch {
	watch := &memoryWatch{done: make(chan struct{}), peak: make(chan int, 1)}
	go func() {
		peak := 0
		for tick := time.NewTicker(sampleEvery); ; {
			peak = max(peak, resident(t, s))
			select {
			case <-tick.C:
			case <-watch.done:
				tick.Stop()
				watch.peak <- max(peak, resident(t, s))
				return
			}
		}
	}()
	return watch
}

// stop gives the largest sample, in bytes.
func (m *memoryWatch) stop() int {
	close(m.done)
	return <-m.peak
}

// TestNegotiation offers compression in the ways that clients do and in ways that
// they should not. What the server answers must be what was offered, without
// context takeover in either direction, and the socket must work.
func TestNegotiation(t *testing.T) {
	t.Parallel()
	const good = "permessage-deflate"
	tests := []struct {
		name, offer string
		accepted    string // "yes", "no", or "either"
	}{
		{"nothing", "", "no"},
		{"bare", good, "yes"},
		{"browsers", good + "; client_max_window_bits", "yes"},
		{"both without context takeover", good + "; server_no_context_takeover; client_no_context_takeover", "yes"},
		{"no spaces", good + ";client_max_window_bits", "yes"},
		{"another one first", "x-webkit-deflate-frame, " + good, "yes"},
		{"a fallback", good + "; server_max_window_bits=8, " + good, "yes"},
		{"another one only", "x-webkit-deflate-frame", "no"},
		{"an unknown parameter", good + "; level=9", "no"},
		{"a parameter with a value that has none", good + "; server_no_context_takeover=yes", "no"},
		{"a window that is too large", good + "; server_max_window_bits=16", "no"},
		{"a window that is no number", good + "; server_max_window_bits=many", "no"},
		{"a window that the server cannot keep to", good + "; server_max_window_bits=9", "either"},
		{"a small window of the client", good + "; client_max_window_bits=9", "either"},
		{"a parameter twice", good + "; client_max_window_bits; client_max_window_bits", "either"},
		{"no header value", " ", "no"},
		{"commas", ",,,", "no"},
		{"ten thousand offers", strings.Repeat("x, ", 10_000) + good, "either"},
	}
	over(t, []kind{plain, overTLS}, func(t *testing.T, k kind) {
		s := k.start(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				extensions, w := offer(t, s, tt.offer)
				if tt.accepted == "yes" && extensions == "" || tt.accepted == "no" && extensions != "" {
					t.Errorf("offered %q: the answer is %q, want it accepted: %s", tt.offer, extensions, tt.accepted)
				}
				if extensions != "" {
					checkAgreement(t, tt.offer, extensions)
				}
				w.deflating = extensions != ""
				w.expectEstablished()
				w.expectServing()
			})
		}
	})
}

// offer upgrades with a Sec-WebSocket-Extensions header.
func offer(t testing.TB, s *server, header string) (answer string, w *wire) {
	t.Helper()
	w = newWire(t, s)
	request := strings.TrimSuffix(upgradeRequest, "\r\n")
	if header != "" {
		request += "Sec-WebSocket-Extensions: " + header + "\r\n"
	}
	w.raw([]byte(request + "\r\n"))
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade with extensions %q: got %s", header, res.Status)
	}
	return strings.Join(res.Header.Values("Sec-WebSocket-Extensions"), ", "), w
}

// checkAgreement requires one extension, no context takeover in either
// direction, and no parameter that was not offered and needs an offer.
func checkAgreement(t testing.TB, offered, answer string) {
	t.Helper()
	parts := strings.Split(strings.ReplaceAll(answer, " ", ""), ";")
	if parts[0] != "permessage-deflate" || strings.Contains(answer, ",") {
		t.Errorf("offered %q: the answer is %q, want permessage-deflate alone", offered, answer)
	}
	for _, must := range []string{"server_no_context_takeover", "client_no_context_takeover"} {
		if !slices.Contains(parts, must) {
			t.Errorf("offered %q: the answer %q has no %s", offered, answer, must)
		}
	}
	for _, part := range parts[1:] {
		name, _, _ := strings.Cut(part, "=")
		if name == "client_max_window_bits" && !strings.Contains(offered, name) {
			t.Errorf("offered %q: the answer %q has a %s that was not offered", offered, answer, name)
		}
	}
}

// TestWhatIsCompressed requires that a large event which shrinks comes
// compressed, to several subscribers in the same bytes, and to those without
// compression as it is; and that small ones, and those that do not shrink, come
// as they are to all.
func TestWhatIsCompressed(t *testing.T) {
	t.Parallel()
	over(t, []kind{plain, overTLS}, func(t *testing.T, k kind) {
		s := k.start(t)
		deflating := s.as(kind{tls: k.tls, compressed: true})
		first, second, other := joinedWire(t, deflating), joinedWire(t, deflating), joinedWire(t, s)
		large := strings.Repeat(`{"the same":"again"}`, 100)
		for _, tt := range []struct {
			name, data string
			compressed bool
		}{
			{"small", "{}", false},
			{"large", large, true},
			{"noise", incompressible(4 << 10), false},
			{"large again", large + "!", true},
		} {
			publish(t, s, room, "e", tt.data)
			var firsts [3]byte
			var payloads [3][]byte
			for i, w := range []*wire{first, second, other} {
				var err error
				if firsts[i], payloads[i], err = w.readFrame(); err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
			}
			want := [3]byte{0x81, 0x81, 0x81}
			if tt.compressed {
				want = [3]byte{0xC1, 0xC1, 0x81}
			}
			if firsts != want {
				t.Errorf("%s: the frames begin with %x, want %x", tt.name, firsts, want)
			}
			if !bytes.Equal(payloads[0], payloads[1]) {
				t.Errorf("%s: two subscribers got different bytes", tt.name)
			}
			if shrunk := len(payloads[0])*10 <= len(payloads[2])*9; shrunk != tt.compressed {
				t.Errorf("%s: %d bytes where compression was negotiated, %d where not", tt.name, len(payloads[0]), len(payloads[2]))
			}
		}
		for _, w := range []*wire{first, second, other} {
			w.expectServing()
		}
	})
}

// TestCompressionSwitchedOff requires that an app can do without.
func TestCompressionSwitchedOff(t *testing.T) {
	t.Parallel()
	s := plain.start(t, "CHANNELS_APP_COMPRESSION=off")
	answer, w := offer(t, s, "permessage-deflate; client_max_window_bits")
	if answer != "" {
		t.Errorf("Sec-WebSocket-Extensions: got %q, want none", answer)
	}
	w.expectEstablished()
	w.expectServing()
}

// TestManyCompressedSubscribes is what browsers do after a reconnect: each
// subscribe comes compressed, many behind each other.
func TestManyCompressedSubscribes(t *testing.T) {
	t.Parallel()
	over(t, compressedKinds, func(t *testing.T, k kind) {
		s := k.start(t)
		var all sync.WaitGroup
		for range 4 * runtime.GOMAXPROCS(0) {
			w := upgrade(t, s)
			all.Go(func() {
				var frames []wireFrame
				for i := range 50 {
					frames = append(frames, text(subscribeFrame(fmt.Sprint("channel-", i), "", "")))
				}
				w.sendInPieces(exchange{send: frames}.encoded(w), 0)
				for i := range 50 {
					want := fmt.Sprintf(`{"event":"pusher_internal:subscription_succeeded","channel":"channel-%d","data":"{}"}`, i)
					if opcode, got, err := w.read(); err != nil || opcode != opText || string(got) != want {
						t.Errorf("got opcode %#x %q, %v, want %s", opcode, got, err, want)
						return
					}
				}
			})
		}
		all.Wait()
	})
}
