package protocol

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

// skip passes over one value.
func (s *scanner) skip() bool {
	var in nesting
	for s.err == nil {
		ended := true
		switch c := s.peek(); c {
		case '{', '[':
			ended = s.begin(&in, c)
		default:
			s.scalar(c)
		}
		if ended && s.leave(&in) {
			break
		}
	}
	return s.err == nil
}

// nesting is the containers that a value is in: a bit for each, set for an
// object.
type nesting struct {
	objects [MaxDepth / 64]uint64
	depth   int
}

func (n *nesting) push(isObject bool) {
	bit := uint64(1) << (n.depth % 64)
	n.objects[n.depth/64] &^= bit
	if isObject {
		n.objects[n.depth/64] |= bit
	}
	n.depth++
}

func (n *nesting) inObject() bool {
	top := n.depth - 1
	return n.objects[top/64]>>(top%64)&1 == 1
}

// begin passes over the bracket of a container, to its first value. It reports
// whether the container has ended already.
func (s *scanner) begin(in *nesting, bracket byte) (ended bool) {
	if s.open+in.depth >= MaxDepth {
		s.fail(errDeep)
		return true
	}
	s.pos++
	if s.accept(bracket + 2) { // } and ] are two after { and [
		return true
	}
	in.push(bracket == '{')
	if bracket == '{' {
		s.name()
	}
	return false
}

// leave passes over what follows a value, up to the next value. It reports
// whether there is none: the outermost container has ended.
func (s *scanner) leave(in *nesting) (done bool) {
	for in.depth > 0 && s.err == nil {
		isObject := in.inObject()
		switch {
		case s.accept(','):
			if isObject {
				s.name()
			}
			return false
		case isObject && s.accept('}'), !isObject && s.accept(']'):
			in.depth--
		default:
			s.fail(errSyntax)
		}
	}
	return true
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

func isString(token []byte) bool { return len(token) > 0 && token[0] == '"' }

// isNumber holds for a number.
func isNumber(token []byte) bool { return len(token) > 0 && (token[0] == '-' || isDigit(token[0])) }

func isObject(token []byte) bool { return len(token) > 0 && token[0] == '{' }

// isAbsent holds for a value that is not there, and for null.
func isAbsent(token []byte) bool { return len(token) == 0 || token[0] == 'n' }
