package protocol_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"channels/protocol"
)

const (
	fin  = 0x80
	rsv1 = 0x40
	cont = 0
	text = 1
	bin  = 2
	cls  = 8
	ping = 9
	pong = 10
)

// readLimit is that of the readers in tests, in bytes.
const readLimit = 70_000

// maskedFrame is a client's frame; first has the bits and the opcode.
func maskedFrame(first byte, payload string) []byte {
	b := header(first, 0x80, uint64(len(payload)), -1)
	key := []byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// header is the beginning of a frame, up to the mask. The length takes width
// bytes beside the second; -1 stands for as few as can be.
func header(first, mask byte, length uint64, width int) []byte {
	if width < 0 {
		switch {
		case length < 126:
			width = 0
		case length <= math.MaxUint16:
			width = 2
		default:
			width = 8
		}
	}
	switch width {
	case 0:
		return []byte{first, mask | byte(length)}
	case 2:
		return binary.BigEndian.AppendUint16([]byte{first, mask | 126}, uint16(length))
	}
	return binary.BigEndian.AppendUint64([]byte{first, mask | 127}, length)
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

func closePayload(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// fragments is a message of text with a frame for each part.
func fragments(parts ...string) []byte {
	var b []byte
	for i, part := range parts {
		var first byte
		if i == 0 {
			first = text
		}
		if i == len(parts)-1 {
			first |= fin
		}
		b = append(b, maskedFrame(first, part)...)
	}
	return b
}

// bytewise is a message with a frame for each byte.
func bytewise(s string) []byte { return fragments(strings.Split(s, "")...) }

// splitBytes is the bytes of s, each a string.
func splitBytes(s string) []string {
	parts := make([]string, len(s))
	for i := range len(s) {
		parts[i] = s[i : i+1]
	}
	return parts
}

var kinds = map[protocol.FrameKind]string{
	protocol.FrameText: "text", protocol.FrameBinary: "binary", protocol.FramePing: "ping", protocol.FramePong: "pong",
}

// describe is an event in words.
func describe(ev protocol.FrameEvent) string {
	switch ev.Kind {
	case protocol.FrameClose:
		return fmt.Sprintf("close %d %q", ev.Code, ev.Data)
	case protocol.FrameFault:
		return fmt.Sprintf("fault %d", ev.Code)
	}
	name := kinds[ev.Kind]
	if ev.Compressed {
		name = "compressed " + name
	}
	return fmt.Sprintf("%s %q", name, ev.Data)
}

// collect feeds the pieces to the reader, and returns the events. The pieces'
// buffer is overwritten after each.
func collect(r *protocol.FrameReader, pieces [][]byte) []protocol.FrameEvent {
	var events []protocol.FrameEvent
	var buffer []byte
	for _, piece := range pieces {
		buffer = append(buffer[:0], piece...)
		for rest := buffer; ; {
			var ev protocol.FrameEvent
			if ev, rest = r.Next(rest); ev.Kind == protocol.FrameMore {
				break
			}
			ev.Data = bytes.Clone(ev.Data)
			events = append(events, ev)
		}
		for i := range buffer {
			buffer[i] = 0xee
		}
	}
	return events
}

// read does as collect, and returns the events in words.
func read(r *protocol.FrameReader, pieces [][]byte) []string {
	var words []string
	for _, ev := range collect(r, pieces) {
		words = append(words, describe(ev))
	}
	return words
}

// cut is the stream in pieces of n bytes.
func cut(stream []byte, n int) [][]byte { return slices.Collect(slices.Chunk(stream, n)) }

// expect reads the stream cut in several ways, and compares the events.
func expect(t *testing.T, deflate bool, stream []byte, want ...string) {
	t.Helper()
	check := func(how string, pieces [][]byte) {
		t.Helper()
		r := protocol.NewFrameReader(readLimit, deflate)
		if got := read(&r, pieces); !slices.Equal(got, want) {
			t.Fatalf("%s: got %.300q, want %.300q", how, got, want)
		}
	}
	check("whole", [][]byte{stream})
	for _, n := range []int{1, 2, 3, 7, 997, 4096} {
		check(fmt.Sprintf("in pieces of %d", n), cut(stream, n))
	}
	cuts := 300
	if len(stream) > 10_000 {
		cuts = 20 // those within the header
	}
	for i := 1; i < min(len(stream), cuts); i++ {
		check(fmt.Sprintf("cut at %d", i), [][]byte{stream[:i], stream[i:]})
	}
}

func TestFrameReader(t *testing.T) {
	const message = `{"event":"pusher:ping","data":{}}`
	asText := fmt.Sprintf("text %q", message)
	whole := maskedFrame(fin|text, message)
	aPing := maskedFrame(fin|ping, "between")
	tests := []struct {
		name   string
		stream []byte
		want   []string
	}{
		{"nothing", nil, nil},
		{"text", whole, []string{asText}},
		{"empty text", maskedFrame(fin|text, ""), []string{`text ""`}},
		{"two texts", join(whole, whole), []string{asText, asText}},
		{"binary", maskedFrame(fin|bin, "\xfe\xff"), []string{`binary "\xfe\xff"`}},
		{"empty binary", maskedFrame(fin|bin, ""), []string{`binary ""`}},
		{"a mask of zeros", join(header(fin|text, 0x80, 2, -1), make([]byte, 4), []byte("hi")), []string{`text "hi"`}},
		{"a length of two bytes where none is needed", join(header(fin|text, 0x80, 2, 2), make([]byte, 4), []byte("hi")), []string{`text "hi"`}},
		{"a length of eight bytes where none is needed", join(header(fin|text, 0x80, 2, 8), make([]byte, 4), []byte("hi")), []string{`text "hi"`}},
		{"a ping's length in two bytes", join(header(fin|ping, 0x80, 2, 2), make([]byte, 4), []byte("hi")), []string{"fault 1002"}},
		{"the highest bit of the length", header(fin|text, 0x80, 1<<63, 8), []string{"fault 1002"}},
		{"the longest length", header(fin|text, 0x80, math.MaxUint64, 8), []string{"fault 1002"}},
		{"a length of 2^63-1", header(fin|text, 0x80, math.MaxInt64, 8), []string{"fault 1009"}},
		{"one byte too long", header(fin|text, 0x80, readLimit+1, 8), []string{"fault 1009"}},
		{"a first fragment too long", header(text, 0x80, readLimit+1, 8), []string{"fault 1009"}},
		{"fragments together too long", join(fragments("a", ""), maskedFrame(text, "ab"), header(cont, 0x80, readLimit-1, 8)), []string{`text "a"`, "fault 1009"}},
		{"binary too long", header(fin|bin, 0x80, readLimit+1, 8), []string{"fault 1009"}},
		{"a ping after half a length too long", header(fin|text, 0x80, 1<<40, 8), []string{"fault 1009"}},

		{"ping", maskedFrame(fin|ping, "payload"), []string{`ping "payload"`}},
		{"empty ping", maskedFrame(fin|ping, ""), []string{`ping ""`}},
		{"ping that is not UTF-8", maskedFrame(fin|ping, "\xff\x00"), []string{`ping "\xff\x00"`}},
		{"longest ping", maskedFrame(fin|ping, strings.Repeat("p", 125)), []string{fmt.Sprintf("ping %q", strings.Repeat("p", 125))}},
		{"ping of 126 bytes", maskedFrame(fin|ping, strings.Repeat("p", 126)), []string{"fault 1002"}},
		{"pong of 126 bytes", maskedFrame(fin|pong, strings.Repeat("p", 126)), []string{"fault 1002"}},
		{"close of 126 bytes", maskedFrame(fin|cls, strings.Repeat("p", 126)), []string{"fault 1002"}},
		{"ping of eight bytes of length", header(fin|ping, 0x80, 1<<63, 8), []string{"fault 1002"}},
		{"unsolicited pong", join(maskedFrame(fin|pong, "unsolicited"), maskedFrame(fin|ping, "ours")), []string{`pong "unsolicited"`, `ping "ours"`}},
		{"pings and texts", join(aPing, whole, aPing, aPing, whole), []string{`ping "between"`, asText, `ping "between"`, `ping "between"`, asText}},

		{"text in two fragments", fragments(message[:9], message[9:]), []string{asText}},
		{"a fragment for each byte", bytewise(message), []string{asText}},
		{"empty fragments: first, middle, last", fragments("", message[:9], "", message[9:], ""), []string{asText}},
		{"only empty fragments", fragments("", "", ""), []string{`text ""`}},
		{"binary in fragments", join(maskedFrame(bin, "a"), maskedFrame(fin|cont, "b")), []string{`binary "ab"`}},
		{"ping between fragments", join(maskedFrame(text, message[:9]), aPing, maskedFrame(fin|cont, message[9:])), []string{`ping "between"`, asText}},
		{"empty ping between empty fragments", join(maskedFrame(text, ""), maskedFrame(fin|ping, ""), maskedFrame(fin|cont, "")), []string{`ping ""`, `text ""`}},
		{"pong between fragments", join(maskedFrame(text, "a"), maskedFrame(fin|pong, "x"), maskedFrame(fin|cont, "b")), []string{`pong "x"`, `text "ab"`}},
		{"close between fragments", join(maskedFrame(text, "a"), maskedFrame(fin|cls, closePayload(1000, "")), maskedFrame(fin|cont, "b")), []string{`close 1000 ""`}},
		{"ping between fragments before the second has come", join(maskedFrame(text, "a"), aPing), []string{`ping "between"`}},
		{"whole and fragmented in turn", join(whole, fragments("a", "b"), whole, fragments("c", "d")), []string{asText, `text "ab"`, asText, `text "cd"`}},
		{"ping in two fragments", join(maskedFrame(ping, "a"), maskedFrame(fin|cont, "b")), []string{"fault 1002"}},
		{"pong in two fragments", join(maskedFrame(pong, "a"), maskedFrame(fin|cont, "b")), []string{"fault 1002"}},
		{"close in two fragments", join(maskedFrame(cls, "\x03"), maskedFrame(fin|cont, "\xe8")), []string{"fault 1002"}},
		{"continuation of nothing", maskedFrame(fin|cont, "x"), []string{"fault 1002"}},
		{"continuation of nothing, not final", maskedFrame(cont, "x"), []string{"fault 1002"}},
		{"continuation of nothing, empty", maskedFrame(fin|cont, ""), []string{"fault 1002"}},
		{"continuation after a whole message", join(whole, maskedFrame(fin|cont, "x")), []string{asText, "fault 1002"}},
		{"continuation after a fragmented message", join(fragments("a", "b"), maskedFrame(cont, "x")), []string{`text "ab"`, "fault 1002"}},
		{"continuation after a ping", join(aPing, maskedFrame(fin|cont, "x")), []string{`ping "between"`, "fault 1002"}},
		{"text inside a message", join(maskedFrame(text, "a"), whole), []string{"fault 1002"}},
		{"binary inside a message", join(maskedFrame(text, "a"), maskedFrame(fin|bin, "b")), []string{"fault 1002"}},
		{"text inside a binary message", join(maskedFrame(bin, ""), maskedFrame(fin|text, "b")), []string{"fault 1002"}},

		{"close without a code", maskedFrame(fin|cls, ""), []string{`close 0 ""`}},
		{"close with half a code", maskedFrame(fin|cls, "\x03"), []string{"fault 1002"}},
		{"close with a reason", maskedFrame(fin|cls, closePayload(1001, "bye")), []string{`close 1001 "bye"`}},
		{"close with the longest reason", maskedFrame(fin|cls, closePayload(1000, strings.Repeat("r", 123))), []string{fmt.Sprintf("close 1000 %q", strings.Repeat("r", 123))}},
		{"close with a reason that is not UTF-8", maskedFrame(fin|cls, closePayload(1000, "\xce\xba\xed\xa0\x80edited")), []string{"fault 1007"}},
		{"close with a reason that is cut", maskedFrame(fin|cls, closePayload(1000, "caf\xc3")), []string{"fault 1007"}},
		{"close with a bad code and reason", maskedFrame(fin|cls, closePayload(1005, "\xff")), []string{"fault 1002"}},
		{"two closes", join(maskedFrame(fin|cls, closePayload(1000, "")), maskedFrame(fin|cls, closePayload(1001, ""))), []string{`close 1000 ""`}},
		{"ping after a close", join(maskedFrame(fin|cls, closePayload(1000, "")), aPing), []string{`close 1000 ""`}},
		{"text after a close", join(maskedFrame(fin|cls, closePayload(1000, "")), whole), []string{`close 1000 ""`}},
		{"ping and close after a fault", join(maskedFrame(fin|3, ""), aPing, maskedFrame(fin|cls, "")), []string{"fault 1002"}},

		{"half a header", whole[:1], nil},
		{"half a frame", whole[:12], nil},
		{"half a message", maskedFrame(text, "a"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, false, tt.stream, tt.want...) })
	}
}

func TestFrameReaderSizes(t *testing.T) {
	for _, n := range []int{0, 1, 124, 125, 126, 127, 128, 255, 256, 4096, 65535, 65536, readLimit} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			message := strings.Repeat("a€😀b", n/9+1)[:n-n%9]
			message += strings.Repeat("x", n-len(message))
			want := fmt.Sprintf("text %q", message)
			expect(t, false, join(maskedFrame(fin|text, message), maskedFrame(fin|ping, "")), want, `ping ""`)
			var parts []string
			for piece := range slices.Chunk([]byte(message), 1300) {
				parts = append(parts, string(piece))
			}
			if n > 0 {
				expect(t, false, fragments(parts...), want)
			}
		})
	}
}

