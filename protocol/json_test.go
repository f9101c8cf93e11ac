package protocol

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestScannerValue(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, text string
		want       error
	}{
		{"object", `{"a":{"b":[1,2,{}]},"c":[]}`, nil},
		{"white space everywhere", " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } ", nil},
		{"true", `true`, nil},
		{"false", `false`, nil},
		{"null", `null`, nil},
		{"numbers", `[0,-0,10,-1.5,1e9,1E+9,1.25e-3]`, nil},
		{"strings", `["","a","\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00","é","long enough for words \\ and more"]`, nil},
		{"deepest arrays", nested(MaxDepth), nil},
		{"deepest objects", strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth), nil},

		{"one level too deep", nested(MaxDepth + 1), errDeep},
		{"far too deep", strings.Repeat("[", 100_000), errDeep},
		{"objects too deep", strings.Repeat(`{"a":`, 100_000), errDeep},

		{"nothing", ``, errSyntax},
		{"white space alone", ` `, errSyntax},
		{"two values", `1 2`, errSyntax},
		{"open object", `{`, errSyntax},
		{"open array", `[`, errSyntax},
		{"closed by the other", `[}`, errSyntax},
		{"object closed by a bracket", `{"a":1]`, errSyntax},
		{"array closed by a brace", `[1}`, errSyntax},
		{"close alone", `]`, errSyntax},
		{"no colon", `{"a" 1}`, errSyntax},
		{"no value", `{"a":}`, errSyntax},
		{"no comma", `[1 2]`, errSyntax},
		{"trailing comma in array", `[1,]`, errSyntax},
		{"trailing comma in object", `{"a":1,}`, errSyntax},
		{"leading comma", `[,1]`, errSyntax},
		{"name without quotes", `{a:1}`, errSyntax},
		{"name is a number", `{1:1}`, errSyntax},
		{"single quotes", `'a'`, errSyntax},
		{"open string", `"a`, errSyntax},
		{"open string after an escape", `"a\"`, errSyntax},
		{"control character", "\"a\x1f\"", errSyntax},
		{"control character in a word", "\"abcdefgh\x01bcdefgh\"", errSyntax},
		{"unknown escape", `"\x"`, errSyntax},
		{"escape cut short", `"\`, errSyntax},
		{"short hexadecimal", `"\u12"`, errSyntax},
		{"no hexadecimal", `"\u12g4"`, errSyntax},
		{"leading zero", `01`, errSyntax},
		{"plus", `+1`, errSyntax},
		{"minus alone", `-`, errSyntax},
		{"no digits before the point", `.5`, errSyntax},
		{"no digits after the point", `1.`, errSyntax},
		{"no digits after e", `1e`, errSyntax},
		{"no digits after e+", `1e+`, errSyntax},
		{"NaN", `NaN`, errSyntax},
		{"upper case", `True`, errSyntax},
		{"word cut short", `tru`, errSyntax},
		{"word too long", `nullx`, errSyntax},
		{"byte order mark", "\ufeff1", errSyntax},
		{"NUL", "\x00", errSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := scanner{text: []byte(tt.text)}
			value := s.value()
			if err := s.end(); err != tt.want {
				t.Fatalf("error: got %v, want %v", err, tt.want)
			}
			if want := strings.Trim(tt.text, " \t\r\n"); tt.want == nil && string(value) != want {
				t.Errorf("value: got %s, want %s", value, want)
			}
		})
	}
}

func TestUnquote(t *testing.T) {
	tests := []struct {
		name, token, want string
	}{
		{"empty", `""`, ""},
		{"plain", `"abc"`, "abc"},
		{"escapes", `"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		{"hexadecimal", `"\u0041\u00e9\u20AC\u20ac"`, "Aé€€"},
		{"NUL", `"\u0000"`, "\x00"},
		{"surrogate pair", `"\uD83D\uDE00"`, "😀"},
		{"high surrogate alone", `"\ud83d"`, "\uFFFD"},
		{"low surrogate alone", `"\ude00"`, "\uFFFD"},
		{"surrogates the wrong way round", `"\ude00\ud83d"`, "\uFFFD\uFFFD"},
		{"two high surrogates and a low one", `"\ud83d\ud83d\ude00"`, "\uFFFD😀"},
		{"high surrogate before text", `"\ud83dabcdef"`, "\uFFFDabcdef"},
		{"high surrogate before another escape", `"\ud83d\n"`, "\uFFFD\n"},
		{"between text", `"before \n after"`, "before \n after"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := []byte(tt.token)
			got, err := Unquote(token)
			if err != nil || string(got) != tt.want {
				t.Errorf("Unquote(%s): got %q, %v, want %q", tt.token, got, err, tt.want)
			}
			if string(token) != tt.token {
				t.Errorf("Unquote overwrote %s with %s", tt.token, token)
			}
			if got := unquotedLen(token); got != len(tt.want) {
				t.Errorf("unquotedLen(%s): got %d, want %d", tt.token, got, len(tt.want))
			}
			if got := unquoteInPlace(token); string(got) != tt.want {
				t.Errorf("unquoteInPlace(%s): got %q, want %q", tt.token, got, tt.want)
			}
		})
	}
}

