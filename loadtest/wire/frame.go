package wire

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
)

// Opcode is what a frame is.
type Opcode byte

// Opcodes of RFC 6455.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Frame is a frame of a server.
type Frame struct {
	Opcode  Opcode
	Final   bool
	Payload []byte // shares the bytes that it was read from
}

// maxFrame bounds what a server may announce.
const maxFrame = 64 << 20

// ErrFrame is told for bytes that no server may send.
var ErrFrame = errors.New("the server sent a malformed WebSocket frame")

// Next reads the first frame of some bytes, and tells how many it took: 0 when
// the frame is not whole yet.
func Next(from []byte) (f Frame, size int, err error) {
	if len(from) < 2 {
		return Frame{}, 0, nil
	}
	header, n := 2, uint64(from[1])
	switch {
	case n < 126:
	case n == 126:
		if len(from) < 4 {
			return Frame{}, 0, nil
		}
		header, n = 4, uint64(binary.BigEndian.Uint16(from[2:]))
	case n == 127:
		if len(from) < 10 {
			return Frame{}, 0, nil
		}
		header, n = 10, binary.BigEndian.Uint64(from[2:])
	default: // masked
		return Frame{}, 0, ErrFrame
	}
	if from[0]&0x70 != 0 || n > maxFrame { // compressed, which was not asked for
		return Frame{}, 0, ErrFrame
	}
	if uint64(len(from)-header) < n {
		return Frame{}, 0, nil
	}
	size = header + int(n)
	return Frame{Opcode(from[0] & 0xF), from[0]&0x80 != 0, from[header:size]}, size, nil
}

// Parse reads a whole frame of a client, as Append makes them.
func Parse(frame []byte) (op Opcode, payload []byte, err error) {
	if len(frame) < 2 || frame[1]&0x80 == 0 {
		return 0, nil, ErrFrame
	}
	header := 2
	switch frame[1] & 0x7f {
	case 126:
		header = 4
	case 127:
		header = 10
	}
	if len(frame) < header+4 {
		return 0, nil, ErrFrame
	}
	mask, masked := frame[header:header+4], frame[header+4:]
	payload = make([]byte, len(masked))
	for i, c := range masked {
		payload[i] = c ^ mask[i&3]
	}
	return Opcode(frame[0] & 0xF), payload, nil
}

// CloseCode reads the payload of a close frame; 1005 stands for none.
func CloseCode(payload []byte) (code int, reason string) {
	if len(payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(payload)), string(payload[2:])
}

// Append appends a frame of a client: final and masked.
func Append(dst []byte, op Opcode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	var mask [4]byte
	binary.NativeEndian.PutUint32(mask[:], rand.Uint32()) //nolint:gosec // it protects proxies, not secrets
	dst = append(dst, mask[:]...)
	for i, c := range payload {
		dst = append(dst, c^mask[i&3])
	}
	return dst
}
