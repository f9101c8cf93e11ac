package protocol

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const vectorBody = `{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`

func TestVerifyVectors(t *testing.T) {
	tests := []struct {
		name, secret, body string
		request            Request
		at                 int64
	}{
		{"POST", vectorSecret, vectorBody, Request{
			Method: "POST", Path: "/apps/3/events",
			RawQuery: "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
		}, 1353088179},
		{"GET", "4bf35003e819bb138249", "", Request{
			Method: "GET", Path: "/apps/102015/channels",
			RawQuery: "auth_key=d41a439c438a100756f5&auth_timestamp=1427034994&auth_version=1.0&filter_by_prefix=presence-&info=user_count&auth_signature=4d8a02edcc8a758b0162cd6da690a9a45fb8ae326a276dca1e06a0bc42796c11",
		}, 1427034994},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.request.Verify(tt.secret, time.Unix(tt.at, 0)); err != nil {
				t.Error(err)
			}
			if err := tt.request.CheckBody([]byte(tt.body)); err != nil {
				t.Error(err)
			}
		})
	}
}

var verifyTime = time.Unix(1353088179, 0)

// signed returns a request with the given string to sign's query, and a query
// as it is sent, to which the signature is added.
func signed(method, path, signedQuery, sentQuery string) *Request {
	signature := Sign(vectorSecret, method+"\n"+path+"\n"+signedQuery)
	return &Request{Method: method, Path: path, RawQuery: sentQuery + "&auth_signature=" + signature}
}

const authQuery = "auth_key=k&auth_timestamp=1353088179&auth_version=1.0"

// TestVerifyDialects covers what SDKs sign and what they send for it.
func TestVerifyDialects(t *testing.T) {
	tests := []struct {
		name, signed, sent string
		get, want          string // a parameter, and its value
	}{
		{"plain", authQuery + "&info=user_count", authQuery + "&info=user_count", "info", "user_count"},
		{"any order", authQuery + "&info=user_count", "info=user_count&" + authQuery, "info", "user_count"},
		{"escaped", authQuery + "&info=user_count,cache", authQuery + "&info=user_count%2Ccache", "info", "user_count,cache"},
		{"lower-case escape", authQuery + "&info=user_count,cache", authQuery + "&info=user_count%2ccache", "info", "user_count,cache"},
		{"as pusher-http-go sends it", authQuery + "&info=user_count,cache", authQuery + "&info=user_count,cache", "info", "user_count,cache"},
		{"space as plus", authQuery + "&q=a b", authQuery + "&q=a+b", "q", "a b"},
		{"space as %20", authQuery + "&q=a b", authQuery + "&q=a%20b", "q", "a b"},
		{"plus escaped", authQuery + "&q=a+b", authQuery + "&q=a%2Bb", "q", "a+b"},
		{"plus as it is", authQuery + "&q=a+b", authQuery + "&q=a+b", "q", "a+b"},
		{"plus as it is beside an escape", authQuery + "&q=a+b,c", authQuery + "&q=a+b%2Cc", "q", "a+b,c"},
		{"escape as it is", authQuery + "&q=%41", authQuery + "&q=%41", "q", "%41"},
		{"broken escape", authQuery + "&q=100%", authQuery + "&q=100%", "q", "100%"},
		{"equals sign in a value", authQuery + "&q=a=b", authQuery + "&q=a=b", "q", "a=b"},
		{"ampersand as it is", authQuery + "&q=x&a=b", authQuery + "&q=x&a=b", "q", "x"},
		{"upper-case name", authQuery + "&info=cache", authQuery + "&INFO=cache", "info", "cache"},
		{"empty value", authQuery + "&q=", authQuery + "&q=", "q", ""},
		{"no value", authQuery + "&q=", authQuery + "&q", "q", ""},
		{"array of ruby", authQuery + "&info[]=user_count&info[]=cache", authQuery + "&info[]=user_count&info[]=cache", "info", "user_count,cache"},
		{"array of ruby, escaped", authQuery + "&info[]=user_count&info[]=cache", authQuery + "&info%5B%5D=user_count&info%5B%5D=cache", "info", "user_count,cache"},
		{"array of php", authQuery + "&info=user_count,cache&z=1", authQuery + "&info%5B0%5D=user_count&info%5B1%5D=cache&z=1", "info", "user_count,cache"},
		{"repeated", authQuery + "&q=1&q=2", authQuery + "&q=1&q=2", "q", "1"},
		{"more than ASCII", authQuery + "&q=é", authQuery + "&q=%C3%A9", "q", "é"},
		{"no UTF-8", authQuery + "&q=\xff", authQuery + "&q=%FF", "q", "\xff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := signed("GET", "/apps/3/channels", tt.signed, tt.sent)
			if err := r.Verify(vectorSecret, verifyTime); err != nil {
				t.Fatal(err)
			}
			if got := r.Params().Get(tt.get); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.get, got, tt.want)
			}
			if got := r.AuthKey(); got != "k" {
				t.Errorf("AuthKey: got %q, want k", got)
			}
		})
	}
}