func TestUnquoteRefuses(t *testing.T) {
	for _, token := range []string{``, `1`, `{}`, `"a`, `"a" 1`, `"a""b"`, "\"\xff\"", "\"\n\""} {
		if got, err := Unquote([]byte(token)); err == nil {
			t.Errorf("Unquote(%q): got %q, want an error", token, got)
		}
	}
}

func TestAppendQuoted(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"empty", "", `""`},
		{"plain", "abc", `"abc"`},
		{"escapes", "\"\\/\b\f\n\r\t", `"\"\\/\b\f\n\r\t"`},
		{"control characters", "\x00\x1f\x7f", "\"\\u0000\\u001f\x7f\""},
		{"HTML stays", "<a href='x'>&", `"<a href='x'>&"`},
		{"more than ASCII", "é€😀\u2028", "\"é€😀\u2028\""},
		{"no UTF-8", "a\xffb\xc3", "\"a\uFFFDb\uFFFD\""},
		{"surrogate as UTF-8", "\xed\xa0\x80", "\"\uFFFD\uFFFD\uFFFD\""},
		{"U+FFFD itself", "\uFFFD", "\"\uFFFD\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := appendQuoted(nil, tt.text); string(got) != tt.want {
				t.Errorf("appendQuoted(%q): got %s, want %s", tt.text, got, tt.want)
			}
			if got := quotedLen([]byte(tt.text)); got != len(tt.want) {
				t.Errorf("quotedLen(%q): got %d, want %d", tt.text, got, len(tt.want))
			}
		})
	}
}

// maxDepthOf counts how deep a valid JSON text nests.
func maxDepthOf(text []byte) int {
	deepest, depth := 0, 0
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// FuzzScanner compares with encoding/json: what is valid, the values of strings
// and members.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e-3,true,false,null,"x\u00e9\n"],"b":{}}`, `"\ud83d\ude00 \ud83d"`, `[[[[]]]]`,
		`{"a":1,"a":2}`, "\"\xff\"", `01`, `[1,]`, `{"a":"1234567890\\"}`, ` "a" `, `-`,
		strings.Repeat("[", 128) + strings.Repeat("]", 128), strings.Repeat("[", 129) + strings.Repeat("]", 129),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{text: text}
		value := s.value()
		err := s.end()
		if err == errDeep {
			return // said before the whole text is known
		}
		if got, want := err == nil, json.Valid(text); got != want {
			t.Fatalf("%q: valid %t (%v), want %t", text, got, err, want)
		}
		if err != nil {
			return
		}
		if depth := maxDepthOf(text); depth > MaxDepth {
			t.Fatalf("%q: nests %d deep and is valid", text, depth)
		}
		if !bytes.Equal(value, bytes.Trim(text, " \t\r\n")) {
			t.Fatalf("%q: value is %q", text, value)
		}
		if !utf8.Valid(text) {
			return // who uses the scanner has refused that before
		}
		switch value[0] {
		case '"':
			compareString(t, value)
		case '{':
			compareMembers(t, value)
		}
	})
}

func compareString(t *testing.T, token []byte) {
	t.Helper()
	var want string
	if err := json.Unmarshal(token, &want); err != nil {
		t.Fatal(err)
	}
	if got, err := Unquote(token); err != nil || string(got) != want {
		t.Fatalf("%q: got %q, %v, want %q", token, got, err, want)
	}
	if got := unquotedLen(token); got != len(want) {
		t.Fatalf("%q: length is %d, want %d", token, got, len(want))
	}
	if got := unquoteInPlace(bytes.Clone(token)); string(got) != want {
		t.Fatalf("%q: got %q in place, want %q", token, got, want)
	}
}

func compareMembers(t *testing.T, object []byte) {
	t.Helper()
	var want map[string]json.RawMessage
	if err := json.Unmarshal(object, &want); err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	s := scanner{text: object}
	s.enter('{')
	for name, ok := s.member(true); ok; name, ok = s.member(false) {
		got[string(unquoted(name))] = s.value()
	}
	if err := s.end(); err != nil {
		t.Fatalf("%q: member by member: %v", object, err)
	}
	if len(got) != len(want) {
		t.Fatalf("%q: %d members, want %d", object, len(got), len(want))
	}
	for name, value := range want {
		if !bytes.Equal(got[name], value) {
			t.Fatalf("%q: %q is %q, want %q", object, name, got[name], value)
		}
	}
}

// FuzzQuote requires that a quoted text is a JSON string of it, as long as
// promised.
func FuzzQuote(f *testing.F) {
	f.Add("plain")
	f.Add("\"\\\x00\x1f\n é😀 \xff")
	f.Fuzz(func(t *testing.T, text string) {
		token := appendQuoted(nil, text)
		if got := quotedLen(text); got != len(token) {
			t.Errorf("quotedLen(%q): got %d, want %d", text, got, len(token))
		}
		var got string
		if err := json.Unmarshal(token, &got); err != nil {
			t.Fatalf("%q becomes %q: %v", text, token, err)
		}
		if want := string([]rune(text)); got != want {
			t.Errorf("%q becomes %q, which is %q, want %q", text, token, got, want)
		}
	})
}
