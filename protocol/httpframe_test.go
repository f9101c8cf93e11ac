package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func TestHTTPFrames(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{string(AppendHTTPMessage(nil, []byte(`{"event":"e","data":"a\nb"}`))), `a["{\"event\":\"e\",\"data\":\"a\\nb\"}"]` + "\n"},
		{string(AppendHTTPMessage(nil, []byte("line\nbreak"))), `a["line\nbreak"]` + "\n"},
		{string(AppendHTTPMessage(nil, []byte("😀\xff"))), "a[\"😀\uFFFD\"]\n"},
		{string(AppendHTTPClose(nil, CodeReconnect, `so "said"`)), `c[4200,"so \"said\""]` + "\n"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestUTF16Len(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "äöü": 3, "€": 1, "😀": 2, "a😀é": 4, "\xff": 1} {
		if got := UTF16Len([]byte(text)); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestDecodeHTTPMessages(t *testing.T) {
	for body, want := range map[string][]string{
		`[]`:                       {},
		" [ ] \n":                  {},
		`["{\"event\":\"e\"}"]`:    {`{"event":"e"}`},
		`["a", "", "\u00e4\\\"b"]`: {"a", "", `ä\"b`},
	} {
		got, err := DecodeHTTPMessages([]byte(body))
		if err != nil || !slices.EqualFunc(got, want, func(a []byte, b string) bool { return string(a) == b }) {
			t.Errorf("%s: got %q, %v, want %q", body, got, err, want)
		}
	}
	for body, want := range map[string]error{
		``: errNoArray, `{}`: errNoArray, `"a"`: errNoArray, `null`: errNoArray, `{"a":["b"]}`: errNoArray,
		`[1]`: errNoStrings, `[{"event":"e"}]`: errNoStrings, `["a",null]`: errNoStrings, `[["a"]]`: errNoStrings,
		`["a"`: errSyntax, `["a",]`: errNoStrings, `["a"]x`: errSyntax, `["a" "b"]`: errSyntax, `["\x"]`: errSyntax,
		"[\"\xff\"]": errUTF8,
	} {
		if got, err := DecodeHTTPMessages([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%q: got %q, %v, want %v", body, got, err, want)
		}
	}
}

// FuzzHTTPMessage requires that a client reads what was sent, on one line, and
// that lengths are counted as JavaScript counts them.
func FuzzHTTPMessage(f *testing.F) {
	f.Add([]byte(`{"event":"e"}`))
	f.Add([]byte("ä\u2028😀\x00\n"))
	f.Add([]byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, message []byte) {
		line := AppendHTTPMessage(nil, message)
		if line[0] != 'a' || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("not one line: %q", line)
		}
		var got []string
		want := string(bytes.ToValidUTF8(message, nil))
		if err := json.Unmarshal(line[1:], &got); err != nil || len(got) != 1 || utf8.Valid(message) && got[0] != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
		if n := len(utf16.Encode([]rune(string(line)))); UTF16Len(line) != n {
			t.Fatalf("UTF16Len(%q) = %d, want %d", line, UTF16Len(line), n)
		}
	})
}

// FuzzDecodeHTTPMessages compares with encoding/json.
func FuzzDecodeHTTPMessages(f *testing.F) {
	f.Add([]byte(`["{\"event\":\"e\"}","\ud83d\ude00"]`))
	f.Add([]byte(`[1]`))
	f.Add([]byte(`[]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var want []json.RawMessage
		ok := utf8.Valid(body) && json.Unmarshal(body, &want) == nil && want != nil
		for _, raw := range want {
			ok = ok && raw[0] == '"'
		}
		got, err := DecodeHTTPMessages(bytes.Clone(body))
		if ok != (err == nil) {
			t.Fatalf("%q: got %q, %v, encoding/json: %q", body, got, err, want)
		}
		for i := range got {
			var text string
			if err := json.Unmarshal(want[i], &text); err != nil || text != string(got[i]) {
				t.Fatalf("%q: got %q, want %q", body, got[i], text)
			}
		}
	})
}
