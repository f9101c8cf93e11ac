//go:build conformance

package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// protocolPing is the text that the server answers; with it any message can be
// shown to have arrived.
const protocolPing = `{"event":"pusher:ping","data":{}}`

// exchange is what a client sends on a new connection, and how a server that
// keeps to RFC 6455 answers.
type exchange struct {
	name string

	send []wireFrame
	raw  string // behind the frames, as it stands

	pongs   []string // payloads of the pongs, in their order
	answers int      // pusher:pong, for texts
	refused int      // pusher:error, for texts that are no JSON

	// codes are those that the close frame may have. Answers to what came before
	// may then be missing. Without one, the connection still serves.
	codes []uint16

	// plainOnly is for what means something else where compression is negotiated,
	// or takes long to compress.
	plainOnly bool
}

// unlimitedCommands is for what sends more messages than a connection may, which
// would take as long as the limit has it.
const unlimitedCommands = "CHANNELS_APP_COMMANDS_PER_SECOND=0"

// noCode stands for a close frame without a code.
const noCode = 1005

// pieces are the sizes of the writes in which an exchange is sent; 0 is one
// write for all.
func (e exchange) pieces(size int) []int {
	switch {
	case size < 2:
		return []int{0}
	case size <= 200:
		return []int{0, 1}
	}
	return []int{0, 997}
}

// TestRFC6455 runs every exchange over every kind, on one server for each.
func TestRFC6455(t *testing.T) {
	t.Parallel()
	exchanges := slices.Concat(sizeExchanges(), lengthExchanges(), controlExchanges(), headerExchanges(),
		fragmentExchanges(), utf8Exchanges(), closeExchanges(), bulkExchanges())
	over(t, goodKinds, func(t *testing.T, k kind) {
		s := k.start(t, unlimitedCommands)
		for _, e := range exchanges {
			if k.compressed && (e.plainOnly || !e.hasText()) {
				continue
			}
			t.Run(e.name, func(t *testing.T) {
				t.Parallel()
				for _, size := range e.pieces(len(e.encoded(&wire{t: t}))) {
					e.run(t, s, size)
				}
			})
		}
	})
}

// hasText says whether the exchange is another one when texts are compressed.
func (e exchange) hasText() bool {
	return slices.ContainsFunc(e.send, func(f wireFrame) bool { return f.Opcode == opText })
}

func (e exchange) encoded(w *wire) []byte {
	var out []byte
	for _, f := range e.send {
		out = append(out, w.encode(f)...)
	}
	return append(out, e.raw...)
}

// run sends the exchange in pieces of the size.
func (e exchange) run(t *testing.T, s *server, size int) {
	t.Helper()
	w := upgrade(t, s)
	w.sendInPieces(e.encoded(w), size)
	w.expectAnswers(e)
	if len(e.codes) == 0 {
		w.expectServing()
	}
	_ = w.tcp.Close()
}

// sendInPieces writes bytes so many at a time. A server that is not going to read
// them all may cut the connection meanwhile.
func (w *wire) sendInPieces(all []byte, size int) {
	if size == 0 {
		size = max(1, len(all))
	}
	for piece := range slices.Chunk(all, size) {
		if _, err := w.conn.Write(piece); err != nil {
			return
		}
	}
}

// expectAnswers requires what the exchange says and nothing else.
func (w *wire) expectAnswers(e exchange) {
	w.t.Helper()
	pongs, answers, refused := e.pongs, e.answers, e.refused
	for len(e.codes) > 0 || len(pongs)+answers+refused > 0 {
		opcode, payload, err := w.read()
		switch {
		case err != nil:
			w.t.Fatalf("read: %v; still missing: pongs %q, %d answers, %d refusals, close %v", err, pongs, answers, refused, e.codes)
		case opcode == opPong && len(pongs) > 0 && string(payload) == pongs[0]:
			pongs = pongs[1:]
		case opcode == opText && answers > 0 && string(payload) == `{"event":"pusher:pong","data":"{}"}`:
			answers--
		case opcode == opText && refused > 0 && bytes.HasPrefix(payload, []byte(`{"event":"pusher:error"`)):
			refused--
		case opcode == opClose && len(e.codes) > 0:
			w.expectCloseOf(payload, e.codes)
			return
		default:
			w.t.Fatalf("got opcode %#x %.200q; still missing: pongs %q, %d answers, %d refusals, close %v", opcode, payload, pongs, answers, refused, e.codes)
		}
	}
}

