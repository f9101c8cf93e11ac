package protocol

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// RequestError is the answer to a request that is refused: a status of HTTP, and
// a plain text that SDKs show as it is.
type RequestError struct {
	Status int
	Text   string // without a newline at its end
}

func (e RequestError) Error() string { return e.Text }

func unauthorized(text string) RequestError { return RequestError{Status: 401, Text: text} }

// authVersion is the version of the signature of requests.
const authVersion = "1.0"

// timestampWindow is the number of seconds by which a request's timestamp must
// differ less from now.
const timestampWindow = 600

// Request is the head of a request to the REST API. Its signature covers the query,
// and through the parameter body_md5 the body, so that a server can check who sends
// a request before it reads the body. It is not safe for concurrent use.
type Request struct {
	Method   string
	Path     string // decoded
	RawPath  string // as it was sent; "" when it is the usual encoding of Path
	RawQuery string

	params Params // in the decoding that the signature proves, after Verify
}

// Params returns the parameters of the query. After Verify they are those that
// were signed.
func (r *Request) Params() Params {
	if r.params == nil {
		r.params = parseQuery(r.RawQuery, decodeForm)
	}
	return r.params
}

// AuthKey returns the key of the app that the request says it comes from.
func (r *Request) AuthKey() string { return r.Params().Get(paramKey) }

// Verify checks the version, the timestamp and the signature, in this order. The
// error is a RequestError with status 401. CheckBody checks the body afterwards.
func (r *Request) Verify(secret string, now time.Time) error {
	p := r.Params()
	if !p.Has(paramKey) {
		return unauthorized("Missing parameter: auth_key")
	}
	switch p.Get(paramVersion) {
	case authVersion:
	case "":
		return unauthorized("Version required")
	default:
		return unauthorized("Version not supported")
	}
	if err := checkTimestamp(p.Get(paramTimestamp), now); err != nil {
		return err
	}
	return r.checkSignature(secret)
}

// CoversBody reports whether the request has a digest of a body. A request without
// one must not have a body.
func (r *Request) CoversBody() bool { return r.Params().Get(paramMD5) != "" }

// CheckBody compares the body with the digest that the signature covers. Call it
// after Verify. The error is a RequestError with status 401. A digest of an empty
// body passes, which pusher-http-python sends with every GET.
func (r *Request) CheckBody(body []byte) error {
	got := r.Params().Get(paramMD5)
	if got == "" {
		if len(body) == 0 {
			return nil
		}
		return unauthorized("Missing parameter: body_md5") // nothing authenticates the body
	}
	sum := md5.Sum(body)
	var want [2 * md5.Size]byte
	hex.Encode(want[:], sum[:])
	if subtle.ConstantTimeCompare([]byte(strings.ToLower(got)), want[:]) != 1 {
		return unauthorized("Invalid body_md5: the body has " + string(want[:]) + ", but you sent " + strconv.Quote(cutName(got)))
	}
	return nil
}

func checkTimestamp(text string, now time.Time) error {
	if text == "" {
		return unauthorized("Timestamp required")
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return unauthorized("Invalid timestamp: " + strconv.Quote(cutName(text)) + " is not a number of seconds")
	}
	if server := now.Unix(); at <= server-timestampWindow || at >= server+timestampWindow {
		return unauthorized("Timestamp expired: Given timestamp (" + formatTime(at) + ") not within " +
			strconv.Itoa(timestampWindow) + "s of server time (" + formatTime(server) + ")")
	}
	return nil
}

func formatTime(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339)
}

// checkSignature tries the ways in which SDKs build the string to sign, the
// usual one first. From then on Params returns what the signature proves.
func (r *Request) checkSignature(secret string) error {
	signature := r.params.Get(paramSignature)
	var scratch [512]byte
	usual := r.appendHead(scratch[:0], r.Path)
	usual = r.params.appendSigned(usual)
	if isMAC(secret, usual, signature) {
		return nil
	}
	if params := r.findSigned(secret, signature); params != nil {
		r.params = params
		return nil
	}
	return unauthorized("Invalid signature: you should have sent HmacSHA256Hex(" +
		strconv.Quote(cut(string(usual), maxQuotedSigned)) + ", your_secret_key), but you sent " +
		strconv.Quote(cutName(signature)))
}

// findSigned returns the parameters of the first unusual way that gives this
// signature, nil if there is none.
func (r *Request) findSigned(secret, signature string) Params {
	verbatim := parseQuery(r.RawQuery, decodeNothing)
	candidates := []struct {
		params Params
		query  []byte
	}{
		{params: r.params},
		{params: verbatim},
		{params: parseQuery(r.RawQuery, decodePercent)},
		{params: r.params.collapsed()},
		{verbatim, withoutSignature(r.RawQuery)},
	}
	for i := range candidates {
		if candidates[i].query == nil {
			candidates[i].query = candidates[i].params.appendSigned(nil)
		}
	}
	for _, path := range r.paths() {
		for _, c := range candidates {
			if isMAC(secret, append(r.appendHead(nil, path), c.query...), signature) {
				return c.params
			}
		}
	}
	return nil
}

// paths returns the forms of the path that may have been signed: SDKs sign the path
// that they have, and some HTTP clients escape it afterwards.
func (r *Request) paths() []string {
	raw := r.RawPath
	if raw == "" {
		raw = (&url.URL{Path: r.Path}).EscapedPath()
	}
	if raw == r.Path {
		return []string{r.Path}
	}
	return []string{r.Path, raw}
}

// withoutSignature returns the query as pusher-http-go signs it: exactly as it is
// sent, even if a value with an & looks like two parameters.
func withoutSignature(raw string) []byte {
	out := make([]byte, 0, len(raw))
	for pair := range strings.SplitSeq(raw, "&") {
		if strings.HasPrefix(pair, paramSignature+"=") {
			continue
		}
		if len(out) > 0 {
			out = append(out, '&')
		}
		out = append(out, pair...)
	}
	return out
}

func (r *Request) appendHead(dst []byte, path string) []byte {
	dst = append(append(dst, strings.ToUpper(r.Method)...), '\n')
	return append(append(dst, path...), '\n')
}

// SignRequest returns the query of a request as an application's server sends
// it. The path is not escaped; params may be nil.
func SignRequest(method, path string, params map[string]string, body []byte, key, secret string, now time.Time) (rawQuery string) {
	values := make(url.Values, len(params)+5)
	for name, value := range params {
		values.Set(strings.ToLower(name), value)
	}
	values.Set(paramKey, key)
	values.Set(paramTimestamp, strconv.FormatInt(now.Unix(), 10))
	values.Set(paramVersion, authVersion)
	if len(body) > 0 {
		sum := md5.Sum(body)
		values.Set(paramMD5, hex.EncodeToString(sum[:]))
	}
	r := Request{Method: method}
	text := parseQuery(values.Encode(), decodeForm).appendSigned(r.appendHead(nil, path))
	values.Set(paramSignature, Sign(secret, string(text)))
	return values.Encode()
}
