package protocol

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextFrame(t *testing.T) {
	tests := []struct {
		name   string
		size   int
		header []byte
	}{
		{"empty", 0, []byte{0x81, 0}},
		{"longest short form", 125, []byte{0x81, 125}},
		{"shortest 16-bit form", 126, []byte{0x81, 126, 0, 126}},
		{"longest 16-bit form", 65535, []byte{0x81, 126, 0xff, 0xff}},
		{"shortest 64-bit form", 65536, []byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload := bytes.Repeat([]byte("a"), tt.size)
			frame := AppendTextFrame([]byte("x"), payload)[1:]
			if !bytes.HasPrefix(frame, tt.header) || len(frame) != len(tt.header)+tt.size {
				t.Errorf("got % x… of %d bytes, want header % x", frame[:min(10, len(frame))], len(frame), tt.header)
			}
			if got := PayloadOf(frame); !bytes.Equal(got, payload) {
				t.Errorf("PayloadOf: got %d bytes, want %d", len(got), tt.size)
			}
		})
	}
}

func TestCloseFrame(t *testing.T) {
	tests := []struct {
		name   string
		code   Code
		reason string
		want   string // reason
	}{
		{"short", CodePongMissing, "Pong reply not received", "Pong reply not received"},
		{"no reason", CodeReconnect, "", ""},
		{"as long as possible", CodeReconnect, strings.Repeat("a", 123), strings.Repeat("a", 123)},
		{"too long", CodeReconnect, strings.Repeat("a", 124), strings.Repeat("a", 123)},
		{"too long, within a character", CodeReconnect, "a" + strings.Repeat("é", 100), "a" + strings.Repeat("é", 61)},
		{"no UTF-8", CodeUnknownKey, "key \xff", "key \uFFFD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := AppendCloseFrame(nil, tt.code, tt.reason)
			if frame[0] != 0x88 || int(frame[1]) != len(frame)-2 || frame[1] > 125 {
				t.Fatalf("frame: got % x", frame)
			}
			if code := Code(binary.BigEndian.Uint16(frame[2:])); code != tt.code {
				t.Errorf("code: got %d, want %d", code, tt.code)
			}
			if got := string(frame[4:]); got != tt.want || !utf8.ValidString(got) {
				t.Errorf("reason: got %q, want %q", got, tt.want)
			}
		})
	}
	if got := AppendCloseFrame(nil, NoCode, "why"); !bytes.Equal(got, []byte{0x88, 0}) {
		t.Errorf("without a code: got % x, want 88 00", got)
	}
}

func TestPingFrame(t *testing.T) {
	if got := PingFrame(); !bytes.Equal(got, []byte{0x89, 0}) {
		t.Errorf("got % x, want 89 00", got)
	}
}

func TestPongFrame(t *testing.T) {
	if got := AppendPongFrame([]byte("x"), nil); !bytes.Equal(got, []byte{'x', 0x8a, 0}) {
		t.Errorf("empty: got % x, want 78 8a 00", got)
	}
	longest := bytes.Repeat([]byte("p"), 125)
	if got := AppendPongFrame(nil, longest); !bytes.Equal(got, append([]byte{0x8a, 125}, longest...)) {
		t.Errorf("longest: got % x", got)
	}
}

func TestPayloadOfNoFrame(t *testing.T) {
	tests := []struct {
		name  string
		frame []byte
	}{
		{"empty", nil},
		{"one byte", []byte{0x81}},
		{"payload too short", []byte{0x81, 2, 'a'}},
		{"payload too long", []byte{0x81, 1, 'a', 'b'}},
		{"header cut short", []byte{0x81, 126, 1}},
		{"long header cut short", []byte{0x81, 127, 0, 0, 0, 0, 0, 0, 1}},
		{"length without end", []byte{0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a'}},
		{"masked", []byte{0x81, 0x81, 1, 2, 3, 4, 'a'}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := PayloadOf(tt.frame); got != nil {
				t.Errorf("PayloadOf(% x): got %q, want nil", tt.frame, got)
			}
		})
	}
}

func FuzzPayloadOf(f *testing.F) {
	f.Add([]byte{0x81, 1, 'a'})
	f.Add(EventFrame("a", "b", nil, ""))
	f.Add(AppendTextFrame(nil, make([]byte, 70_000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		PayloadOf(b)
		if got := PayloadOf(AppendTextFrame(nil, b)); !bytes.Equal(got, b) {
			t.Errorf("got %q, want %q", got, b)
		}
	})
}
