package protocol

import (
	"encoding/binary"
	"strings"
)

// Frames of RFC 6455 as a server sends them: final and not masked.
const (
	finText  = 0x81
	finClose = 0x88
	finPing  = 0x89
	finPong  = 0x8a

	len16 = 126 // the length follows in two bytes
	len64 = 127 // the length follows in eight bytes
)

// maxReason is the longest reason of a close, in bytes: a control frame has
// 125, two of them for the code.
const maxReason = 123

// headerLen is the length of the header before a payload of n bytes.
func headerLen(n int) int {
	switch {
	case n < len16:
		return 2
	case n <= 0xffff:
		return 4
	}
	return 10
}

func appendTextHeader(dst []byte, n int) []byte {
	switch {
	case n < len16:
		return append(dst, finText, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, finText, len16), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, finText, len64), uint64(n))
}

// AppendTextFrame appends a text frame with the payload.
func AppendTextFrame(dst, payload []byte) []byte {
	return append(appendTextHeader(dst, len(payload)), payload...)
}

// AppendCloseFrame appends a close frame. The reason is cut to what fits. A
// frame with NoCode has no reason either.
func AppendCloseFrame(dst []byte, code Code, reason string) []byte {
	if code == NoCode {
		return append(dst, finClose, 0)
	}
	reason = cut(strings.ToValidUTF8(reason, "\uFFFD"), maxReason)
	dst = append(dst, finClose, byte(2+len(reason)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

var pingFrame = [...]byte{finPing, 0}

// PingFrame returns a ping frame. All callers share its bytes, which must not be
// changed.
func PingFrame() []byte { return pingFrame[:] }

// AppendPongFrame appends the answer to a ping with the payload, which is at most
// 125 bytes, as a FramePing's is.
func AppendPongFrame(dst, payload []byte) []byte {
	return append(append(dst, finPong, byte(len(payload))), payload...)
}

// PayloadOf returns the payload of a whole frame of a server, nil if it is none.
// It shares the frame's bytes.
func PayloadOf(frame []byte) []byte {
	if len(frame) < 2 {
		return nil
	}
	header, n := 2, uint64(frame[1])
	switch {
	case n == len16 && len(frame) >= 4:
		header, n = 4, uint64(binary.BigEndian.Uint16(frame[2:]))
	case n == len64 && len(frame) >= 10:
		header, n = 10, binary.BigEndian.Uint64(frame[2:])
	case n >= len16: // cut short, or masked
		return nil
	}
	if uint64(len(frame)-header) != n {
		return nil
	}
	return frame[header:]
}
