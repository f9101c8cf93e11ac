package protocol

import (
	"slices"
	"strings"
)

// Param is a parameter of a query.
type Param struct {
	Key   string // lower case; with its brackets when the parameter is an array
	Value string
}

// Params are the parameters of a query, sorted by key; those of one key keep their
// order.
type Params []Param

// Get returns the value of the parameter, "" when there is none. Of an array,
// name[] or name[0], it returns the values joined by commas.
func (p Params) Get(name string) string {
	var list []string
	for _, param := range p {
		if param.Key == name {
			return param.Value
		}
		if isElement(param.Key, name) {
			list = append(list, param.Value)
		}
	}
	return strings.Join(list, ",")
}

// Has reports whether the query has the parameter, even if it is empty.
func (p Params) Has(name string) bool {
	return slices.ContainsFunc(p, func(param Param) bool {
		return param.Key == name || isElement(param.Key, name)
	})
}

// isElement reports whether key is an element of the array: name[] or name[0].
func isElement(key, name string) bool {
	index, ok := strings.CutPrefix(key, name)
	return ok && strings.HasPrefix(index, "[") && strings.HasSuffix(index, "]")
}

// Names of the parameters that authenticate a request.
const (
	paramKey       = "auth_key"
	paramTimestamp = "auth_timestamp"
	paramVersion   = "auth_version"
	paramSignature = "auth_signature"
	paramMD5       = "body_md5"
)

// Extraneous returns the names of all other parameters than those that authenticate
// the request, each once and without brackets.
func (p Params) Extraneous() []string {
	var names []string
	for _, param := range p {
		switch param.Key {
		case paramKey, paramTimestamp, paramVersion, paramSignature, paramMD5:
			continue
		}
		name, _, _ := strings.Cut(param.Key, "[")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// decoding is a way to decode the values of a query. SDKs encode them differently,
// and the signature covers the decoded values.
type decoding uint8

const (
	decodeForm    decoding = iota // + is a space, %XX a byte
	decodePercent                 // %XX a byte
	decodeNothing                 // pusher-http-go sends what it has signed, unescaped
)

// parseQuery reads any query, and never fails.
func parseQuery(raw string, how decoding) Params {
	params := make(Params, 0, strings.Count(raw, "&")+1)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		params = append(params, Param{
			Key:   strings.ToLower(decodeValue(key, how)),
			Value: decodeValue(value, how),
		})
	}
	slices.SortStableFunc(params, func(a, b Param) int { return strings.Compare(a.Key, b.Key) })
	return params
}

// decodeValue decodes the escapes; an incomplete escape stays as it is.
func decodeValue(s string, how decoding) string {
	if how == decodeNothing || !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+' && how == decodeForm:
			c = ' '
		case c == '%' && len(s)-i > 2 && isHex(s[i+1]) && isHex(s[i+2]):
			c = fromHex(s[i+1])<<4 | fromHex(s[i+2])
			i += 2
		}
		out = append(out, c)
	}
	return string(out)
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func fromHex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// appendSigned appends the signed form of the parameters: sorted, not escaped,
// without the signature.
func (p Params) appendSigned(dst []byte) []byte {
	first := true
	for _, param := range p {
		if param.Key == paramSignature {
			continue
		}
		if !first {
			dst = append(dst, '&')
		}
		first = false
		dst = append(append(append(dst, param.Key...), '='), param.Value...)
	}
	return dst
}

// collapsed returns the parameters with each array turned into one parameter, its
// values joined by commas: pusher-http-php signs that and sends name[0].
func (p Params) collapsed() Params {
	out := make(Params, 0, len(p))
	for _, param := range p {
		name, index, isArray := strings.Cut(param.Key, "[")
		if !isArray || !strings.HasSuffix(index, "]") {
			out = append(out, param)
			continue
		}
		if n := len(out); n > 0 && out[n-1].Key == name {
			out[n-1].Value += "," + param.Value
			continue
		}
		out = append(out, Param{Key: name, Value: param.Value})
	}
	slices.SortStableFunc(out, func(a, b Param) int { return strings.Compare(a.Key, b.Key) })
	return out
}
