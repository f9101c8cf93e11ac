package wire

import (
	"bytes"
	"testing"

	"channels/protocol"
)

func TestNext(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 125, 126, 65_535, 65_536} {
		payload := bytes.Repeat([]byte("x"), size)
		whole := append(protocol.AppendTextFrame(nil, payload), "next"...)
		f, n, err := Next(whole)
		if err != nil || n != len(whole)-4 || f.Opcode != Text || !f.Final || !bytes.Equal(f.Payload, payload) {
			t.Errorf("size %d: opcode %d final %v, %d bytes taken, payload of %d, error %v", size, f.Opcode, f.Final, n, len(f.Payload), err)
		}
		for _, cut := range []int{0, 1, n - 1} {
			if _, n, err := Next(whole[:cut]); n != 0 || err != nil {
				t.Errorf("size %d: the first %d bytes made a frame of %d, error %v", size, cut, n, err)
			}
		}
	}
}

func TestNextRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		from []byte
	}{
		{"a masked frame", []byte{0x81, 0x80, 1, 2, 3, 4}},
		{"a compressed frame", []byte{0xC1, 0x01, 'x'}},
		{"a frame of exabytes", []byte{0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	}
	for _, tt := range tests {
		if f, n, err := Next(tt.from); err == nil {
			t.Errorf("%s was read: %+v, %d bytes", tt.name, f, n)
		}
	}
}

// TestAppend reads a client's frames as a server would.
func TestAppend(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 125, 126, 65_535, 65_536} {
		payload := bytes.Repeat([]byte("y"), size)
		frame := Append(nil, Text, payload)
		if frame[1]&0x80 == 0 {
			t.Errorf("size %d: the frame is not masked", size)
		}
		frame[1] &^= 0x80
		header := len(frame) - size - 4
		mask := frame[header : header+4]
		for i := range size {
			frame[header+4+i] ^= mask[i&3]
		}
		bare := append(bytes.Clone(frame[:header]), frame[header+4:]...)
		if f, n, err := Next(bare); err != nil || n != len(bare) || !bytes.Equal(f.Payload, payload) {
			t.Errorf("size %d: read %d bytes, payload of %d, error %v", size, n, len(f.Payload), err)
		}
	}
}

func TestCloseCode(t *testing.T) {
	t.Parallel()
	f, _, err := Next(protocol.AppendCloseFrame(nil, 4100, "over capacity"))
	if err != nil {
		t.Fatal(err)
	}
	if code, reason := CloseCode(f.Payload); code != 4100 || reason != "over capacity" {
		t.Errorf("got %d %q", code, reason)
	}
	if code, _ := CloseCode(nil); code != 1005 {
		t.Errorf("no code is %d, want 1005", code)
	}
}

func FuzzNext(f *testing.F) {
	f.Add(protocol.AppendTextFrame(nil, []byte("hello")))
	f.Add([]byte{0x89, 0x00})
	f.Add([]byte{0x01, 126, 0x00})
	f.Fuzz(func(t *testing.T, from []byte) {
		frame, n, err := Next(from)
		if n > len(from) || len(frame.Payload) > n || err != nil && n != 0 {
			t.Errorf("took %d of %d bytes, payload of %d, error %v", n, len(from), len(frame.Payload), err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(byte(Text), []byte("hello"))
	f.Fuzz(func(t *testing.T, op byte, text []byte) {
		got, payload, err := Parse(Append(nil, Opcode(op&0xf), text))
		if err != nil || got != Opcode(op&0xf) || !bytes.Equal(payload, text) {
			t.Errorf("got %d %q %v", got, payload, err)
		}
		_, _, _ = Parse(text) // whatever it is
	})
}