func TestVerifyPaths(t *testing.T) {
	tests := []struct {
		name, signed, path, rawPath string
	}{
		{"decoded", "/apps/3/users/a b/terminate_connections", "/apps/3/users/a b/terminate_connections", ""},
		{"escaped", "/apps/3/users/a%20b/terminate_connections", "/apps/3/users/a b/terminate_connections", ""},
		{"escaped in an unusual way", "/apps/3/users/a%40b", "/apps/3/users/a@b", "/apps/3/users/a%40b"},
		{"with a slash", "/apps/3/users/a/b", "/apps/3/users/a/b", "/apps/3/users/a%2Fb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := signed("POST", tt.signed, authQuery, authQuery)
			r.Path, r.RawPath = tt.path, tt.rawPath
			if err := r.Verify(vectorSecret, verifyTime); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyMethodCase(t *testing.T) {
	r := signed("GET", "/apps/3/channels", authQuery, authQuery)
	r.Method = "get"
	if err := r.Verify(vectorSecret, verifyTime); err != nil {
		t.Error(err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	const path = "/apps/3/events"
	upperCase := signed("GET", path, authQuery, authQuery)
	upperCase.RawQuery = authQuery + "&auth_signature=" + strings.ToUpper(Sign(vectorSecret, "GET\n"+path+"\n"+authQuery))
	tampered := signed("GET", path, authQuery, authQuery)
	tampered.RawQuery += "&info=user_count"
	sign := func(query string) *Request { return signed("GET", path, query, query) }
	tests := []struct {
		name    string
		request *Request
		want    string
	}{
		{"nothing", &Request{}, "Missing parameter: auth_key"},
		{"no version", sign("auth_key=k&auth_timestamp=1353088179"), "Version required"},
		{"another version", sign("auth_key=k&auth_timestamp=1353088179&auth_version=2.0"), "Version not supported"},
		{"no timestamp", sign("auth_key=k&auth_version=1.0"), "Timestamp required"},
		{"timestamp is no number", sign("auth_key=k&auth_timestamp=today&auth_version=1.0"), `Invalid timestamp: "today" is not a number of seconds`},
		{"timestamp out of range", sign("auth_key=k&auth_timestamp=99999999999999999999&auth_version=1.0"), `Invalid timestamp: "99999999999999999999" is not a number of seconds`},
		{"oldest timestamp of all", sign("auth_key=k&auth_timestamp=-9223372036854775808&auth_version=1.0"), "Timestamp expired: Given timestamp ("},
		{"timestamp of 1970", sign("auth_key=k&auth_timestamp=0&auth_version=1.0"),
			"Timestamp expired: Given timestamp (1970-01-01T00:00:00Z) not within 600s of server time (2012-11-16T17:49:39Z)"},
		{"upper case", upperCase, "Invalid signature: you should have sent HmacSHA256Hex("},
		{"parameter added", tampered, "Invalid signature: you should have sent HmacSHA256Hex("},
		{"no signature", &Request{Method: "GET", Path: path, RawQuery: authQuery},
			`Invalid signature: you should have sent HmacSHA256Hex("GET\n/apps/3/events\n` + authQuery + `", your_secret_key), but you sent ""`},
		{"wrong signature", &Request{Method: "GET", Path: path, RawQuery: "z=1&auth_signature=00&" + authQuery},
			`Invalid signature: you should have sent HmacSHA256Hex("GET\n/apps/3/events\n` + authQuery + `&z=1", your_secret_key), but you sent "00"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.request.Verify(vectorSecret, verifyTime)
			var re RequestError
			if !errors.As(err, &re) {
				t.Fatalf("got %v, want a RequestError", err)
			}
			if re.Status != 401 || !strings.HasPrefix(re.Text, tt.want) {
				t.Errorf("got %d %s, want 401 %s", re.Status, re.Text, tt.want)
			}
			if strings.Contains(re.Text, vectorSecret) {
				t.Errorf("%s tells the secret", re.Text)
			}
		})
	}
}

const (
	md5OfVector = "ec365a775a4cd0599faeb73354201b6f"
	md5OfEmpty  = "d41d8cd98f00b204e9800998ecf8427e"
)

// withDigest returns a signed request with the digest of some body.
func withDigest(digest string) *Request {
	query := authQuery
	if digest != "-" {
		query += "&body_md5=" + digest
	}
	return signed("POST", "/apps/3/events", query, query)
}

func TestCheckBody(t *testing.T) {
	tests := []struct {
		name, digest, body string // digest "-": no such parameter
		covers             bool
	}{
		{"its digest", md5OfVector, vectorBody, true},
		{"its digest in upper case", strings.ToUpper(md5OfVector), vectorBody, true},
		{"GET of python", md5OfEmpty, "", true},
		{"no body and no digest", "-", "", false},
		{"no body and an empty digest", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := withDigest(tt.digest)
			if err := r.Verify(vectorSecret, verifyTime); err != nil {
				t.Fatal(err)
			}
			if got := r.CoversBody(); got != tt.covers {
				t.Errorf("CoversBody: got %t, want %t", got, tt.covers)
			}
			if err := r.CheckBody([]byte(tt.body)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckBodyRefuses(t *testing.T) {
	tests := []struct {
		name, digest, body, want string
	}{
		{"no digest", "-", vectorBody, "Missing parameter: body_md5"},
		{"empty digest", "", vectorBody, "Missing parameter: body_md5"},
		{"digest of nothing", md5OfEmpty, vectorBody,
			"Invalid body_md5: the body has " + md5OfVector + `, but you sent "` + md5OfEmpty + `"`},
		{"body changed", md5OfVector, vectorBody + " ", "Invalid body_md5: the body has "},
		{"body removed", md5OfVector, "", "Invalid body_md5: the body has " + md5OfEmpty},
		{"longer than a digest", md5OfVector + "00", vectorBody, "Invalid body_md5: the body has "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := withDigest(tt.digest)
			if err := r.Verify(vectorSecret, verifyTime); err != nil {
				t.Fatalf("the signature does not depend on the body, but: %v", err)
			}
			var re RequestError
			if err := r.CheckBody([]byte(tt.body)); !errors.As(err, &re) || re.Status != 401 || !strings.HasPrefix(re.Text, tt.want) {
				t.Errorf("got %v, want 401 %s", err, tt.want)
			}
		})
	}
}

// TestDigestIsSigned changes the digest of a signed request.
func TestDigestIsSigned(t *testing.T) {
	r := withDigest(md5OfVector)
	r.RawQuery = strings.Replace(r.RawQuery, md5OfVector, md5OfEmpty, 1)
	if err := r.Verify(vectorSecret, verifyTime); err == nil {
		t.Error("accepted with the digest of another body")
	}
}

func TestVerifyWindow(t *testing.T) {
	tests := []struct {
		offset int64 // seconds
		ok     bool
	}{{0, true}, {599, true}, {600, false}, {601, false}, {-599, true}, {-600, false}, {-601, false}}
	for _, tt := range tests {
		t.Run(strconv.FormatInt(tt.offset, 10), func(t *testing.T) {
			r := signed("GET", "/apps/3/channels", authQuery, authQuery)
			if err := r.Verify(vectorSecret, verifyTime.Add(time.Duration(tt.offset)*time.Second)); (err == nil) != tt.ok {
				t.Errorf("offset of %d s: got %v, want accepted %t", tt.offset, err, tt.ok)
			}
		})
	}
}

// TestVerifyTextIsBounded lets clients not choose how much we send back.
func TestVerifyTextIsBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, query := range []string{
		authQuery + "&q=" + long, authQuery + "&auth_signature=" + long, authQuery + "&body_md5=" + long,
		"auth_key=k&auth_version=1.0&auth_timestamp=" + long,
	} {
		r := Request{Method: "GET", Path: "/", RawQuery: query}
		if err := r.Verify(vectorSecret, verifyTime); err == nil || len(err.Error()) > 2*maxQuotedSigned {
			t.Errorf("%.60s…: got %v of %d bytes", query, err != nil, len(err.Error()))
		}
	}
	if err := withDigest(long).CheckBody(nil); err == nil || len(err.Error()) > maxQuotedSigned {
		t.Errorf("a long digest: got %v of %d bytes", err != nil, len(err.Error()))
	}
}

func TestExtraneous(t *testing.T) {
	r := Request{RawQuery: authQuery + "&body_md5=0&auth_signature=0&info=a&zoo[]=1&zoo[]=2"}
	if got := strings.Join(r.Params().Extraneous(), " "); got != "info zoo" {
		t.Errorf("got %q, want info zoo", got)
	}
	r = Request{RawQuery: authQuery}
	if got := r.Params().Extraneous(); len(got) != 0 {
		t.Errorf("got %q, want none", got)
	}
}

func TestSignRequest(t *testing.T) {
	tests := []struct {
		name, method, path string
		params             map[string]string
		body               string
	}{
		{"POST", "POST", "/apps/3/events", nil, vectorBody},
		{"GET", "GET", "/apps/3/channels", map[string]string{"filter_by_prefix": "presence-", "info": "user_count,cache"}, ""},
		{"any value", "GET", "/apps/3/channels", map[string]string{"Q": "a b+c&d=e%41é\xff"}, ""},
		{"any path", "POST", "/apps/3/users/a b/é", nil, "{}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			query := SignRequest(tt.method, tt.path, tt.params, []byte(tt.body), vectorKey, vectorSecret, verifyTime)
			r := Request{Method: tt.method, Path: tt.path, RawQuery: query}
			if err := r.Verify(vectorSecret, verifyTime); err != nil {
				t.Fatal(err)
			}
			if err := r.CheckBody([]byte(tt.body)); err != nil {
				t.Fatal(err)
			}
			for name, want := range tt.params {
				if got := r.Params().Get(strings.ToLower(name)); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
	query := SignRequest("POST", "/apps/3/events", nil, []byte(vectorBody), vectorKey, vectorSecret, verifyTime)
	if want := "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"; !strings.Contains(query, want) {
		t.Errorf("the vector's query: got %s, want signature %s", query, want)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("GET", "/apps/3/channels", authQuery+"&info[]=a&info[]=b%", []byte(""))
	f.Add("POST", "/a b", "&&=&a=b=c&%41+=%zz", []byte("{}"))
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		r := Request{Method: method, Path: path, RawQuery: query}
		re := RequestError{}
		if err := r.Verify(vectorSecret, verifyTime); !errors.As(err, &re) || re.Status != 401 {
			t.Fatalf("%q: got %v, want 401", query, err)
		}
		// What Go reads as a query we read in the same way.
		if values, err := url.ParseQuery(query); err == nil {
			for key := range values {
				if got, want := r.Params().Get(strings.ToLower(key)), ""; got == want && !r.Params().Has(strings.ToLower(key)) {
					t.Fatalf("%q: %q is missing", query, key)
				}
			}
		}
		params := map[string]string{"q": query, "p": path}
		signed := Request{Method: method, Path: path,
			RawQuery: SignRequest(method, path, params, body, "k", vectorSecret, verifyTime)}
		if err := signed.Verify(vectorSecret, verifyTime); err != nil {
			t.Fatalf("signed by us: %v", err)
		}
		if err := signed.CheckBody(body); err != nil {
			t.Fatalf("digest by us: %v", err)
		}
		if err := signed.CheckBody(append(slices.Clone(body), 'x')); err == nil {
			t.Fatal("another body is accepted")
		}
		if got := signed.Params().Get("q"); got != query {
			t.Fatalf("q: got %q, want %q", got, query)
		}
	})
}

// FuzzParseQuery reads back what net/url has written.
func FuzzParseQuery(f *testing.F) {
	f.Add("info", "user_count,subscription_count")
	f.Add("a b", "%+&=é\xff")
	f.Fuzz(func(t *testing.T, key, value string) {
		if key != strings.ToLower(key) {
			return
		}
		for _, how := range []decoding{decodeForm, decodePercent, decodeNothing} {
			parseQuery(value, how)
		}
		p := parseQuery(url.Values{key: {value}}.Encode(), decodeForm)
		if len(p) != 1 || p[0].Key != key || p[0].Value != value {
			t.Fatalf("%q=%q: got %q", key, value, p)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	sum := md5.Sum([]byte(vectorBody))
	query := authQuery + "&body_md5=" + hex.EncodeToString(sum[:])
	query += "&auth_signature=" + Sign(vectorSecret, "POST\n/apps/3/events\n"+query)
	body := []byte(vectorBody)
	b.ReportAllocs()
	for b.Loop() {
		r := Request{Method: "POST", Path: "/apps/3/events", RawQuery: query}
		if err := r.Verify(vectorSecret, verifyTime); err != nil {
			b.Fatal(err)
		}
		if err := r.CheckBody(body); err != nil {
			b.Fatal(err)
		}
	}
}