func TestUnmaskedFrames(t *testing.T) {
	for _, tt := range []struct {
		name    string
		first   byte
		payload string
	}{
		{"text", fin | text, "{}"}, {"fragment", text, "{}"}, {"binary", fin | bin, "x"}, {"ping", fin | ping, "x"},
		{"pong", fin | pong, ""}, {"close", fin | cls, "\x03\xe8"}, {"empty", fin | text, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, false, append(header(tt.first, 0, uint64(len(tt.payload)), -1), tt.payload...), "fault 1002")
		})
	}
}

func TestReservedBits(t *testing.T) {
	for bits := byte(0x10); bits < 0x80; bits += 0x10 {
		for _, op := range []byte{cont, text, bin, cls, ping, pong} {
			for _, deflate := range []bool{false, true} {
				if deflate && bits == rsv1 && (op == text || op == bin) {
					continue // allowed, see TestCompressedMessages
				}
				expect(t, deflate, maskedFrame(fin|bits|op, "\x03\xe8"), "fault 1002")
				if op != text && op != bin { // in the middle of a message
					expect(t, deflate, join(maskedFrame(text, "a"), maskedFrame(bits|op|fin, "")), "fault 1002")
				}
			}
		}
	}
}

func TestReservedOpcodes(t *testing.T) {
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		expect(t, false, maskedFrame(fin|op, "x"), "fault 1002")
		expect(t, false, join(maskedFrame(fin|text, "a"), maskedFrame(op, "")), `text "a"`, "fault 1002")
		expect(t, true, join(maskedFrame(text, "a"), maskedFrame(fin|op, "")), "fault 1002")
	}
}