// expectCloseOf requires a close frame's payload, and the end of the stream once
// it has been answered.
func (w *wire) expectCloseOf(payload []byte, codes []uint16) {
	w.t.Helper()
	code := uint16(noCode)
	switch len(payload) {
	case 0:
	case 1:
		w.t.Fatal("the close frame has half a code")
	default:
		code = binary.BigEndian.Uint16(payload)
	}
	if !slices.Contains(codes, code) {
		w.t.Fatalf("close frame: got %d %q, want one of %v", code, payload, codes)
	}
	if reason := string(payload[min(2, len(payload)):]); strings.ToValidUTF8(reason, "") != reason {
		w.t.Fatalf("the reason of the close frame is not UTF-8: %q", reason)
	}
	_, _ = w.conn.Write(wireFrame{Opcode: opClose, Payload: string(payload[:min(2, len(payload))])}.bytes())
	opcode, payload, err := w.read()
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("after the close frame: got opcode %#x %.100q, %v, want the end of the stream", opcode, payload, err)
	}
}

// expectServing requires that the connection answers both kinds of ping, has
// nothing else to say, and closes properly.
func (w *wire) expectServing() {
	w.t.Helper()
	w.send(text(protocolPing), wireFrame{Opcode: opPing, Payload: "still there"})
	w.expectAnswers(exchange{pongs: []string{"still there"}, answers: 1})
	w.send(closing(1000, ""))
	w.expectAnswers(exchange{codes: []uint16{1000}})
}

func closing(code uint16, reason string) wireFrame {
	return wireFrame{Opcode: opClose, Payload: string(binary.BigEndian.AppendUint16(nil, code)) + reason}
}

func ping(payload string) wireFrame { return wireFrame{Opcode: opPing, Payload: payload} }

// begin, more and last are the fragments of a text.
func begin(payload string) wireFrame {
	return wireFrame{Opcode: opText, More: true, Payload: payload}
}

func more(payload string) wireFrame {
	return wireFrame{Opcode: opContinuation, More: true, Payload: payload}
}

func last(payload string) wireFrame { return wireFrame{Opcode: opContinuation, Payload: payload} }

// fragments cuts a text into frames of n bytes.
func fragments(payload string, n int) []wireFrame {
	var frames []wireFrame
	for piece := range slices.Chunk([]byte(payload), n) {
		frames = append(frames, more(string(piece)))
	}
	frames[0].Opcode, frames[len(frames)-1].More = opText, false
	return frames
}

func only(codes ...uint16) []uint16 { return codes }

// sizeExchanges are messages of every length that is written differently.
func sizeExchanges() []exchange {
	list := []exchange{
		{name: "text of no bytes", send: []wireFrame{text("")}, refused: 1},
		{name: "text of one byte", send: []wireFrame{text("x")}, refused: 1},
	}
	for _, n := range []int{35, 124, 125, 126, 127, 128, 255, 256, 4095, 4096, 4097, 65_535, readLimit} {
		list = append(list, exchange{name: fmt.Sprintf("text of %d bytes", n), send: []wireFrame{text(pingOf(n))}, answers: 1})
	}
	for _, n := range []int{readLimit + 1, 70_000} {
		list = append(list, exchange{name: fmt.Sprintf("text of %d bytes, over the limit", n), send: []wireFrame{text(pingOf(n))}, codes: only(1009)})
	}
	for _, n := range []int{0, 1, 125, 126, 127, 65_535} {
		list = append(list, exchange{
			name:    fmt.Sprintf("binary of %d bytes", n),
			send:    []wireFrame{{Opcode: opBinary, Payload: strings.Repeat("\xfe", n)}},
			refused: 1, codes: only(1003),
		})
	}
	return append(list,
		exchange{name: "binary in fragments", send: []wireFrame{{Opcode: opBinary, More: true, Payload: "a"}, last("b")}, refused: 1, codes: only(1003)},
		exchange{name: "binary that would be a good text", send: []wireFrame{{Opcode: opBinary, Payload: protocolPing}}, refused: 1, codes: only(1003)},
	)
}

