package account

import (
	"bytes"
	"fmt"
)

// Mark is what an event's data begins with: it tells what the event is, whoever
// receives it, without a look into any table.
type Mark struct {
	ID       uint32 // of the publication, in the order in which their requests began
	Channel  uint32 // number of the channel
	Seq      uint32 // of the publication among those of its channel
	Intended int64  // when it was to be sent, by Clock
}

// MinSize is the least number of bytes that an event's data may have: the mark
// must fit.
const MinSize = 64

// markLen is the length of a mark behind the run's tag: four numbers in
// hexadecimal digits.
const markLen = 8 + 8 + 8 + 16

const hexDigits = "0123456789abcdef"

// Tag is what the marks of one run begin with. It has no character that JSON or
// a base64 alphabet would change.
type Tag []byte

// NewTag makes the tag of a run.
func NewTag(run uint32) Tag { return fmt.Appendf(nil, "lt-%08x-", run) }

// AppendData appends an event's data of size bytes: tag, mark and padding, all of
// them plain ASCII.
func (t Tag) AppendData(dst []byte, m Mark, size int) []byte {
	end := len(dst) + max(size, MinSize)
	dst = append(dst, t...)
	dst = appendHex(dst, uint64(m.ID), 8)
	dst = appendHex(dst, uint64(m.Channel), 8)
	dst = appendHex(dst, uint64(m.Seq), 8)
	dst = appendHex(dst, uint64(m.Intended), 16)
	for i := 0; len(dst) < end; i++ {
		dst = append(dst, hexDigits[i%16])
	}
	return dst
}

// Find looks for a mark in the bytes of a message.
func (t Tag) Find(message []byte) (Mark, bool) {
	at := bytes.Index(message, t)
	if at < 0 {
		return Mark{}, false
	}
	digits := message[at+len(t):]
	if len(digits) < markLen {
		return Mark{}, false
	}
	id, ok1 := parseHex(digits[:8])
	channel, ok2 := parseHex(digits[8:16])
	seq, ok3 := parseHex(digits[16:24])
	intended, ok4 := parseHex(digits[24:40])
	m := Mark{ID: uint32(id), Channel: uint32(channel), Seq: uint32(seq), Intended: int64(intended)}
	return m, ok1 && ok2 && ok3 && ok4
}

func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[v>>shift&15])
	}
	return dst
}

func parseHex(digits []byte) (v uint64, ok bool) {
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
