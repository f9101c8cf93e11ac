package transport

import (
	"bytes"
	"testing"
)

func TestWholeFrame(t *testing.T) {
	mask := "\x01\x02\x03\x04"
	for name, test := range map[string]struct {
		bytes string
		size  int // 0: not whole
		quiet bool
	}{
		"nothing":                {"", 0, false},
		"one byte":               {"\x81", 0, false},
		"empty text":             {"\x81\x80" + mask, 6, false},
		"half a mask":            {"\x81\x80\x01\x02", 0, false},
		"text and more":          {"\x81\x82" + mask + "abcd", 8, false},
		"half a text":            {"\x81\x82" + mask + "a", 0, false},
		"unmasked text":          {"\x81\x02ab", 4, false},
		"half a length":          {"\x81\xfe\x00", 0, false},
		"two bytes of length":    {"\x81\xfe\x00\x02" + mask + "ab", 10, false},
		"eight":                  {"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x02" + mask + "ab", 16, false},
		"half of eight":          {"\x81\xff\x00\x00\x00\x00\x00\x00\x00", 0, false},
		"more than there can be": {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" + mask + "ab", 0, false},
		"ping":                   {"\x89\x81" + mask + "a", 7, true},
		"pong":                   {"\x8a\x80" + mask, 6, true},
		"unmasked ping":          {"\x89\x00", 2, false},
		"fragment of a ping":     {"\x09\x80" + mask, 6, false},
		"ping with a bit":        {"\xc9\x80" + mask, 6, false},
		"close":                  {"\x88\x80" + mask, 6, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, whole := wholeFrame([]byte(test.bytes))
			if whole != (test.size > 0) || f.size != test.size {
				t.Fatalf("size %d, %t, want %d", f.size, whole, test.size)
			}
			if whole && f.quiet() != test.quiet {
				t.Errorf("quiet %t, want %t", f.quiet(), test.quiet)
			}
		})
	}
}

func TestMayBeQuiet(t *testing.T) {
	for bytes, want := range map[string]bool{
		"\x89":         true,
		"\x8a\x80":     true,
		"\x89\xfd\x01": true,
		"\x89\xfe":     false, // too long
		"\x89\x01":     false, // not masked
		"\x81":         false,
		"\x88\x80":     false,
		"\x09\x80":     false,
	} {
		if got := mayBeQuiet([]byte(bytes)); got != want {
			t.Errorf("%x: %t, want %t", bytes, got, want)
		}
	}
}

// FuzzWholeFrame holds what is found against its own bounds, and unmasking
// against its definition.
func FuzzWholeFrame(f *testing.F) {
	f.Add([]byte("\x81\x82\x01\x02\x03\x04abcd"))
	f.Add([]byte("\x82\xfe\x00\x02\x01\x02\x03\x04abcd"))
	f.Add([]byte("\x89\xff\x00\x00\x00\x00\x00\x00\x00\x0b\x01\x02\x03\x04abcdefghijk"))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, whole := wholeFrame(b)
		if !whole {
			return
		}
		if found.head < 2 || found.head > found.size || found.size > len(b) {
			t.Fatalf("%+v in %d bytes", found, len(b))
		}
		if _, whole := wholeFrame(b[:found.size-1]); whole {
			t.Fatal("whole without its last byte")
		}
		if !found.masked {
			return
		}
		want := bytes.Clone(b[found.head:found.size])
		for i := range want {
			want[i] ^= b[found.head-maskSize+i%maskSize]
		}
		if got := found.unmask(b); !bytes.Equal(got, want) {
			t.Fatalf("unmasked %x, want %x", got, want)
		}
	})
}