// lengthExchanges have lengths and masks that no library would write.
func lengthExchanges() []exchange {
	key := "\x00\x00\x00\x00" // a mask that changes nothing
	return []exchange{
		{name: "mask of zeros", raw: "\x81\xa1" + key + protocolPing, answers: 1},
		{name: "length in two bytes where one is enough", raw: "\x81\xfe\x00\x21" + key + protocolPing, answers: 1},
		{name: "length in eight bytes where one is enough", raw: "\x81\xff\x00\x00\x00\x00\x00\x00\x00\x21" + key + protocolPing, answers: 1},
		{name: "length with its highest bit set", raw: "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00" + key, codes: only(1002)},
		{name: "length of 2^63-1", raw: "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + key, codes: only(1009)},
		{name: "length of 2^32", raw: "\x81\xff\x00\x00\x00\x01\x00\x00\x00\x00" + key, codes: only(1009)},
		{name: "ping whose length is in two bytes", raw: "\x89\xfe\x00\x01" + key + "x", codes: only(1002)},
		{name: "ping whose length is in eight bytes", raw: "\x89\xff\x00\x00\x00\x00\x00\x00\x00\x01" + key + "x", codes: only(1002)},
		{name: "text that is not masked", send: []wireFrame{{Opcode: opText, Unmasked: true, Payload: protocolPing}}, codes: only(1002)},
		{name: "empty text that is not masked", send: []wireFrame{{Opcode: opText, Unmasked: true}}, codes: only(1002)},
		{name: "binary that is not masked", send: []wireFrame{{Opcode: opBinary, Unmasked: true, Payload: "x"}}, codes: only(1002)},
		{name: "ping that is not masked", send: []wireFrame{{Opcode: opPing, Unmasked: true, Payload: "x"}}, codes: only(1002)},
		{name: "pong that is not masked", send: []wireFrame{{Opcode: opPong, Unmasked: true}}, codes: only(1002)},
		{name: "close that is not masked", send: []wireFrame{{Opcode: opClose, Unmasked: true, Payload: "\x03\xe8"}}, codes: only(1002)},
		{name: "continuation that is not masked", send: []wireFrame{begin("{"), {Opcode: opContinuation, Unmasked: true, Payload: "}"}}, codes: only(1002)},
	}
}

// controlExchanges are pings and pongs.
func controlExchanges() []exchange {
	var list []exchange
	every := exchange{name: "pings of 0 to 125 bytes"}
	for n := range 126 {
		payload := strings.Repeat("\x00\xff\xfe", 42)[:n]
		one := exchange{name: fmt.Sprintf("ping of %d bytes", n), send: []wireFrame{ping(payload)}, pongs: []string{payload}}
		every.send, every.pongs = append(every.send, one.send...), append(every.pongs, payload)
		if n < 2 || n > 123 {
			list = append(list, one)
		}
	}
	list = append(list, every)
	for _, c := range []struct {
		name   string
		opcode byte
	}{{"ping", opPing}, {"pong", opPong}, {"close", opClose}} {
		for _, n := range []int{126, 127, 65_536} {
			list = append(list, exchange{
				name:  fmt.Sprintf("%s of %d bytes", c.name, n),
				send:  []wireFrame{{Opcode: c.opcode, Payload: "\x03\xe8" + strings.Repeat("x", n-2)}},
				codes: only(1002),
			})
		}
		list = append(list, exchange{name: c.name + " in fragments", send: []wireFrame{{Opcode: c.opcode, More: true, Payload: "\x03\xe8"}}, codes: only(1002)})
	}
	var ten []wireFrame
	var payloads []string
	for i := range 10 {
		payloads = append(payloads, fmt.Sprint("payload ", i))
		ten = append(ten, ping(payloads[i]))
	}
	pong := func(payload string) wireFrame { return wireFrame{Opcode: opPong, Payload: payload} }
	return append(list,
		exchange{name: "ten pings", send: ten, pongs: payloads},
		exchange{name: "pongs that nobody asked for", send: []wireFrame{pong(""), pong("unsolicited"), pong(strings.Repeat("\xff", 125))}},
		exchange{name: "pong, then ping", send: []wireFrame{pong("theirs"), ping("ours")}, pongs: []string{"ours"}},
		exchange{name: "ping, text, ping", send: []wireFrame{ping("a"), text(protocolPing), ping("b")}, pongs: []string{"a", "b"}, answers: 1},
	)
}

// headerExchanges set reserved bits and reserved opcodes.
func headerExchanges() []exchange {
	var list []exchange
	add := func(name string, plainOnly bool, frames ...wireFrame) {
		list = append(list, exchange{name: name, plainOnly: plainOnly, send: frames, codes: only(1002)})
	}
	for rsv := byte(1); rsv < 8; rsv++ {
		add(fmt.Sprintf("text with reserved bits %03b", rsv), rsv == rsv1, wireFrame{Opcode: opText, Reserved: rsv, Payload: protocolPing})
		add(fmt.Sprintf("binary with reserved bits %03b", rsv), rsv == rsv1, wireFrame{Opcode: opBinary, Reserved: rsv, Payload: "x"})
		add(fmt.Sprintf("ping with reserved bits %03b", rsv), false, wireFrame{Opcode: opPing, Reserved: rsv})
		add(fmt.Sprintf("pong with reserved bits %03b", rsv), false, wireFrame{Opcode: opPong, Reserved: rsv})
		add(fmt.Sprintf("close with reserved bits %03b", rsv), false, wireFrame{Opcode: opClose, Reserved: rsv, Payload: "\x03\xe8"})
		add(fmt.Sprintf("continuation with reserved bits %03b", rsv), false, begin(protocolPing[:5]), wireFrame{Opcode: opContinuation, Reserved: rsv, Payload: protocolPing[5:]})
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add(fmt.Sprintf("opcode %d", opcode), false, wireFrame{Opcode: opcode})
		add(fmt.Sprintf("opcode %d with a payload", opcode), false, wireFrame{Opcode: opcode, Payload: "x"})
		list = append(list, exchange{
			name: fmt.Sprintf("opcode %d between good frames", opcode),
			send: []wireFrame{text(protocolPing), {Opcode: opcode}, ping("x")}, answers: 1, codes: only(1002),
		})
	}
	return append(list, exchange{
		name: "reserved bit between good frames",
		send: []wireFrame{text(protocolPing), {Opcode: opText, Reserved: 2, Payload: protocolPing}, ping("x")}, answers: 1, codes: only(1002),
	})
}

// fragmentExchanges are messages in several frames.
func fragmentExchanges() []exchange {
	whole := []wireFrame{text(protocolPing)}
	halves := []wireFrame{begin(protocolPing[:9]), last(protocolPing[9:])}
	return []exchange{
		{name: "two fragments", send: halves, answers: 1},
		{name: "fragments of one byte", send: fragments(protocolPing, 1), answers: 1},
		{name: "empty fragments: first, middle and last", send: []wireFrame{begin(""), more(protocolPing[:9]), more(""), more(protocolPing[9:]), last("")}, answers: 1},
		{name: "nothing but empty fragments", send: []wireFrame{begin(""), more(""), last("")}, refused: 1},
		{name: "ping between fragments", send: []wireFrame{halves[0], ping("between"), halves[1]}, pongs: []string{"between"}, answers: 1},
		{name: "pong between fragments", send: []wireFrame{halves[0], {Opcode: opPong, Payload: "between"}, halves[1]}, answers: 1},
		{name: "ping of 125 bytes between each two of many fragments", send: interleaved(fragments(protocolPing, 5), ping(strings.Repeat("p", 125))), pongs: slices.Repeat([]string{strings.Repeat("p", 125)}, 6), answers: 1},
		{name: "messages whole and in fragments", send: slices.Repeat(slices.Concat(whole, halves), 50), answers: 100},
		{name: "text between fragments", send: slices.Concat(halves[:1], whole, halves[1:]), codes: only(1002)},
		{name: "first fragment twice", send: []wireFrame{halves[0], halves[0]}, codes: only(1002)},
		{name: "binary between fragments", send: []wireFrame{halves[0], {Opcode: opBinary, Payload: "x"}}, codes: only(1002)},
		{name: "continuation of nothing", send: []wireFrame{last(protocolPing)}, codes: only(1002)},
		{name: "continuation of nothing, not the last", send: []wireFrame{more(protocolPing), last("")}, codes: only(1002)},
		{name: "continuation after a whole text", send: slices.Concat(whole, []wireFrame{last("x")}), answers: 1, codes: only(1002)},
		{name: "continuation after the last fragment", send: slices.Concat(halves, []wireFrame{last("x")}), answers: 1, codes: only(1002)},
		{name: "fragments of 1,000 bytes that are over the limit together", send: fragments(pingOf(readLimit+1), 1000), codes: only(1009)},
		{name: "fragments that are over the limit with the last byte", send: []wireFrame{begin(pingOf(readLimit + 1)[:readLimit]), last("}")}, codes: only(1009)},
	}
}

// interleaved puts a frame between each two.
func interleaved(frames []wireFrame, between wireFrame) []wireFrame {
	var list []wireFrame
	for i, f := range frames {
		if i > 0 {
			list = append(list, between)
		}
		list = append(list, f)
	}
	return list
}

// notUTF8 are byte sequences that are no UTF-8: RFC 3629.
var notUTF8 = []struct{ name, raw string }{
	{"a lone continuation byte", "\x80"},
	{"the last continuation byte", "\xbf"},
	{"many continuation bytes", "\x80\x81\x82\x83\x84\x85\x86\x87"},
	{"a lead byte alone", "\xc3"},
	{"two of three bytes", "\xe2\x82"},
	{"three of four bytes", "\xf0\x9f\x98"},
	{"a lead byte before ASCII", "\xe2 "},
	{"byte FE", "\xfe"},
	{"byte FF", "\xff"},
	{"overlong, in two bytes", "\xc0\xaf"},
	{"overlong, in three bytes", "\xe0\x80\xaf"},
	{"overlong, in four bytes", "\xf0\x80\x80\xaf"},
	{"overlong NUL", "\xc0\x80"},
	{"largest overlong of two", "\xc1\xbf"},
	{"largest overlong of three", "\xe0\x9f\xbf"},
	{"largest overlong of four", "\xf0\x8f\xbf\xbf"},
	{"first surrogate", "\xed\xa0\x80"},
	{"last surrogate", "\xed\xbf\xbf"},
	{"pair of surrogates", "\xed\xa1\x8c\xed\xbe\xb4"},
	{"above U+10FFFF", "\xf4\x90\x80\x80"},
	{"five bytes", "\xf8\x88\x80\x80\x80"},
	{"six bytes", "\xfc\x84\x80\x80\x80\x80"},
	{"between good characters", "\u03ba\u1f79\xed\xa0\x80\u03c3"},
}

// utf8Exchanges send what is no text as text, or as the reason of a close.
func utf8Exchanges() []exchange {
	var list []exchange
	for _, bad := range notUTF8 {
		message := `{"event":"pusher:ping","data":"` + bad.raw + `"}`
		list = append(list,
			exchange{name: "not UTF-8: " + bad.name, send: []wireFrame{text(message)}, codes: only(1007)},
			exchange{name: "not UTF-8, in fragments: " + bad.name, send: fragments(message, 1), codes: only(1007)},
			exchange{name: "not UTF-8, and nothing else: " + bad.name, send: []wireFrame{text(bad.raw)}, codes: only(1007)},
			exchange{name: "close whose reason is not UTF-8: " + bad.name, send: []wireFrame{closing(1000, bad.raw)}, codes: only(1007)},
		)
	}
	good := `{"event":"pusher:ping","data":"` + "\u00e9\u20ac\U0001f600" + `"}`
	return append(list,
		exchange{name: "character cut by the end of the message", send: []wireFrame{text(good[:len(good)-3])}, codes: only(1007)},
		exchange{name: "character cut by the end of the last fragment", send: fragments(good[:len(good)-3], 3), codes: only(1007)},
		exchange{name: "not UTF-8 in the first fragment", send: []wireFrame{begin("{\"x\":\"\xf4\x90\x80\x80"), last(`"}`)}, codes: only(1007)},
		exchange{name: "not UTF-8 behind a good message", send: []wireFrame{text(protocolPing), text("\xff")}, answers: 1, codes: only(1007)},
		exchange{name: "characters cut by fragments", send: fragments(good, 1), answers: 1},
		exchange{name: "control character, which JSON does not take", send: []wireFrame{text("{\"event\":\"pusher:ping\",\"data\":\"\x00\"}")}, refused: 1},
		exchange{name: "close with a reason in UTF-8", send: []wireFrame{closing(1000, "\u03ba\u1f79\u03c3\u03bc\u03b5")}, codes: only(1000)},
	)
}

// closeExchanges are closing handshakes.
func closeExchanges() []exchange {
	var list []exchange
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		list = append(list, exchange{name: fmt.Sprintf("close with code %d", code), send: []wireFrame{closing(code, "")}, codes: only(code)})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535} {
		list = append(list, exchange{name: fmt.Sprintf("close with code %d, which is none", code), send: []wireFrame{closing(code, "")}, codes: only(1002)})
	}
	for _, n := range []int{1, 2, 122, 123} {
		list = append(list, exchange{name: fmt.Sprintf("close with a reason of %d bytes", n), send: []wireFrame{closing(1000, strings.Repeat("r", n))}, codes: only(1000)})
	}
	return append(list,
		exchange{name: "close without a code", send: []wireFrame{{Opcode: opClose}}, codes: only(noCode, 1000)},
		exchange{name: "close with half a code", send: []wireFrame{{Opcode: opClose, Payload: "\x03"}}, codes: only(1002)},
		exchange{name: "close with a reason of 124 bytes", send: []wireFrame{closing(1000, strings.Repeat("r", 124))}, codes: only(1002)},
		exchange{name: "two closes", send: []wireFrame{closing(1000, ""), closing(1001, "")}, codes: only(1000)},
		exchange{name: "ping behind a close", send: []wireFrame{closing(1000, ""), ping("x")}, codes: only(1000)},
		exchange{name: "text behind a close", send: []wireFrame{closing(1000, ""), text(protocolPing)}, codes: only(1000)},
		exchange{name: "violation behind a close", send: []wireFrame{closing(1000, ""), {Opcode: 3}}, codes: only(1000)},
		exchange{name: "close between fragments", send: []wireFrame{begin(protocolPing[:9]), closing(1000, ""), last(protocolPing[9:])}, codes: only(1000)},
		exchange{name: "close behind a long text", send: []wireFrame{text(pingOf(60_000)), closing(1000, ""), ping("x")}, answers: 1, codes: only(1000)},
	)
}