func TestCloseCodes(t *testing.T) {
	good := func(code int) bool {
		return slices.Contains([]int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}, code) ||
			code >= 3000 && code < 5000
	}
	for code := range math.MaxUint16 + 1 {
		want := "fault 1002"
		if good(code) {
			want = fmt.Sprintf(`close %d "why"`, code)
		}
		r := protocol.NewFrameReader(readLimit, false)
		got := read(&r, [][]byte{maskedFrame(fin|cls, closePayload(code, "why"))})
		if !slices.Equal(got, []string{want}) || protocol.IsCloseCode(protocol.Code(code)) != good(code) {
			t.Fatalf("code %d: got %q, want %q", code, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for name, s := range map[string]string{
		"greek": "κόσμε", "two, three and four bytes": "é€😀", "U+0080": "\u0080", "U+07FF": "\u07ff", "U+0800": "\u0800",
		"U+D7FF": "\ud7ff", "U+E000": "\ue000", "U+FFFD": "\ufffd", "U+FFFE and U+FFFF": "\ufffe\uffff", "U+10000": "\U00010000",
		"U+10FFFF": "\U0010ffff", "combining": "e\u0301", "U+FEFF": "a\ufeffb", "NUL": "a\x00b",
	} {
		t.Run(name, func(t *testing.T) {
			want := fmt.Sprintf("text %q", s)
			expect(t, false, maskedFrame(fin|text, s), want)
			expect(t, false, fragments(splitBytes(s)...), want)
		})
	}
}

// badText has what is not UTF-8, with the byte at which that can be told.
var badText = []struct {
	name, text string
	at         int
}{
	{"a continuation byte", "\x80", 0}, {"0xbf", "\xbf", 0}, {"0xc0", "\xc0 ", 0}, {"0xfe", "\xfe", 0}, {"0xff", "\xff", 0},
	{"overlong slash in two", "\xc0\xaf", 0}, {"in three", "\xe0\x80\xaf", 1}, {"in four", "\xf0\x80\x80\xaf", 1},
	{"in five", "\xf8\x80\x80\x80\xaf", 0}, {"in six", "\xfc\x80\x80\x80\x80\xaf", 0}, {"longest overlong", "\xc1\xbf", 0},
	{"of three", "\xe0\x9f\xbf", 1}, {"of four", "\xf0\x8f\xbf\xbf", 1}, {"surrogate U+D800", "\xed\xa0\x80", 1},
	{"surrogate U+DFFF", "\xed\xbf\xbf", 1}, {"U+110000", "\xf4\x90\x80\x80", 1}, {"two bytes, cut by a letter", "\xc3a", 1},
	{"three bytes, cut by a letter", "\xe2\x82a", 2}, {"four bytes, cut by a letter", "\xf0\x9f\x98a", 3},
}

func TestTextThatIsNotUTF8(t *testing.T) {
	for _, tt := range badText {
		t.Run(tt.name, func(t *testing.T) {
			s := "κόσμε" + tt.text + "edited"
			expect(t, false, maskedFrame(fin|text, s), "fault 1007")
			expect(t, false, fragments(splitBytes(s)...), "fault 1007")
			expect(t, false, fragments("κόσμε", tt.text, "edited"), "fault 1007")
			expect(t, false, join(fragments("κόσ", "με"), maskedFrame(text, s)), `text "κόσμε"`, "fault 1007")
		})
	}
	for _, s := range []string{"\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xf0"} {
		t.Run(fmt.Sprintf("%q at the end", s), func(t *testing.T) {
			expect(t, false, maskedFrame(fin|text, "a"+s), "fault 1007")
			expect(t, false, fragments("a"+s, ""), "fault 1007")
			expect(t, false, maskedFrame(text, "a"+s)) // may go on
		})
	}
}

// TestBadTextIsFoundAtOnce holds the reader to tell as soon as a byte has come
// that no valid text can have in its place.
func TestBadTextIsFoundAtOnce(t *testing.T) {
	for _, tt := range badText {
		for _, first := range []byte{text, fin | text} {
			stream := maskedFrame(first, "κόσμε"+tt.text+strings.Repeat("e", 100))
			head := 2 + 4
			if stream[1]&0x7f == 126 {
				head += 2
			}
			at := head + len("κόσμε") + tt.at
			r := protocol.NewFrameReader(readLimit, false)
			if got := read(&r, cut(stream[:at], 1)); got != nil {
				t.Errorf("%s: got %q before the bad byte", tt.name, got)
			}
			if got := read(&r, cut(stream[at:at+1], 1)); !slices.Equal(got, []string{"fault 1007"}) {
				t.Errorf("%s: got %q with the bad byte, want a fault", tt.name, got)
			}
		}
	}
}

func TestCompressedMessages(t *testing.T) {
	expect(t, true, maskedFrame(fin|rsv1|text, "\xff\xfe"), `compressed text "\xff\xfe"`)
	expect(t, true, maskedFrame(fin|rsv1|bin, ""), `compressed binary ""`)
	expect(t, true, join(maskedFrame(rsv1|text, "\xff"), maskedFrame(fin|ping, "p"), maskedFrame(fin|cont, "\xfe")), `ping "p"`, `compressed text "\xff\xfe"`)
	expect(t, true, join(maskedFrame(fin|rsv1|text, "\xff"), maskedFrame(fin|text, "plain")), `compressed text "\xff"`, `text "plain"`)
	expect(t, true, maskedFrame(fin|text, "\xff"), "fault 1007")
	expect(t, true, join(maskedFrame(text, "a"), maskedFrame(fin|rsv1|cont, "b")), "fault 1002")
	expect(t, true, join(maskedFrame(rsv1|text, "a"), maskedFrame(fin|rsv1|cont, "b")), "fault 1002")
	expect(t, true, header(fin|rsv1|text, 0x80, 2*readLimit, 8), "fault 1009")
}

func TestPending(t *testing.T) {
	tests := []struct {
		name   string
		stream []byte
		want   bool
	}{
		{"nothing", nil, false},
		{"a byte", []byte{fin | text}, true},
		{"a whole text", maskedFrame(fin|text, "a"), false},
		{"a whole ping", maskedFrame(fin|ping, "a"), false},
		{"half a ping", maskedFrame(fin|ping, "ab")[:7], true},
		{"a fragment", maskedFrame(text, ""), true},
		{"a fragment and a ping", join(maskedFrame(text, ""), maskedFrame(fin|ping, "ab")), true},
		{"a message in fragments", fragments("a", "b"), false},
		{"close", maskedFrame(fin|cls, ""), false},
		{"close between fragments", join(maskedFrame(text, ""), maskedFrame(fin|cls, "")), false},
		{"a fault in a message", join(maskedFrame(text, ""), maskedFrame(fin|text, "")), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, 1000} {
				r := protocol.NewFrameReader(readLimit, false)
				if read(&r, cut(tt.stream, n)); r.Pending() != tt.want {
					t.Errorf("in pieces of %d: got %v, want %v", n, r.Pending(), tt.want)
				}
			}
		})
	}
}

