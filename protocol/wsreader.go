package protocol

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// FrameKind says what a FrameReader has found.
type FrameKind uint8

// Kinds of events.
const (
	FrameMore   FrameKind = iota // the input is used up; there may be part of a frame or message
	FrameText                    // a message of text, which is UTF-8 unless it is compressed
	FrameBinary                  // a binary message
	FramePing                    // a ping, to be answered with a pong of the same payload
	FramePong                    // a pong
	FrameClose                   // a close frame, to be answered with one of the same code
	FrameFault                   // the client breaks the protocol, to be closed with the code
)

// FrameEvent is what a FrameReader has found.
type FrameEvent struct {
	Kind FrameKind
	// Compressed says that Data is compressed; see FrameReader.Inflate.
	Compressed bool
	// Code is that of a close frame, NoCode when it has none, or that to close
	// with after a fault.
	Code Code
	// Data is the message, the payload of a ping or pong, or the reason in a
	// close frame. It shares the bytes of the input, or is the receiver's own;
	// use it before the input is overwritten.
	Data []byte
	// Reason says what is wrong, for a fault.
	Reason string
}

// FrameReader reads the frames of RFC 6455 that one client sends. It is given
// bytes as they come, cut anywhere, and answers with messages, control frames
// and faults. The events are the same however the stream is cut.
//
// Between messages it holds no buffer. A message that is not there whole is
// copied into a buffer that grows with the bytes that have come, up to the read
// limit, and is released with the message.
//
// A reader is used by one goroutine at a time. It must not be copied after the
// first Next.
type FrameReader struct {
	limit   int      // of a message, in bytes
	partial *partial // nil between messages
	deflate bool     // the client may compress
	ended   bool     // by a close frame or a fault
}

// NewFrameReader returns a reader that accepts messages of at most limit bytes.
// With deflate the client has negotiated permessage-deflate.
func NewFrameReader(limit int, deflate bool) FrameReader {
	return FrameReader{limit: max(0, min(limit, math.MaxInt32)), deflate: deflate}
}

// Pending says whether a frame or a message has begun and not ended. The client
// then owes bytes, so the caller sets a deadline.
func (r *FrameReader) Pending() bool { return r.partial != nil }

// Next returns the first event in the input, and the rest of the input for the
// next call. With FrameMore there is no rest. Payloads are unmasked in place;
// the reader keeps nothing of the input. What follows a close frame or a fault
// is ignored.
func (r *FrameReader) Next(in []byte) (ev FrameEvent, rest []byte) {
	for len(in) > 0 && !r.ended {
		if ev, in = r.frame(in); ev.Kind != FrameMore {
			return ev, in
		}
	}
	return FrameEvent{}, nil
}

// End has everything ignored that comes from now on.
func (r *FrameReader) End() { r.ended, r.partial = true, nil }

// frame reads one frame, or what there is of it.
func (r *FrameReader) frame(in []byte) (FrameEvent, []byte) {
	if r.partial == nil || !r.partial.begun {
		h, n, fault := r.header(in)
		if fault.Kind == FrameFault {
			return r.fail(fault), nil
		}
		alone := h.control() || h.fin() && h.opcode() != opContinuation
		if n > 0 && alone && h.length <= len(in)-n {
			payload := in[n : n+h.length]
			unmask(payload, h.key)
			return r.whole(h, payload), in[n+h.length:]
		}
		if r.partial == nil {
			r.partial = new(partial)
		}
	}
	return r.piece(in)
}

// header reads the header at the front of b, which goes on for n bytes; n is 0
// while bytes are missing. Each part is checked as soon as it is there.
func (r *FrameReader) header(b []byte) (h clientHeader, n int, fault FrameEvent) {
	h.first = b[0]
	if why := r.checkFirst(h); why != "" {
		return h, 0, protocolError(why)
	}
	if len(b) < 2 {
		return h, 0, FrameEvent{}
	}
	if why := checkSecond(h, b[1]); why != "" {
		return h, 0, protocolError(why)
	}
	n = lengthEnd(b[1])
	if len(b) < n {
		return h, 0, FrameEvent{}
	}
	length := payloadLength(b)
	if length > math.MaxInt64 {
		return h, 0, protocolError("the length of a frame has its highest bit set")
	}
	if !h.control() && length > uint64(r.room(h)) {
		return h, 0, tooBig()
	}
	if len(b) < n+maskLen {
		return h, 0, FrameEvent{}
	}
	h.length, h.key = int(length), binary.LittleEndian.Uint32(b[n:])
	return h, n + maskLen, FrameEvent{}
}

