package protocol

import "encoding/binary"

// Opcodes of RFC 6455. Those from opClose on are control frames.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// Bits of the first two bytes of a header.
const (
	finBit  = 0x80
	rsv1    = 0x40
	rsv23   = 0x30
	opBits  = 0x0f
	maskBit = 0x80
	lenBits = 0x7f
)

const (
	maxHeader  = 14  // two bytes, eight of length, four of mask
	maxControl = 125 // the longest payload of a control frame
	maskLen    = 4
)

// clientHeader is the header of a client's frame.
type clientHeader struct {
	first  byte   // FIN, the reserved bits and the opcode
	key    uint32 // of the mask, little endian
	length int    // of the payload, in bytes
}

func (h clientHeader) opcode() byte     { return h.first & opBits }
func (h clientHeader) fin() bool        { return h.first&finBit != 0 }
func (h clientHeader) control() bool    { return h.opcode() >= opClose }
func (h clientHeader) compressed() bool { return h.first&rsv1 != 0 }

// lengthEnd returns where the length ends in a header whose second byte is b.
func lengthEnd(b byte) int {
	switch b & lenBits {
	case len16:
		return 4
	case len64:
		return 10
	}
	return 2
}

// payloadLength reads the length of a header that has it whole. A length that
// needs fewer bytes than it takes is accepted.
func payloadLength(b []byte) uint64 {
	switch b[1] & lenBits {
	case len16:
		return uint64(binary.BigEndian.Uint16(b[2:]))
	case len64:
		return binary.BigEndian.Uint64(b[2:])
	}
	return uint64(b[1] & lenBits)
}

// unmask unmasks b in place, eight bytes at a time. It returns the key for the
// bytes that follow b in the same frame.
func unmask(b []byte, key uint32) uint32 {
	for wide := uint64(key)<<32 | uint64(key); len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
	}
	for i := range b {
		b[i] ^= byte(key)
		key = key>>8 | key<<24
	}
	return key
}
