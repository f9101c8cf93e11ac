package protocol

import "unicode/utf8"

// leastBuffer is the size of the first buffer of a message in pieces, in bytes.
const leastBuffer = 256

// partial is what a FrameReader keeps of frames and messages that are not there
// whole.
type partial struct {
	// The frame that has begun.
	begun    bool // bytes of its header have come
	headed   bool // its header is whole
	headSize uint8
	head     [maxHeader]byte
	frame    clientHeader // once headed; the key turns, the length shrinks
	payload  []byte       // of a control frame

	// The message, whose frames before this one have come.
	opcode     byte // 0 = no message
	compressed bool
	message    []byte
	valid      int // bytes at the front of a text that are known to be UTF-8
}

// piece takes what the input has of a frame that is not there whole, or is part
// of a message.
func (r *FrameReader) piece(in []byte) (FrameEvent, []byte) {
	p := r.partial
	p.begun = true
	if !p.headed {
		n, fault := r.takeHeader(in)
		if fault.Kind == FrameFault {
			return r.fail(fault), nil
		}
		if in = in[n:]; !p.headed {
			return FrameEvent{}, in
		}
	}
	n := min(len(in), p.frame.length)
	p.take(in[:n], r.bound(p.compressed))
	in = in[n:]
	if p.text() && !p.checkText() {
		return r.fail(notText()), nil
	}
	if p.frame.length > 0 {
		return FrameEvent{}, in
	}
	return r.endFrame(), in
}

// takeHeader takes up to n bytes of the input, as those of the header.
func (r *FrameReader) takeHeader(in []byte) (n int, fault FrameEvent) {
	p := r.partial
	had := int(p.headSize)
	n = copy(p.head[had:], in)
	h, size, fault := r.header(p.head[:had+n])
	if fault.Kind == FrameFault {
		return 0, fault
	}
	if size == 0 {
		p.headSize += uint8(n)
		return n, fault
	}
	p.headed, p.frame = true, h
	if !h.control() && h.opcode() != opContinuation {
		p.opcode, p.compressed = h.opcode(), h.compressed()
	}
	return size - had, fault
}

// take copies a piece of the frame's payload, and unmasks the copy.
func (p *partial) take(piece []byte, bound int) {
	to, most := &p.message, bound
	if p.frame.control() {
		to, most = &p.payload, p.frame.length+len(p.payload)
	} else if p.frame.fin() {
		most = p.frame.length + len(p.message)
	}
	had := len(*to)
	*to = append(grow(*to, len(piece), most), piece...)
	p.frame.key = unmask((*to)[had:], p.frame.key)
	p.frame.length -= len(piece)
}

// grow makes room for n more bytes, and for as many again as there are, but not
// for more than most in all.
func grow(b []byte, n, most int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	grown := make([]byte, len(b), max(need, min(max(2*cap(b), leastBuffer), most)))
	copy(grown, b)
	return grown
}

// text says whether the frame is part of a text that can be checked.
func (p *partial) text() bool {
	return !p.frame.control() && p.opcode == opText && !p.compressed
}

// checkText checks what has come of a text since the last time. A character may
// be cut unless the message has ended.
func (p *partial) checkText() bool {
	fresh := p.message[p.valid:]
	whole := len(fresh) - cutCharacter(fresh)
	p.valid += whole
	ended := p.frame.fin() && p.frame.length == 0
	return utf8.Valid(fresh[:whole]) && (!ended || whole == len(fresh))
}

// cutCharacter returns how many bytes at the end of b begin a character that may
// be valid once the rest has come.
func cutCharacter(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if end := b[len(b)-n:]; utf8.RuneStart(end[0]) {
			if utf8.FullRune(end) {
				return 0
			}
			return n
		}
	}
	return 0
}

// endFrame returns the event of the frame whose last byte has come.
func (r *FrameReader) endFrame() FrameEvent {
	p := r.partial
	frame := p.frame
	p.begun, p.headed, p.headSize = false, false, 0
	switch {
	case frame.control():
		payload := p.payload
		p.payload = nil
		if p.opcode == 0 {
			r.partial = nil
		}
		return r.control(frame.opcode(), payload)
	case frame.fin():
		r.partial = nil
		return message(p.opcode, p.compressed, p.message)
	}
	return FrameEvent{}
}