// bulkExchanges are many frames, or large ones, at once.
func bulkExchanges() []exchange {
	var thousand []wireFrame
	var payloads []string
	for i := range 1000 {
		payloads = append(payloads, fmt.Sprint(i))
		thousand = append(thousand, ping(payloads[i]))
	}
	list := []exchange{
		{name: "100 texts at once", send: slices.Repeat([]wireFrame{text(protocolPing)}, 100), answers: 100},
		{name: "3,000 texts at once", plainOnly: true, send: slices.Repeat([]wireFrame{text(protocolPing)}, 3000), answers: 3000},
		{name: "1,000 pings at once", send: thousand, pongs: payloads},
	}
	for _, n := range []int{64, 256, 1300, 4096, 65_535} {
		list = append(list, exchange{name: fmt.Sprintf("65,536 bytes in fragments of %d", n), send: fragments(pingOf(65_536), n), answers: 1})
	}
	return list
}

// pair gives two wires that are subscribed to a private channel of their own,
// where what the first says arrives at the second unchanged.
func pair(t *testing.T, s *server, channel string) (speaker, listener *wire) {
	t.Helper()
	wires := make([]*wire, 2)
	for i := range wires {
		w := upgrade(t, s)
		signer := client{SocketID: w.socketID}
		w.send(text(subscribeFrame(channel, signer.auth(channel, ""), "")))
		w.expectText(`{"event":"pusher_internal:subscription_succeeded"`)
		wires[i] = w
	}
	return wires[0], wires[1]
}

