package protocol

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// endOfString returns the position after the string whose first character is at
// pos, -1 if it is none.
func endOfString(text []byte, pos int) int {
	for {
		pos = plainUntil(text, pos)
		if pos >= len(text) || text[pos] < ' ' {
			return -1
		}
		if text[pos] == '"' {
			return pos + 1
		}
		n := escapeLen(text[pos:])
		if n == 0 {
			return -1
		}
		pos += n
	}
}

// plainUntil returns the position of the first byte from pos on that is a quote,
// a backslash or a control character. It looks at eight bytes at a time, which
// makes a trigger of 10 KB twice as fast to decode.
func plainUntil(text []byte, pos int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for len(text)-pos >= 8 {
		word := binary.LittleEndian.Uint64(text[pos:])
		quote, slash := word^'"'*ones, word^'\\'*ones
		// Each term has the high bit set in the bytes that it looks for (and
		// perhaps in bytes above such a byte: the exact place is found below).
		if ((quote-ones)&^quote|(slash-ones)&^slash|(word-' '*ones)&^word)&highs != 0 {
			break
		}
		pos += 8
	}
	for pos < len(text) && text[pos] >= ' ' && text[pos] != '"' && text[pos] != '\\' {
		pos++
	}
	return pos
}

// escapeLen returns the length of the escape sequence at the beginning of text,
// 0 if it is none.
func escapeLen(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(text); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads \uXXXX.
func hex4(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unescaped reads the escape sequence at the beginning of text: the character it
// stands for, and its length. Half a surrogate pair is U+FFFD.
func unescaped(text []byte) (r rune, n int) {
	switch text[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, _ = hex4(text)
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		low, _ := hex4(text[6:])
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return r, 6
		}
		return r, 12
	}
	return rune(text[1]), 2
}

// appendUnescaped appends what stands between the quotes of a string, its
// escapes undone. That is never longer, so dst may begin where s does.
func appendUnescaped(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		r, n := unescaped(s[i:])
		dst = utf8.AppendRune(dst, r)
		s = s[i+n:]
	}
}

// inner returns what stands between the quotes of a string token.
func inner(token []byte) []byte { return token[1 : len(token)-1] }

// unquoteInPlace returns the string that a token stands for, and overwrites the
// token if it holds escapes.
func unquoteInPlace(token []byte) []byte {
	s := inner(token)
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	return appendUnescaped(s[:i], s[i:])
}

// unquoted returns the string that a token stands for. It shares the token's
// bytes if there is nothing to undo.
func unquoted(token []byte) []byte {
	s := inner(token)
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	return appendUnescaped(make([]byte, 0, len(s)), s)
}

// unquotedLen is the length of what a string token stands for, in bytes.
func unquotedLen(token []byte) int {
	s := inner(token)
	length := 0
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return length + len(s)
		}
		r, n := unescaped(s[i:])
		length += i + utf8.RuneLen(r)
		s = s[i+n:]
	}
}

// Unquote returns the string that a JSON string stands for. It may share the
// token's bytes, which it leaves as they are. The error says that the token is
// no JSON string.
func Unquote(token []byte) ([]byte, error) {
	if !utf8.Valid(token) {
		return nil, errUTF8
	}
	s := scanner{text: token}
	str := s.string()
	if err := s.end(); err != nil {
		return nil, err
	}
	return unquoted(str), nil
}

// quotedLen is the length of s as a JSON string, quotes included.
func quotedLen[T string | []byte](s T) int {
	n := len(s) + 2
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			n += int(escapeCost[c])
			i++
			continue
		}
		size := runeLen(s[i:])
		if size == 0 { // becomes U+FFFD, three bytes
			n += 2
			size = 1
		}
		i += size
	}
	return n
}

// escapeCost is by how many bytes an ASCII character grows in a JSON string.
var escapeCost = [utf8.RuneSelf]uint8{
	0: 5, 1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 7: 5, '\b': 1, '\t': 1, '\n': 1, 11: 5,
	'\f': 1, '\r': 1, 14: 5, 15: 5, 16: 5, 17: 5, 18: 5, 19: 5, 20: 5, 21: 5, 22: 5,
	23: 5, 24: 5, 25: 5, 26: 5, 27: 5, 28: 5, 29: 5, 30: 5, 31: 5, '"': 1, '\\': 1,
}

// runeLen is the length of the character at the beginning of s, 0 if it is no
// UTF-8.
func runeLen[T string | []byte](s T) int {
	var b [utf8.UTFMax]byte
	r, n := utf8.DecodeRune(b[:copy(b[:], s)])
	if r == utf8.RuneError && n == 1 {
		return 0
	}
	return n
}

// appendQuoted appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD; < > and & stay as they are.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if escapeCost[c] == 0 {
				i++
				continue
			}
			dst = appendEscape(append(dst, s[start:i]...), c)
			i++
			start = i
			continue
		}
		size := runeLen(s[i:])
		if size == 0 {
			dst = utf8.AppendRune(append(dst, s[start:i]...), utf8.RuneError)
			i++
			start = i
			continue
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
}
