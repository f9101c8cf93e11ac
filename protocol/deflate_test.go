package protocol_test

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"channels/protocol"
)

// eventFrame is the frame of an event with the fixture as its data.
func eventFrame(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile("testdata/event-2k.json")
	if err != nil {
		tb.Fatal(err)
	}
	return protocol.EventFrame("order.updated", "private-orders", protocol.QuoteData(bytes.TrimSpace(data)), "")
}

// newStandard is the standard library's compressor.
func newStandard(tb testing.TB, level int) *flate.Writer {
	tb.Helper()
	w, err := flate.NewWriter(nil, level)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// deflateWith is a message compressed by the standard library, without the tail.
func deflateWith(w *flate.Writer, message string) string {
	var out bytes.Buffer
	w.Reset(&out)
	io.WriteString(w, message)
	w.Flush()
	return strings.TrimSuffix(out.String(), "\x00\x00\xff\xff")
}

// deflated is deflateWith a compressor of that level.
func deflated(tb testing.TB, message string, level int) string {
	tb.Helper()
	return deflateWith(newStandard(tb, level), message)
}

// inflated is what the standard library makes of a message.
func inflated(compressed string) (string, error) {
	r := flate.NewReader(strings.NewReader(compressed + "\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	b, err := io.ReadAll(r)
	return string(b), err
}

// payloadOf is the payload of a compressed frame.
func payloadOf(tb testing.TB, frame []byte) string {
	tb.Helper()
	if len(frame) == 0 || frame[0] != fin|rsv1|text {
		tb.Fatalf("% .10x is no compressed frame", frame)
	}
	return string(protocol.PayloadOf(frame))
}

func TestDeflateFrame(t *testing.T) {
	frame := eventFrame(t)
	twin := protocol.DeflateFrame(frame)
	if got, err := inflated(payloadOf(t, twin)); err != nil || got != string(protocol.PayloadOf(frame)) {
		t.Fatalf("got %.60q, %v", got, err)
	}
	if len(twin) > len(frame)*4/10 {
		t.Errorf("got %d bytes of %d, want at most 0.4", len(twin), len(frame))
	}
	if cap(twin) != len(twin) {
		t.Errorf("the frame has %d bytes to spare", cap(twin)-len(twin))
	}
}

func TestDeflateFrameOfEverySize(t *testing.T) {
	for _, n := range []int{200, 1024, 4096, 65535, 65536, 1 << 20} {
		message := strings.Repeat("a", n)
		twin := protocol.DeflateFrame(protocol.AppendTextFrame(nil, []byte(message)))
		if got, err := inflated(payloadOf(t, twin)); err != nil || got != message {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
}

func TestDeflateFrameRefuses(t *testing.T) {
	random := make([]byte, 20_000)
	rand.Read(random)
	ending := func(n int) []byte {
		return protocol.AppendTextFrame(nil, append(random[:len(random):len(random)], make([]byte, n)...))
	}
	tests := []struct {
		name  string
		frame []byte
	}{
		{"nothing", nil},
		{"an empty text", protocol.AppendTextFrame(nil, nil)},
		{"a text too short to shrink", protocol.AppendTextFrame(nil, []byte("{}"))},
		{"what does not shrink", protocol.AppendTextFrame(nil, random)},
		{"what shrinks by less than a tenth", ending(1800)},
		{"a close frame", protocol.AppendCloseFrame(nil, protocol.CodeReconnect, strings.Repeat("a", 120))},
		{"a pong", protocol.AppendPongFrame(nil, bytes.Repeat([]byte("a"), 125))},
		{"a compressed frame", protocol.DeflateFrame(protocol.AppendTextFrame(nil, bytes.Repeat([]byte("a"), 100_000)))},
		{"half a frame", protocol.AppendTextFrame(nil, bytes.Repeat([]byte("a"), 200))[:100]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := protocol.DeflateFrame(tt.frame); got != nil {
				t.Errorf("got %d bytes of %d, want none", len(got), len(tt.frame))
			}
		})
	}
	if frame := ending(3000); protocol.DeflateFrame(frame) == nil {
		t.Errorf("got none for %d bytes that shrink by more than a tenth", len(frame))
	}
}

// TestDeflateAtOnce holds that goroutines do not share what they compress with.
func TestDeflateAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				message := strings.Repeat(fmt.Sprintf("%d of %d;", j, i), 100+j)
				twin := protocol.DeflateFrame(protocol.AppendTextFrame(nil, []byte(message)))
				got, err := protocol.Inflate(nil, protocol.PayloadOf(twin), readLimit)
				if err != nil || string(got) != message {
					t.Errorf("got %.40q, %v; want %.40q", got, err, message)
				}
			}
		})
	}
	wg.Wait()
}

// big is a message of n bytes in which nothing is twice.
func big(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)[:n]
}