// said is a client event with the bytes in its data string.
func said(channel, raw string) string {
	return `{"event":"client-x","channel":"` + channel + `","data":"` + raw + `"}`
}

// TestContent requires that what one client says arrives at another byte for
// byte, however it was cut.
func TestContent(t *testing.T) {
	t.Parallel()
	const unlimited = "CHANNELS_APP_CLIENT_EVENTS_PER_SECOND=0"
	contents := map[string]string{
		"two bytes a character": "\u03ba\u03cc\u03c3\u03bc\u03b5", "two, three and four bytes": "\u00e9\u20ac\U0001f600",
		"U+0080": "\u0080", "U+07FF": "\u07ff", "U+0800": "\u0800", "U+D7FF": "\ud7ff", "U+E000": "\ue000", "U+FFFD": "\ufffd",
		"U+FFFE": "\ufffe", "U+FFFF": "\uffff", "U+10000": "\U00010000", "U+1FFFE": "\U0001fffe", "U+10FFFF": "\U0010ffff",
		"a combining character": "e\u0301", "a mark of byte order": "a\ufeffb", "a line separator": "\u2028",
	}
	for _, n := range []int{0, 1, 124, 125, 126, 127, 128, 255, 256, 4096, 10_240} {
		contents[fmt.Sprint(n, " bytes")] = strings.Repeat("0123456789abcdef", n/16+1)[:n]
	}
	over(t, goodKinds, func(t *testing.T, k kind) {
		s := k.start(t, unlimited)
		for name, content := range contents {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				const channel = "private-content"
				speaker, listener := pair(t, s, channel+quoteless(name))
				message := said(channel+quoteless(name), content)
				want := `{"event":"client-x","channel":"` + channel + quoteless(name) + `","data":"` + content + `"}`
				sizes := []int{len(message), 7}
				if len(message) < 1000 { // a flush for each byte takes more than the read limit
					sizes = append(sizes, 1)
				}
				for _, n := range sizes {
					speaker.send(fragments(message, n)...)
					if got := listener.expect(opText, ""); string(got) != want {
						t.Fatalf("in fragments of %d: got %.300q, want %.300q", n, got, want)
					}
				}
				speaker.expectServing()
			})
		}
	})
}

