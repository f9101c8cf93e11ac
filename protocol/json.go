package protocol

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// Our own reader of JSON exists for the hot path: it reads a command without an
// allocation, hands out raw values byte for byte, and is not to be surprised by
// depth, since it does not recurse. It is strict (RFC 8259). UTF-8 is not its
// business: who owns the text checks it once, as a whole.

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 128

// jsonError is what is wrong with a JSON text.
type jsonError string

const (
	errSyntax jsonError = "malformed"
	errDeep   jsonError = "nested too deeply"
	errUTF8   jsonError = "not UTF-8"
)

func (e jsonError) Error() string { return string(e) }

// scanner walks over a JSON text. The first mistake it meets stays in err, and
// from then on it finds nothing more.
type scanner struct {
	text []byte
	pos  int
	open int // containers that pos is in
	err  error
}

func (s *scanner) fail(e jsonError) {
	if s.err == nil {
		s.err = e
	}
	s.pos = len(s.text)
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// accept passes over c if it comes next.
func (s *scanner) accept(c byte) bool {
	if s.peek() != c || s.pos >= len(s.text) {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) expect(c byte) {
	if !s.accept(c) {
		s.fail(errSyntax)
	}
}

// end requires that nothing follows, and returns the first mistake.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.text) {
		s.fail(errSyntax)
	}
	return s.err
}

// enter goes into an array or object, to be left by next.
func (s *scanner) enter(bracket byte) bool {
	if !s.accept(bracket) {
		return false
	}
	s.open++
	return true
}

// next tells whether another element follows in the container that was entered,
// and goes to it; else it leaves the container. The first call says first.
func (s *scanner) next(first bool, bracket byte) bool {
	if s.err != nil {
		return false
	}
	if s.accept(bracket) {
		s.open--
		return false
	}
	if !first {
		s.expect(',')
	}
	return s.err == nil
}

// member goes to the next member of an object and returns its name, a token.
// Its value is to be read by value.
func (s *scanner) member(first bool) (name []byte, ok bool) {
	if !s.next(first, '}') {
		return nil, false
	}
	name = s.string()
	s.expect(':')
	return name, s.err == nil
}

// string passes over a string and returns it with its quotes.
func (s *scanner) string() []byte {
	s.peek()
	start := s.pos
	if !s.accept('"') {
		s.fail(errSyntax)
		return nil
	}
	end := endOfString(s.text, s.pos)
	if end < 0 {
		s.fail(errSyntax)
		return nil
	}
	s.pos = end
	return s.text[start:end]
}

// value passes over the next value, whatever it is, and returns it as it stands.
func (s *scanner) value() []byte {
	s.peek()
	start := s.pos
	if !s.skip() {
		return nil
	}
	return s.text[start:s.pos]
}

// skip passes over one value. objects has a bit for each container that it
// is in, set for an object.
func (s *scanner) skip() bool {
	var objects [MaxDepth / 64]uint64
	depth := 0
	for s.err == nil {
		closed := true // a value has just ended
		switch c := s.peek(); c {
		case '{', '[':
			if s.open+depth >= MaxDepth {
				s.fail(errDeep)
				return false
			}
			s.pos++
			if c == '{' {
				objects[depth/64] |= 1 << (depth % 64)
			} else {
				objects[depth/64] &^= 1 << (depth % 64)
			}
			closed = s.accept(c + 2) // } and ] are two after { and [
			if !closed {
				depth++
				if c == '{' {
					s.name()
				}
			}
		default:
			s.scalar(c)
		}
		for closed && depth > 0 && s.err == nil {
			isObject := objects[(depth-1)/64]>>((depth-1)%64)&1 == 1
			switch {
			case s.accept(','):
				closed = false
				if isObject {
					s.name()
				}
			case isObject && s.accept('}'), !isObject && s.accept(']'):
				depth--
			default:
				s.fail(errSyntax)
			}
		}
		if closed && depth == 0 {
			break
		}
	}
	return s.err == nil
}

func (s *scanner) name() {
	s.string()
	s.expect(':')
}

// scalar passes over a value that begins with c and is no container.
func (s *scanner) scalar(c byte) {
	switch {
	case c == '"':
		s.string()
	case c == '-' || isDigit(c):
		if s.pos = endOfNumber(s.text, s.pos); s.pos < 0 {
			s.fail(errSyntax)
		}
	case c == 't':
		s.literal("true")
	case c == 'f':
		s.literal("false")
	case c == 'n':
		s.literal("null")
	default:
		s.fail(errSyntax)
	}
}

func (s *scanner) literal(word string) {
	if len(s.text)-s.pos < len(word) || string(s.text[s.pos:s.pos+len(word)]) != word {
		s.fail(errSyntax)
		return
	}
	s.pos += len(word)
}

// endOfNumber returns the position after the number at pos, -1 if it is none.
func endOfNumber(text []byte, pos int) int {
	digits := func() bool {
		start := pos
		for pos < len(text) && isDigit(text[pos]) {
			pos++
		}
		return pos > start
	}
	if text[pos] == '-' {
		pos++
	}
	if pos < len(text) && text[pos] == '0' {
		pos++
	} else if !digits() {
		return -1
	}
	if pos < len(text) && text[pos] == '.' {
		pos++
		if !digits() {
			return -1
		}
	}
	if pos < len(text) && text[pos]|0x20 == 'e' {
		pos++
		if pos < len(text) && (text[pos] == '+' || text[pos] == '-') {
			pos++
		}
		if !digits() {
			return -1
		}
	}
	return pos
}

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
// makes a trigger of 10 KB three times as fast to decode.
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
	switch c := text[1]; c {
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
	default:
		return rune(c), 2
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

func isString(token []byte) bool { return len(token) > 0 && token[0] == '"' }

// isNumber holds for a number.
func isNumber(token []byte) bool { return len(token) > 0 && (token[0] == '-' || isDigit(token[0])) }

func isObject(token []byte) bool { return len(token) > 0 && token[0] == '{' }

// isAbsent holds for a value that is not there, and for null.
func isAbsent(token []byte) bool { return len(token) == 0 || token[0] == 'n' }

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