// stored is blocks without compression of one byte, and an empty one.
func stored(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString("\x00\x01\x00\xfe\xff" + s[i:i+1])
	}
	return b.String() + "\x00"
}

func TestInflate(t *testing.T) {
	long := big(60_000)
	tests := []struct{ name, compressed, want string }{
		{"the RFC's example", "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"the RFC's, in a block without compression", "\x00\x05\x00\xfa\xffHello\x00", "Hello"},
		{"the RFC's, in a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"},
		{"the RFC's, in two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"},
		{"a final block and nothing", "\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"a final block without compression and nothing", "\x01\x05\x00\xfa\xffHello", "Hello"},
		{"no byte", "", ""},
		{"an empty message", "\x00", ""},
		{"an empty message in a fixed block", "\x02\x00", ""},
		{"empty blocks", strings.Repeat("\x00\x00\x00\xff\xff", 1000) + "\x00", ""},
		{"the tail not removed", "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x00", "Hello"},
		{"many blocks", stored("in many blocks"), "in many blocks"},
		{"what does not compress", deflated(t, long, 6), long},
		{"in blocks without compression", deflated(t, long, 0), long},
		{"huffman alone", deflated(t, long, flate.HuffmanOnly), long},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := protocol.Inflate([]byte("before"), []byte(tt.compressed), len(tt.want))
			if err != nil || string(got) != "before"+tt.want {
				t.Fatalf("got %.80q, %v; want %.80q", got, err, tt.want)
			}
			if len(tt.want) > 0 {
				_, err := protocol.Inflate(nil, []byte(tt.compressed), len(tt.want)-1)
				expectFault(t, err, protocol.CodeTooBig)
			}
		})
	}
}

func expectFault(t *testing.T, err error, code protocol.Code) {
	t.Helper()
	var fault protocol.Fault
	if !errors.As(err, &fault) || fault.Code != code || fault.Message == "" {
		t.Errorf("got %v (%d), want a fault with %d", err, fault.Code, code)
	}
}

func TestInflateGarbage(t *testing.T) {
	event := deflated(t, string(protocol.PayloadOf(eventFrame(t))), 6)
	tests := []struct{ name, compressed string }{
		{"text", `{"event":"pusher:ping","data":{}}`},
		{"a reserved block", "\x06\x00"},
		{"a length that is not its complement", "\x00\x05\x00\x00\x00Hello\x00"},
		{"a distance beyond the start", "\x4a\x04\xc1\x00"},
		{"a second message with the window of the first", "\xf2\x00\x11\x00\x00"},
		{"cut in the middle", event[:len(event)/2]},
		{"cut at the start", event[:3]},
		{"a block of stored bytes, cut", "\x00\xff\xff\x00\x00Hello"},
		{"text after a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00Hello"},
		{"a message after a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"},
		{"a byte after a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x01"},
		{"one byte of ones", "\xff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := protocol.Inflate(nil, []byte(tt.compressed), readLimit)
			if got != nil {
				t.Errorf("got %.80q beside the error", got)
			}
			expectFault(t, err, protocol.CodeInvalidPayload)
		})
	}
}

// TestBombs holds that a bomb costs no more than the limit.
func TestBombs(t *testing.T) {
	bomb := []byte(deflated(t, strings.Repeat("\x00", 4<<20), 6))
	if len(bomb) > readLimit {
		t.Fatalf("the bomb has %d bytes, and does not get in", len(bomb))
	}
	const rounds = 20
	before := allocated()
	for range rounds {
		_, err := protocol.Inflate(nil, bomb, readLimit)
		expectFault(t, err, protocol.CodeTooBig)
	}
	if each := (allocated() - before) / rounds; each > 4*readLimit {
		t.Errorf("a bomb takes %d bytes, want at most four times the limit of %d", each, readLimit)
	}
}

func TestReaderInflates(t *testing.T) {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00"
	tests := []struct {
		name   string
		stream []byte
		want   string
	}{
		{"text", maskedFrame(fin|rsv1|text, hello), `text "Hello"`},
		{"text in fragments", join(maskedFrame(rsv1|text, hello[:3]), maskedFrame(fin|cont, hello[3:])), `text "Hello"`},
		{"binary that is not UTF-8", maskedFrame(fin|rsv1|bin, deflated(t, "\xff\xfe", 1)), `binary "\xff\xfe"`},
		{"empty text", maskedFrame(fin|rsv1|text, "\x00"), `text ""`},
		{"plain text", maskedFrame(fin|text, "Hello"), `text "Hello"`},
		{"text that is not UTF-8", maskedFrame(fin|rsv1|text, deflated(t, "caf\xc3", 1)), "fault 1007"},
		{"garbage", maskedFrame(fin|rsv1|text, "Hello"), "fault 1007"},
		{"one byte over the limit", maskedFrame(fin|rsv1|text, deflated(t, strings.Repeat("a", readLimit+1), 1)), "fault 1009"},
		{"the limit", maskedFrame(fin|rsv1|text, deflated(t, big(readLimit), 0)), "text"},
		{"the limit, byte by byte", maskedFrame(fin|rsv1|text, deflated(t, strings.Repeat("a", readLimit), 9)), "text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := protocol.NewFrameReader(readLimit, true)
			events := collect(&r, [][]byte{tt.stream})
			if len(events) != 1 {
				t.Fatalf("got %d events, want 1", len(events))
			}
			got := r.Inflate(nil, events[0])
			if !strings.HasPrefix(describe(got), tt.want) {
				t.Fatalf("got %.80s, want %s", describe(got), tt.want)
			}
			if next, _ := r.Next(maskedFrame(fin|ping, "")); (next.Kind == protocol.FrameMore) != (got.Kind == protocol.FrameFault) {
				t.Errorf("after %.80s: got %+v", describe(got), next)
			}
		})
	}
}