// quoteless makes a name that a channel can have.
func quoteless(name string) string {
	return "-" + strings.NewReplacer(" ", "_", ",", "", "+", "").Replace(name)
}

// TestNothingOfBadTextIsRelayed requires that the others in the channel hear
// nothing of a message that is not UTF-8.
func TestNothingOfBadTextIsRelayed(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		s := k.start(t)
		for _, bad := range notUTF8 {
			t.Run(bad.name, func(t *testing.T) {
				t.Parallel()
				channel := "private" + quoteless(bad.name)
				speaker, listener := pair(t, s, channel)
				speaker.send(text(said(channel, bad.raw)))
				speaker.expectFailed(1007)
				listener.expectServing()
			})
		}
	})
}

// TestSaidBeforeTheClose requires that what stands before a close frame in the
// same packet still arrives at the others.
func TestSaidBeforeTheClose(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		s := k.start(t)
		for range 10 {
			speaker, listener := pair(t, s, "private-last-words")
			var frames []wireFrame
			for i := range 5 {
				frames = append(frames, text(said("private-last-words", fmt.Sprint(i))))
			}
			speaker.send(append(frames, closing(1000, ""))...)
			for i := range 5 {
				listener.expectText(fmt.Sprintf(`{"event":"client-x","channel":"private-last-words","data":"%d"`, i))
			}
			speaker.expectAnswers(exchange{codes: only(1000)})
			listener.expectServing()
		}
	})
}