// TestEventsOutliveTheInput holds that what is put together from pieces is not
// part of the input, nor of what the reader goes on with.
func TestEventsOutliveTheInput(t *testing.T) {
	r := protocol.NewFrameReader(readLimit, false)
	var texts [][]byte
	for _, b := range join(maskedFrame(fin|text, "first"), maskedFrame(fin|text, "other"), fragments("in ", "parts")) {
		if ev, _ := r.Next([]byte{b}); ev.Kind != protocol.FrameMore {
			texts = append(texts, ev.Data)
		}
	}
	if got := string(bytes.Join(texts, []byte("|"))); got != "first|other|in parts" {
		t.Errorf("got %q", got)
	}
}

func TestWholeFramesAllocateNothing(t *testing.T) {
	stream := join(maskedFrame(fin|text, strings.Repeat("é", 300)), maskedFrame(fin|ping, "ping"), maskedFrame(fin|text, "{}"), maskedFrame(fin|pong, ""))
	in := make([]byte, len(stream))
	r := protocol.NewFrameReader(readLimit, false)
	if n := testing.AllocsPerRun(100, func() {
		copy(in, stream)
		events := 0
		for rest := in; ; events++ {
			var ev protocol.FrameEvent
			if ev, rest = r.Next(rest); ev.Kind == protocol.FrameMore {
				break
			}
			if len(ev.Data) > 0 && !within(in, ev.Data) {
				t.Fatal("the message is not a part of the input")
			}
		}
		if events != 4 {
			t.Fatalf("got %d events, want 4", events)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func within(outer, b []byte) bool {
	at := uintptr(unsafe.Pointer(&b[0]))
	return at >= uintptr(unsafe.Pointer(&outer[0])) && at < uintptr(unsafe.Pointer(&outer[0]))+uintptr(len(outer))
}

func TestIdleReaderIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(protocol.FrameReader{}); size > 64 {
		t.Errorf("a reader takes %d bytes, want at most 64", size)
	}
}

// TestPromisesTakeNoMemory holds that a client has memory for what it has sent,
// not for what a header announces.
func TestPromisesTakeNoMemory(t *testing.T) {
	const readers = 1000
	start := join(header(fin|text, 0x80, 1<<20, 8), []byte{0, 0, 0, 0}, []byte("begin"))
	all := make([]protocol.FrameReader, readers)
	before := heap()
	for i := range all {
		all[i] = protocol.NewFrameReader(1<<20, false)
		all[i].Next(start)
	}
	if each := (heap() - before) / readers; each > 600 {
		t.Errorf("a frame of 1 MiB that has begun takes %d bytes, want at most 600", each)
	}
	runtime.KeepAlive(all)
}

// TestBuffersStayWithinTheLimit holds that the buffer of a message in pieces is
// never larger than the message may become.
func TestBuffersStayWithinTheLimit(t *testing.T) {
	almost := strings.Repeat("x", readLimit-1)
	tests := []struct {
		name   string
		stream []byte
		most   int
	}{
		{"a final frame", maskedFrame(fin|text, almost[:40_000]), 40_000},
		{"fragments", fragments(almost, "x"), readLimit},
		{"a final fragment", fragments("x", almost[:40_000]), 40_001},
		{"a ping", maskedFrame(fin|ping, "short"), len("short")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := protocol.NewFrameReader(readLimit, false)
			for _, piece := range cut(tt.stream, 997) {
				for _, half := range [][]byte{piece[:1], piece[1:]} {
					if ev, _ := r.Next(half); cap(ev.Data) > tt.most {
						t.Errorf("the buffer has %d bytes, want at most %d", cap(ev.Data), tt.most)
					}
				}
			}
		})
	}
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// allocated is how many bytes have been allocated so far.
func allocated() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.TotalAlloc)
}

func FuzzFrameReader(f *testing.F) {
	f.Add(join(maskedFrame(fin|text, "text"), fragments("é"[:1], "é"[1:]), maskedFrame(fin|cls, closePayload(1000, "bye"))), []byte{1, 2, 3}, false)
	f.Add(join(maskedFrame(rsv1|text, "\xff"), maskedFrame(fin|ping, "ping"), maskedFrame(fin|cont, "x")), []byte{7}, true)
	f.Add(join(maskedFrame(text, "\xf4"), maskedFrame(cont, "\x90")), []byte{7}, false)
	f.Add(join(header(fin|text, 0x80, 1<<63, 8), make([]byte, 9)), []byte{11}, false)
	f.Fuzz(func(t *testing.T, stream, cuts []byte, deflate bool) {
		const limit = 300
		whole := protocol.NewFrameReader(limit, deflate)
		events := collect(&whole, [][]byte{stream})
		r := protocol.NewFrameReader(limit, deflate)
		got := collect(&r, cutAt(stream, cuts))
		same := func(a, b protocol.FrameEvent) bool { return describe(a) == describe(b) && a.Reason == b.Reason }
		if !slices.EqualFunc(got, events, same) {
			t.Fatalf("in pieces got %+v, want %+v as from the whole", got, events)
		}
		if r.Pending() != whole.Pending() {
			t.Fatalf("pending in pieces: %v, whole: %v", r.Pending(), whole.Pending())
		}
		for i, ev := range events {
			last := ev.Kind == protocol.FrameClose || ev.Kind == protocol.FrameFault
			switch {
			case last && i < len(events)-1:
				t.Fatalf("%+v after the end", events[i+1:])
			case ev.Kind == protocol.FrameText && !ev.Compressed && !utf8.Valid(ev.Data):
				t.Fatalf("not UTF-8: %q", ev.Data)
			case ev.Compressed && !deflate:
				t.Fatalf("compressed without negotiation: %q", ev.Data)
			case !ev.Compressed && len(ev.Data) > limit:
				t.Fatalf("%d bytes, more than the limit", len(ev.Data))
			}
		}
	})
}

// cutAt cuts the stream into pieces whose lengths come from cuts, in turn.
func cutAt(stream, cuts []byte) [][]byte {
	var pieces [][]byte
	for i := 0; len(stream) > 0; i++ {
		n := len(stream)
		if len(cuts) > 0 {
			n = min(n, int(cuts[i%len(cuts)])%32+1)
		}
		pieces, stream = append(pieces, stream[:n]), stream[n:]
	}
	return pieces
}

func BenchmarkFrameReader(b *testing.B) {
	for _, n := range []int{33, 1024, 10240} {
		b.Run(fmt.Sprintf("text of %d", n), func(b *testing.B) {
			stream := maskedFrame(fin|text, strings.Repeat("x", n))
			in := make([]byte, len(stream))
			r := protocol.NewFrameReader(readLimit, false)
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				copy(in, stream)
				r.Next(in)
			}
		})
	}
}

// TestEndedReader ignores what comes after End, also in the middle of a message.
func TestEndedReader(t *testing.T) {
	r := protocol.NewFrameReader(1<<20, false)
	if ev, _ := r.Next([]byte{0x01, 0x81, 0, 0, 0, 0, 'x'}); ev.Kind != protocol.FrameMore || !r.Pending() {
		t.Fatalf("a fragment: %+v", ev)
	}
	r.End()
	if ev, rest := r.Next([]byte{0x89, 0x80, 0, 0, 0, 0}); ev.Kind != protocol.FrameMore || len(rest) != 0 || r.Pending() {
		t.Errorf("after the end: %+v, %d bytes left, pending %v", ev, len(rest), r.Pending())
	}
}
