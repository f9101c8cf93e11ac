package protocol

import (
	"strconv"
	"unicode/utf8"
)

// Frames of the HTTP transports, which are those of SockJS: one line each.

// HTTPHeartbeat is a sign of life.
const HTTPHeartbeat = "h\n"

// AppendHTTPOpen appends the frame that opens a session. A client makes the other
// requests of the session to the host that is named; "" = to the same as this one.
func AppendHTTPOpen(dst []byte, hostname string) []byte {
	dst = append(dst, 'o')
	if hostname != "" {
		dst = append(dst, `{"hostname":`...)
		dst = appendQuoted(dst, hostname)
		dst = append(dst, '}')
	}
	return append(dst, '\n')
}

// AppendHTTPMessage appends a frame with one message. Bytes that are not UTF-8
// become U+FFFD.
func AppendHTTPMessage(dst, message []byte) []byte {
	dst = append(dst, 'a', '[')
	dst = appendQuoted(dst, message)
	return append(dst, ']', '\n')
}

// AppendHTTPClose appends a frame that ends a session as a close frame ends a
// WebSocket.
func AppendHTTPClose(dst []byte, code Code, reason string) []byte {
	dst = append(dst, 'c', '[')
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, ',')
	dst = appendQuoted(dst, reason)
	return append(dst, ']', '\n')
}

// UTF16Len is the length of text as JavaScript counts it.
func UTF16Len(text []byte) int {
	n := 0
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if n++; r > 0xffff { // a pair of surrogates
			n++
		}
		i += size
	}
	return n
}

// DecodeHTTPMessages reads the body of a request that sends messages: an array of
// strings. The result may share its bytes, which are overwritten. The error is
// meant for people.
func DecodeHTTPMessages(body []byte) ([][]byte, error) {
	if !utf8.Valid(body) {
		return nil, errUTF8
	}
	s := scanner{text: body}
	if !s.enter('[') {
		return nil, errNoArray
	}
	var tokens [][]byte
	for first := true; s.next(first, ']'); first = false {
		if s.peek() != '"' && s.err == nil {
			return nil, errNoStrings
		}
		tokens = append(tokens, s.string())
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	for i, token := range tokens {
		tokens[i] = unquoteInPlace(token)
	}
	return tokens, nil
}

const (
	errNoArray   jsonError = "not an array"
	errNoStrings jsonError = "not an array of strings"
)