// subscribeMessage is a subscribe as SDKs send it to a private channel.
const subscribeMessage = `{"event":"pusher:subscribe","data":{"auth":"278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4","channel":"private-orders-104482"}}`

func FuzzInflate(f *testing.F) {
	f.Add([]byte(deflated(f, subscribeMessage, 6)), uint16(300))
	f.Add([]byte(deflated(f, strings.Repeat("\x00", 1<<16), 9)), uint16(1000))
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), uint16(5))
	f.Add([]byte(stored("blocks")), uint16(3))
	writers := []*flate.Writer{newStandard(f, 0), newStandard(f, 3), newStandard(f, 6)}
	f.Fuzz(func(t *testing.T, b []byte, limit uint16) {
		got, err := protocol.Inflate(nil, b, int(limit))
		if len(got) > int(limit) {
			t.Fatalf("got %d bytes, more than the limit of %d", len(got), limit)
		}
		var fault protocol.Fault
		if err != nil && (!errors.As(err, &fault) || fault.Code != protocol.CodeTooBig && fault.Code != protocol.CodeInvalidPayload) {
			t.Fatalf("got the error %v", err)
		}
		if len(b) > 0 {
			expectSame(t, b, int(limit), string(got), fault.Code)
		}
		for i, w := range writers {
			again, err := protocol.Inflate(nil, []byte(deflateWith(w, string(b))), len(b))
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("there and back at level %d: got %q, %v; want %q", 3*i, again, err, b)
			}
		}
	})
}

// expectSame compares with the standard library. What follows a final block is
// the one thing that it does not judge.
func expectSame(t *testing.T, b []byte, limit int, got string, code protocol.Code) {
	t.Helper()
	stream := strings.NewReader(string(b) + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")
	all, err := io.ReadAll(io.LimitReader(flate.NewReader(stream), int64(limit)+1))
	rest, _ := io.ReadAll(stream)
	ended := slices.Contains([]int{0, 9}, len(rest)) || len(rest) == 10 && rest[0] == 0
	want := protocol.CodeInvalidPayload
	switch {
	case len(all) > limit:
		want = protocol.CodeTooBig
	case err == nil && ended:
		want = protocol.NoCode
	}
	if code != want || want == protocol.NoCode && got != string(all) {
		t.Fatalf("got %q, %d; the standard library: %q, %v, so %d", got, code, all, err, want)
	}
}

func FuzzDeflateFrame(f *testing.F) {
	f.Add([]byte(subscribeMessage))
	f.Add(bytes.Repeat([]byte("ab"), 300))
	f.Fuzz(func(t *testing.T, payload []byte) {
		frame := protocol.AppendTextFrame(nil, payload)
		twin := protocol.DeflateFrame(frame)
		if twin == nil {
			return
		}
		if 10*len(twin) > 9*len(frame)+9 {
			t.Fatalf("%d bytes of %d are not a tenth less", len(twin), len(frame))
		}
		compressed := payloadOf(t, twin)
		if strings.HasSuffix(compressed, "\x00\x00\xff\xff") {
			t.Fatalf("the tail is still there: %x", compressed)
		}
		if got, err := inflated(compressed); err != nil || got != string(payload) {
			t.Fatalf("got %q, %v; want %q", got, err, payload)
		}
	})
}

func BenchmarkDeflateFrame(b *testing.B) {
	frame := eventFrame(b)
	var twin []byte
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		twin = protocol.DeflateFrame(frame)
	}
	b.ReportMetric(float64(len(twin))/float64(len(frame)), "bytes/byte")
}

func BenchmarkInflateSubscribe(b *testing.B) {
	compressed := []byte(deflated(b, subscribeMessage, 6))
	buffer := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.Inflate(buffer, compressed, readLimit); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInflateBomb(b *testing.B) {
	bomb := []byte(deflated(b, strings.Repeat("\x00", 4<<20), 6))
	for b.Loop() {
		_, err := protocol.Inflate(nil, bomb, math.MaxUint16)
		if err == nil {
			b.Fatal("it got through")
		}
	}
}