// checkFirst says what is wrong with the first byte of a header.
func (r *FrameReader) checkFirst(h clientHeader) string {
	inMessage := r.partial != nil && r.partial.opcode != 0
	begins := h.opcode() == opText || h.opcode() == opBinary
	switch {
	case h.first&rsv23 != 0, h.compressed() && (!r.deflate || !begins):
		return "a reserved bit is set"
	case h.control() && h.opcode() > opPong, !h.control() && h.opcode() > opBinary:
		return "the opcode is reserved"
	case h.control() && !h.fin():
		return "a control frame is fragmented"
	case h.opcode() == opContinuation && !inMessage:
		return "a continuation frame continues nothing"
	case begins && inMessage:
		return "a message begins before the last one has ended"
	}
	return ""
}

// checkSecond says what is wrong with the second byte of a header.
func checkSecond(h clientHeader, second byte) string {
	switch {
	case second&maskBit == 0:
		return "a frame is not masked"
	case h.control() && second&lenBits > maxControl:
		return "a control frame is longer than 125 bytes"
	}
	return ""
}

// room returns how many more bytes the message may have.
func (r *FrameReader) room(h clientHeader) int {
	if h.opcode() != opContinuation {
		return r.bound(h.compressed())
	}
	return r.bound(r.partial.compressed) - len(r.partial.message)
}

// bound returns how many bytes of a message are buffered at most: what a message
// of the limit takes when it does not compress and the client does not care.
func (r *FrameReader) bound(compressed bool) int {
	if !compressed {
		return r.limit
	}
	return r.limit + r.limit/8 + r.limit/64 + 64
}

// whole returns the event of a frame that is there whole, and stands alone.
func (r *FrameReader) whole(h clientHeader, payload []byte) FrameEvent {
	if h.control() {
		return r.control(h.opcode(), payload)
	}
	if h.opcode() == opText && !h.compressed() && !utf8.Valid(payload) {
		return r.fail(notText())
	}
	return message(h.opcode(), h.compressed(), payload)
}

func message(opcode byte, compressed bool, data []byte) FrameEvent {
	kind := FrameBinary
	if opcode == opText {
		kind = FrameText
	}
	return FrameEvent{Kind: kind, Compressed: compressed, Data: data}
}

// control returns the event of a control frame.
func (r *FrameReader) control(opcode byte, payload []byte) FrameEvent {
	switch opcode {
	case opPing:
		return FrameEvent{Kind: FramePing, Data: payload}
	case opPong:
		return FrameEvent{Kind: FramePong, Data: payload}
	}
	ev := closeEvent(payload)
	if ev.Kind == FrameFault {
		return r.fail(ev)
	}
	r.end()
	return ev
}

func closeEvent(payload []byte) FrameEvent {
	if len(payload) == 0 {
		return FrameEvent{Kind: FrameClose}
	}
	if len(payload) == 1 {
		return protocolError("a close frame has half a code")
	}
	code, reason := Code(binary.BigEndian.Uint16(payload)), payload[2:]
	switch {
	case !IsCloseCode(code):
		return protocolError("a close frame has an invalid code")
	case !utf8.Valid(reason):
		return FrameEvent{Kind: FrameFault, Code: CodeInvalidPayload, Reason: "the reason in a close frame is not UTF-8"}
	}
	return FrameEvent{Kind: FrameClose, Code: code, Data: reason}
}

// IsCloseCode says whether a close frame may carry the code: RFC 6455, 7.4, and
// what has been registered since.
func IsCloseCode(code Code) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return true
	}
	return false
}

// fail ends the reader with a fault.
func (r *FrameReader) fail(fault FrameEvent) FrameEvent {
	r.end()
	return fault
}

func (r *FrameReader) end() { r.ended, r.partial = true, nil }

func protocolError(why string) FrameEvent {
	return FrameEvent{Kind: FrameFault, Code: CodeProtocolError, Reason: why}
}

func notText() FrameEvent {
	return FrameEvent{Kind: FrameFault, Code: CodeInvalidPayload, Reason: "the text is not UTF-8"}
}

func tooBig() FrameEvent {
	return FrameEvent{Kind: FrameFault, Code: CodeTooBig, Reason: "the message is too big"}
}
