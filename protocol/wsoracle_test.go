package protocol_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"channels/protocol"
)

// oracleLimit is the read limit of both sides, in bytes.
const oracleLimit = 300

// errEnded is what a stream ends with. After io.EOF the library would hand out
// the message that it cuts.
var errEnded = errors.New("the stream has ended")

// clientStream is a connection from which a client's pieces come, and then the
// end. What is written to it is kept.
type clientStream struct {
	pieces [][]byte
	out    bytes.Buffer
}

func (s *clientStream) Read(b []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, errEnded
	}
	n := copy(b, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *clientStream) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (s *clientStream) Close() error                     { return nil }
func (s *clientStream) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *clientStream) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *clientStream) SetDeadline(time.Time) error      { return nil }
func (s *clientStream) SetReadDeadline(time.Time) error  { return nil }
func (s *clientStream) SetWriteDeadline(time.Time) error { return nil }

// handshake is the response of a handshake that hands out the stream.
type handshake struct {
	stream *clientStream
	header http.Header
}

func (h *handshake) Header() http.Header         { return h.header }
func (h *handshake) Write(b []byte) (int, error) { return len(b), nil }
func (h *handshake) WriteHeader(int)             {}
func (h *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.stream, bufio.NewReadWriter(bufio.NewReader(h.stream), bufio.NewWriter(h.stream)), nil
}

// outcome is what the library makes of a stream.
type outcome struct {
	events []string // as describe has them, with a close frame of the client
	code   int      // of the close frame that it sent for a fault, 0 without
	err    error    // how it ended
}

// waits says that the library wants more than the stream has.
func (o outcome) waits() bool { return o.code == 0 && errors.Is(o.err, errEnded) }

// dropped says that the library ends without a close frame because of words.
func (o outcome) dropped(words string) bool {
	return o.code == 0 && strings.Contains(o.err.Error(), words)
}

// askLibrary has the library's server end read the pieces.
func askLibrary(t *testing.T, pieces [][]byte, deflate bool) outcome {
	t.Helper()
	var result outcome
	note := func(format string, args ...any) { result.events = append(result.events, fmt.Sprintf(format, args...)) }
	options := &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionDisabled,
		OnPingReceived:  func(_ context.Context, b []byte) bool { note("ping %q", b); return true },
		OnPongReceived:  func(_ context.Context, b []byte) { note("pong %q", b) },
	}
	request := &http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}}
	if deflate {
		options.CompressionMode = websocket.CompressionNoContextTakeover
		request.Header.Set("Sec-Websocket-Extensions", "permessage-deflate; client_no_context_takeover")
	}
	stream := &clientStream{pieces: pieces}
	ws, err := websocket.Accept(&handshake{stream, http.Header{}}, request, options)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(oracleLimit)
	stream.out.Reset()
	for {
		kind, b, err := ws.Read(t.Context())
		if err != nil {
			result.err = err
			break
		}
		note("%s %q", map[websocket.MessageType]string{websocket.MessageText: "text", websocket.MessageBinary: "binary"}[kind], b)
	}
	var closed websocket.CloseError
	if errors.As(result.err, &closed) {
		if closed.Code == websocket.StatusNoStatusRcvd {
			closed.Code = 0
		}
		note("close %d %q", closed.Code, closed.Reason)
		return result
	}
	result.code = closeCodeIn(t, stream.out.Bytes())
	return result
}

// closeCodeIn is the code of the close frame among a server's frames, which are
// short.
func closeCodeIn(t *testing.T, frames []byte) int {
	t.Helper()
	for len(frames) > 0 {
		size := 2 + int(frames[1])
		if frames[0] == fin|cls {
			return int(frames[2])<<8 | int(frames[3])
		}
		frames = frames[size:]
	}
	return 0
}

// ask has our reader read the pieces, and inflates.
func ask(pieces [][]byte, deflate bool) (events []string, fault int) {
	r := protocol.NewFrameReader(oracleLimit, deflate)
	for _, piece := range pieces {
		for rest := slices.Clone(piece); ; {
			var ev protocol.FrameEvent
			if ev, rest = r.Next(rest); ev.Kind == protocol.FrameMore {
				break
			}
			if ev = r.Inflate(nil, ev); ev.Kind == protocol.FrameFault {
				return events, int(ev.Code)
			}
			events = append(events, describe(ev))
		}
	}
	return events, 0
}