// TestRoundTrips is one message after the other, each answered before the next.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := upgrade(t, k.start(t, unlimitedCommands))
		for range 500 {
			w.send(text(protocolPing))
			w.expectAnswers(exchange{answers: 1})
		}
		w.expectServing()
	})
}

// TestMoreCommandsThanTheRate sends more at once than a connection may in a
// second. All are answered, in their time, and so is what comes between.
func TestMoreCommandsThanTheRate(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := upgrade(t, k.start(t))
		w.send(append(slices.Repeat([]wireFrame{text(protocolPing)}, 600), ping("behind them"))...)
		w.expectAnswers(exchange{answers: 600, pongs: []string{"behind them"}})
		w.expectServing()
	})
}

// TestUnansweredClose requires that a client which does not answer a close frame
// is dropped.
func TestUnansweredClose(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := upgrade(t, k.start(t))
		w.send(wireFrame{Opcode: 3})
		if opcode, payload, err := w.read(); err != nil || opcode != opClose {
			t.Fatalf("got opcode %#x %q, %v, want a close frame", opcode, payload, err)
		}
		if opcode, payload, err := w.read(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got opcode %#x %q, %v, want the end of the stream", opcode, payload, err)
		}
	})
}

// TestEndOfTheClientsStream requires that a client which has ended its half of
// the stream is dropped, between messages and inside of one.
func TestEndOfTheClientsStream(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, sent string }{
		{"between messages", ""},
		{"inside of a header", "\x81"},
		{"inside of a frame", string(text(protocolPing).bytes()[:9])},
		{"between fragments", string(begin(protocolPing[:9]).bytes())},
	}
	over(t, []kind{plain, overTLS}, func(t *testing.T, k kind) {
		s := k.start(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				w := upgrade(t, s)
				w.raw([]byte(tt.sent))
				if err := w.conn.(stream).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if rest, err := io.ReadAll(w.in); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("still open; got %q", rest)
				}
			})
		}
	})
}

