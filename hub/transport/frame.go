package transport

import "encoding/binary"

// Opcodes of WebSocket frames.
const (
	opText  = 1
	opClose = 8 // this and above: control frames
	opPing  = 9
	opPong  = 10
)

// maxControlPayload is the most a control frame may carry, in bytes.
const maxControlPayload = 125

// maskSize is the length of the key behind a client's frame header, in bytes.
const maskSize = 4

// frame is a client's frame as its header describes it.
type frame struct {
	first  byte // the bits, and the opcode
	masked bool
	head   int // length of the header, with the mask
	size   int // length of the whole
}

// wholeFrame returns the frame at the front of b, unless it goes on past b.
func wholeFrame(b []byte) (frame, bool) {
	if len(b) < 2 {
		return frame{}, false
	}
	f := frame{first: b[0], masked: b[1]&0x80 != 0, head: 2}
	length := uint64(b[1] & 0x7f)
	switch {
	case length == 126 && len(b) >= 4:
		length, f.head = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case length == 127 && len(b) >= 10:
		length, f.head = binary.BigEndian.Uint64(b[2:]), 10
	case length > maxControlPayload:
		return frame{}, false
	}
	if f.masked {
		f.head += maskSize
	}
	if f.head > len(b) || length > uint64(len(b)-f.head) {
		return frame{}, false
	}
	f.size = f.head + int(length)
	return f, true
}

func (f frame) opcode() byte { return f.first & 0xf }

func (f frame) fin() bool { return f.first&0x80 != 0 }

// quiet says that the frame is a sound ping or pong.
func (f frame) quiet() bool {
	return (f.first == 0x80|opPing || f.first == 0x80|opPong) && f.masked && f.size-f.head <= maxControlPayload
}

// text says that the frame is a sound message of text.
func (f frame) text() bool { return f.first == 0x80|opText && f.masked }

// mayBeQuiet says whether the beginning of a frame is that of a sound ping or pong.
func mayBeQuiet(b []byte) bool {
	return (b[0] == 0x80|opPing || b[0] == 0x80|opPong) &&
		(len(b) < 2 || b[1]&0x80 != 0 && b[1]&0x7f <= maxControlPayload)
}

// unmask returns the payload of the frame at the front of b, unmasked in place,
// eight bytes at a time.
func (f frame) unmask(b []byte) []byte {
	key := binary.LittleEndian.Uint32(b[f.head-maskSize:])
	payload := b[f.head:f.size]
	rest := payload
	for wide := uint64(key)<<32 | uint64(key); len(rest) >= 8; rest = rest[8:] {
		binary.LittleEndian.PutUint64(rest, binary.LittleEndian.Uint64(rest)^wide)
	}
	for i := range rest {
		rest[i] ^= byte(key >> (8 * (i % maskSize)))
	}
	return payload
}

// pongFrame is the answer to a ping.
func pongFrame(payload []byte) []byte {
	return append([]byte{0x80 | opPong, byte(len(payload))}, payload...)
}