// compare holds that both make the same of a stream, but for the differences that
// TestDifferences names.
func compare(t *testing.T, stream, cuts []byte, deflate bool) {
	t.Helper()
	pieces := cutAt(stream, cuts)
	got, fault := ask(pieces, deflate)
	want := askLibrary(t, slices.Clone(pieces), deflate)
	fail := func(why string) {
		t.Helper()
		t.Fatalf("%s: got %q, fault %d; the library: %q, %d, %v\nstream % x", why, got, fault, want.events, want.code, want.err, stream)
	}
	if fault == int(protocol.CodeInvalidPayload) {
		if !slices.Equal(got, want.events[:min(len(got), len(want.events))]) {
			fail("before the fault")
		}
		if next := firstMessage(want.events[len(got):]); next != "" && validText(next) {
			fail("a fault over " + next)
		}
		return
	}
	if !slices.Equal(got, want.events) {
		fail("events")
	}
	if fault == want.code {
		return
	}
	if fault != 0 && want.waits() { // ours knows before all has come
		want = askLibrary(t, [][]byte{stream, make([]byte, 2*oracleLimit)}, deflate)
	}
	drops := fault == int(protocol.CodeProtocolError) && (want.dropped("unmasked") || want.dropped("negative"))
	if fault != want.code && !drops {
		fail("code")
	}
}

// firstMessage is the first of the events that is a message.
func firstMessage(events []string) string {
	for _, event := range events {
		if strings.HasPrefix(event, "text") || strings.HasPrefix(event, "binary") {
			return event
		}
	}
	return ""
}

// validText says whether a message in words is a binary one or valid UTF-8.
func validText(event string) bool {
	quoted, isText := strings.CutPrefix(event, "text ")
	var s string
	_, err := fmt.Sscanf(quoted, "%q", &s)
	return !isText || err == nil && utf8.ValidString(s)
}

// script makes frames of bytes that are chosen at random: those that a client may
// send more often than others.
type script struct {
	left    []byte
	deflate *flate.Writer // nil = without compression
}

func (s *script) next() byte {
	if len(s.left) == 0 {
		return 0
	}
	b := s.left[0]
	s.left = s.left[1:]
	return b
}

func (s *script) stream() []byte {
	var frames []byte
	for len(s.left) > 0 {
		frames = append(frames, s.frames()...)
	}
	return frames
}

// frames is the next frame, or those of a compressed message.
func (s *script) frames() []byte {
	usual := []byte{fin | text, text, cont, fin | cont, fin | bin, bin, fin | ping, fin | pong, fin | cls, text, cont, fin | cont, fin | text}
	choice := s.next()
	first := choice
	if choice < 240 {
		first = usual[int(choice)%len(usual)]
	}
	payload := s.payload()
	switch {
	case first == fin|cls && len(payload) > 2 && choice%2 == 0:
		payload = closePayload(1000+int(payload[0])%16, payload[2:])
	case s.deflate != nil && choice >= 180 && choice < 240:
		return s.compressed(payload)
	case s.deflate != nil && first&rsv1 != 0:
		first &^= rsv1 // see badly compressed messages in TestDifferences
	case choice == 255:
		return append(header(s.next(), 0, uint64(len(payload)), -1), payload...)
	case choice == 254:
		return append(header(s.next(), 0x80, uint64(s.next())<<56|uint64(s.next()), 8), payload...)
	}
	return maskedFrame(first, payload)
}

// compressed is a compressed message in three fragments, and a ping.
func (s *script) compressed(payload string) []byte {
	whole := deflateWith(s.deflate, payload)
	a := int(s.next()) % (len(whole) + 1)
	b := a + int(s.next())%(len(whole)-a+1)
	return join(maskedFrame(rsv1|text, whole[:a]), maskedFrame(cont, whole[a:b]), maskedFrame(fin|ping, ""), maskedFrame(fin|cont, whole[b:]))
}

func (s *script) payload() string {
	n := s.next()
	switch {
	case n < 100:
		b := s.left[:min(len(s.left), int(n)%9)]
		s.left = s.left[len(b):]
		return string(b)
	case n < 180:
		parts := []string{"é", "€", "😀", "plain", "\xe2\x82", "\xac"}
		return parts[int(n)%len(parts)]
	case n < 210:
		return ""
	}
	return strings.Repeat(string(rune(s.next())), 3*int(n)-500)
}