// TestBehindTheHandshake has frames arrive with the request, whole and cut.
func TestBehindTheHandshake(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		s := k.start(t)
		frame := (&wire{t: t, deflating: k.compressed}).encode(text(protocolPing))
		for _, tt := range []struct {
			name        string
			first, then int // bytes of two frames that are sent at once, and in all
		}{
			{"two frames", 2 * len(frame), 2 * len(frame)},
			{"a frame and a half", len(frame) * 3 / 2, 2 * len(frame)},
			{"half a frame", len(frame) / 2, 2 * len(frame)},
			{"one byte", 1, 2 * len(frame)},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				both := bytes.Repeat(frame, 2)
				w := newWire(t, s)
				w.raw(append([]byte(k.request()), both[:tt.first]...))
				w.expectUpgraded()
				w.raw(both[tt.first:tt.then])
				w.expectAnswers(exchange{answers: 2})
				w.expectServing()
			})
		}
		t.Run("the request byte by byte", func(t *testing.T) {
			t.Parallel()
			w := newWire(t, s)
			for _, b := range []byte(k.request()) {
				w.raw([]byte{b})
			}
			w.expectUpgraded()
			w.expectServing()
		})
	})
}

// TestFirstFragmentIsNotUTF8 sends a fragment that no other can make good. The
// server may say so at once, and must when the message has ended.
func TestFirstFragmentIsNotUTF8(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		w := upgrade(t, k.start(t))
		w.send(begin("\xf4\x90\x80\x80"))
		time.Sleep(50 * time.Millisecond) // let it arrive alone
		w.sendInPieces(w.encode(last("x")), 0)
		w.expectFailed(1007)
	})
}