func FuzzAgainstTheLibrary(f *testing.F) {
	f.Add([]byte("\x01\x03abc\x06\x01p\x03\x02de\x08\x05\x03\xe8bye"), []byte{1, 2}, false)
	f.Add([]byte("\xb5\x07compressed\x01\x00\xff\x03abc"), []byte{3}, true)
	f.Add([]byte("\xff\x07compressed"), []byte{3}, false)
	writer := newStandard(f, 6)
	f.Fuzz(func(t *testing.T, choices, cuts []byte, deflate bool) {
		s := script{left: choices}
		if deflate {
			s.deflate = writer
		} else { // as they are, too
			compare(t, choices, cuts, false)
		}
		compare(t, s.stream(), cuts, deflate)
	})
}

// TestAgainstTheLibrary is the fuzz test with a few thousand streams.
func TestAgainstTheLibrary(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	pick := rand.New(random)
	writer := newStandard(t, 6)
	ends := map[string]int{}
	for i := range 2000 {
		s := script{left: make([]byte, pick.IntN(200))}
		random.Read(s.left)
		cuts := make([]byte, pick.IntN(4))
		random.Read(cuts)
		if i%3 == 0 {
			s.deflate = writer
		}
		stream := s.stream()
		compare(t, stream, cuts, s.deflate != nil)
		events, fault := ask([][]byte{stream}, s.deflate != nil)
		ends[fmt.Sprint("fault ", fault)]++
		for _, event := range events {
			ends[event[:4]]++
		}
	}
	for _, kind := range []string{"fault 0", "fault 1002", "fault 1007", "fault 1009", "text", "bina", "ping", "pong", "clos"} {
		if ends[kind] < 20 {
			t.Errorf("only %d streams have %q, which says little: %v", ends[kind], kind, ends)
		}
	}
}

// TestDifferences names the streams of which the library makes something else.
func TestDifferences(t *testing.T) {
	hello := maskedFrame(fin|text, "hello")
	tests := []struct {
		name    string
		stream  []byte
		deflate bool
		fault   int // ours
		library func(outcome) bool
	}{
		{"an unmasked frame: the library drops the connection without a close frame", join(hello, []byte{fin | text, 1, 'a'}), false, 1002,
			func(o outcome) bool { return o.dropped("unmasked") && len(o.events) == 1 }},
		{"the highest bit of a length: likewise", join(hello, header(fin|text, 0x80, 1<<63, 8), make([]byte, 4)), false, 1002,
			func(o outcome) bool { return o.dropped("negative") && len(o.events) == 1 }},
		{"text that is not UTF-8: the library hands it out", join(hello, maskedFrame(fin|text, "\xff")), false, 1007,
			func(o outcome) bool { return slices.Equal(o.events, []string{`text "hello"`, `text "\xff"`}) }},
		{"a reason that is not UTF-8: the library takes it", join(hello, maskedFrame(fin|cls, closePayload(1000, "\xff"))), false, 1007,
			func(o outcome) bool { return slices.Equal(o.events, []string{`text "hello"`, `close 1000 "\xff"`}) }},
		{"a fragment that is not UTF-8: the library waits for the rest", join(hello, maskedFrame(text, "\xff"), maskedFrame(fin|ping, "p")), false, 1007,
			func(o outcome) bool { return slices.Equal(o.events, []string{`text "hello"`, `ping "p"`}) }},
		{"too long by its header: the library waits for what is too much", join(hello, header(fin|text, 0x80, oracleLimit+1, 2), make([]byte, 4)), false, 1009,
			func(o outcome) bool { return o.waits() && len(o.events) == 1 }},
		{"a reserved opcode in half a header: the library waits for the rest", join(hello, []byte{fin | 3}), false, 1002,
			func(o outcome) bool { return o.waits() && len(o.events) == 1 }},
		{"badly compressed: the library drops the connection without a close frame", join(hello, maskedFrame(fin|rsv1|text, "\xff")), true, 1007,
			func(o outcome) bool { return o.dropped("corrupt") && len(o.events) == 1 }},
		{"compressed, and cut: the library takes what there is", join(hello, maskedFrame(fin|rsv1|text, "\xf2\x48\xcd")), true, 1007,
			func(o outcome) bool { return len(o.events) == 2 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events, fault := ask([][]byte{tt.stream}, tt.deflate)
			if !slices.Equal(events, []string{`text "hello"`}) || fault != tt.fault {
				t.Errorf("got %q, fault %d; want the text, fault %d", events, fault, tt.fault)
			}
			if o := askLibrary(t, [][]byte{tt.stream}, tt.deflate); !tt.library(o) {
				t.Errorf("the library no longer differs so: %q, %d, %v", o.events, o.code, o.err)
			}
		})
	}
}
