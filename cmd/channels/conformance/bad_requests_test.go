//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	batchPath    = "/apps/" + appID + "/batch_events"
	channelsPath = "/apps/" + appID + "/channels"
)

// validEvent is what the attacks on the signature send: it would reach the
// bystander if it were let through.
const validEvent = `{"name":"forged","channels":["room"],"data":"x"}`

// TestUnauthorizedRequest requires 401 and the text that tells what is wrong.
func TestUnauthorizedRequest(t *testing.T) {
	remove := func(name string) func(map[string]string) {
		return func(query map[string]string) { delete(query, name) }
	}
	set := func(name, value string) func(map[string]string) {
		return func(query map[string]string) { query[name] = value }
	}
	replaceBody := func(body string) func(map[string]string, []byte) []byte {
		return func(map[string]string, []byte) []byte { return []byte(body) }
	}
	tests := []struct {
		name string
		call restCall
		want string // body; "…" at the end: only its beginning
	}{
		{"unknown key", restCall{Key: "nobody"}, "Unknown auth_key"},
		{"no key", restCall{Before: remove("auth_key")}, "Missing parameter: auth_key"},
		{"no version", restCall{Before: remove("auth_version")}, "Version required"},
		{"version 2.0", restCall{Before: set("auth_version", "2.0")}, "Version not supported"},
		{"no timestamp", restCall{Before: remove("auth_timestamp")}, "Timestamp required"},
		{"timestamp is no number", restCall{Before: set("auth_timestamp", "today")}, "…"},
		{"timestamp of 1970", restCall{Before: set("auth_timestamp", "0")}, "Timestamp expired: Given timestamp (1970-01-01T00:00:00Z) not within 600s of server time (…"},
		{"timestamp out of range", restCall{Before: set("auth_timestamp", "99999999999999999999")}, "…"},
		{"wrong secret", restCall{Secret: "guess"}, `Invalid signature: you should have sent HmacSHA256Hex("POST\n/apps/1/events\nauth_key=app-key&auth_timestamp=…`},
		{"no signature", restCall{After: func(query map[string]string, body []byte) []byte {
			delete(query, "auth_signature")
			return body
		}}, "…"},
		{"signature in upper case", restCall{After: func(query map[string]string, body []byte) []byte {
			query["auth_signature"] = strings.ToUpper(query["auth_signature"])
			return body
		}}, "Invalid signature: …"},
		{"parameter added after signing", restCall{After: func(query map[string]string, body []byte) []byte {
			query["info"] = "user_count"
			return body
		}}, "Invalid signature: …"},
		{"body changed after signing", restCall{After: replaceBody(strings.Replace(validEvent, `"x"`, `"y"`, 1))}, "…"},
		{"body removed after signing", restCall{After: replaceBody("")}, "…"},
		{"no body_md5", restCall{Before: remove("body_md5")}, "…"},
		{"empty body_md5", restCall{Before: set("body_md5", "")}, "…"},
		{"body_md5 of an empty body", restCall{Before: set("body_md5", "d41d8cd98f00b204e9800998ecf8427e")}, "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				call := tt.call
				call.Method, call.Path, call.Body = http.MethodPost, eventsPath, []byte(validEvent)
				status, body := call.do(t, s)
				expectAnswer(t, status, body, http.StatusUnauthorized, tt.want)
			})
		})
	}
}

// expectAnswer compares a refusal; a wanted text that ends in "…" is only a
// beginning.
func expectAnswer(t testing.TB, status int, body string, wantStatus int, want string) {
	t.Helper()
	body = strings.TrimSuffix(body, "\n")
	begin, partly := strings.CutSuffix(want, "…")
	right := body == want || partly && body != "" && strings.HasPrefix(body, begin)
	if status != wantStatus || !right {
		t.Errorf("answer: got %d %q, want %d %q", status, body, wantStatus, want)
	}
}

// TestInvalidSignatureText requires the whole string to sign, its parameters
// sorted, and what was sent instead.
func TestInvalidSignatureText(t *testing.T) {
	t.Parallel()
	s := start(t)
	at := strconv.FormatInt(time.Now().Unix(), 10)
	status, body := restCall{
		Method: http.MethodGet,
		Path:   channelsPath,
		Query:  map[string]string{"auth_timestamp": at, "filter_by_prefix": "presence-", "info": "user_count"},
		After: func(query map[string]string, body []byte) []byte {
			query["auth_signature"] = "00"
			return body
		},
	}.do(t, s)
	expectAnswer(t, status, body, http.StatusUnauthorized,
		`Invalid signature: you should have sent HmacSHA256Hex("GET\n/apps/1/channels\nauth_key=app-key&auth_timestamp=`+at+
			`&auth_version=1.0&filter_by_prefix=presence-&info=user_count", your_secret_key), but you sent "00"`)
	if strings.Contains(body, appSecret) {
		t.Error("the answer contains the secret")
	}
}

func TestTimestampWindow(t *testing.T) {
	tests := []struct {
		name   string
		offset int64 // seconds
		status int
	}{
		{"599 s old", -599, http.StatusOK},
		{"600 s old", -600, http.StatusUnauthorized},
		{"599 s ahead", 599, http.StatusOK},
		{"600 s ahead", 600, http.StatusUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				for {
					now := time.Now().Unix()
					status, body := restCall{
						Method: http.MethodGet,
						Path:   channelsPath,
						Query:  map[string]string{"auth_timestamp": strconv.FormatInt(now+tt.offset, 10)},
					}.do(t, s)
					if time.Now().Unix() != now {
						continue // the second passed: the server may have seen another offset
					}
					if status != tt.status {
						t.Errorf("got %d %q, want %d", status, body, tt.status)
					}
					return
				}
			})
		})
	}
}

// TestStalePublish publishes with a timestamp that is too old.
func TestStalePublish(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		status, body := restCall{
			Method: http.MethodPost,
			Path:   eventsPath,
			Body:   []byte(validEvent),
			Query:  map[string]string{"auth_timestamp": strconv.FormatInt(time.Now().Unix()-700, 10)},
		}.do(t, s)
		expectAnswer(t, status, body, http.StatusUnauthorized, "Timestamp expired: Given timestamp (…")
	})
}

// TestRefusedEvent posts each event that must be refused. Where it can, it
// names the bystander's room, so that an event that got through would show.
func TestRefusedEvent(t *testing.T) {
	const tooLarge = "The data content of this event exceeds the allowed maximum (10240 bytes). See https://pusher.com/docs/channels/server_api/http-api#publishing-events for more info"
	kib10 := strings.Repeat("a", 10240)
	manyChannels := func(n int) []string {
		names := []string{room}
		for i := 1; i < n; i++ {
			names = append(names, fmt.Sprint("channel-", i))
		}
		return names
	}
	tests := []struct {
		name   string
		body   any
		status int
		want   string
	}{
		{"malformed JSON", `{"name":"a","channels":["room"],"data":"x"`, 400, "…"},
		{"no JSON", `name=a&channels=room`, 400, "…"},
		{"an array", `[` + validEvent + `]`, 400, "…"},
		{"null", `null`, 400, "…"},
		{"something behind it", validEvent + validEvent, 400, "…"},
		{"invalid UTF-8 in data", "{\"name\":\"a\",\"channels\":[\"room\"],\"data\":\"\xff\"}", 400, "…"},
		{"invalid UTF-8 in the name", "{\"name\":\"\xff\",\"channels\":[\"room\"],\"data\":\"x\"}", 400, "…"},
		{"deep nesting", strings.Repeat("[", 100_000), 400, "…"},
		{"deep nesting in an ignored field", `{"name":"a","channels":["room"],"data":"x","more":` + strings.Repeat("[", 40_000), 400, "…"},
		{"no name", `{"channels":["room"],"data":"x"}`, 400, "…"},
		{"empty name", `{"name":"","channels":["room"],"data":"x"}`, 400, "…"},
		{"name is a number", `{"name":5,"channels":["room"],"data":"x"}`, 400, "…"},
		{"name of 201 characters", event{Name: strings.Repeat("n", 201), Channels: []string{room}, Data: "x"}, 400, "…"},
		{"no data", `{"name":"a","channels":["room"]}`, 400, "…"},
		{"no channel", `{"name":"a","data":"x"}`, 400, "…"},
		{"no channels", `{"name":"a","channels":[],"data":"x"}`, 400, "…"},
		{"channels is a string", `{"name":"a","channels":"room","data":"x"}`, 400, "…"},
		{"channels holds a number", `{"name":"a","channels":["room",5],"data":"x"}`, 400, "…"},
		{"channel is a number", `{"name":"a","channel":5,"data":"x"}`, 400, "…"},
		{"101 channels", event{Name: "a", Channels: manyChannels(101), Data: "x"}, 400, "…"},
		{"invalid channel among others", event{Name: "a", Channels: []string{room, "a b"}, Data: "x"}, 400, "…"},
		{"empty channel", event{Name: "a", Channels: []string{room, ""}, Data: "x"}, 400, "…"},
		{"channel of 201 characters", event{Name: "a", Channels: []string{room, strings.Repeat("c", 201)}, Data: "x"}, 400, "…"},
		{"reserved channel", event{Name: "a", Channels: []string{room, "#private"}, Data: "x"}, 400, "…"},
		{"reserved name pusher:", event{Name: "pusher:error", Channels: []string{room}, Data: "x"}, 400, "…"},
		{"reserved name pusher_internal:", event{Name: "pusher_internal:member_added", Channels: []string{room}, Data: "x"}, 400, "…"},
		{"encrypted among others", event{Name: "a", Channels: []string{room, "private-encrypted-a"}, Data: "x"}, 400, "…"},
		{"socket_id without a dot", event{Name: "a", Channels: []string{room}, Data: "x", SocketID: "123"}, 400, "…"},
		{"socket_id with more", event{Name: "a", Channels: []string{room}, Data: "x", SocketID: "1.2\n"}, 400, "…"},
		{"socket_id is a number", `{"name":"a","channels":["room"],"data":"x","socket_id":1.2}`, 400, "…"},
		{"unknown attribute", event{Name: "a", Channels: []string{room}, Data: "x", Info: "does-not-exist"}, 400, "info should be a comma separated list of attributes"},
		{"10241 bytes", event{Name: "a", Channels: []string{room}, Data: kib10 + "a"}, 413, tooLarge},
		{"10241 bytes, in more than one byte each", event{Name: "a", Channels: []string{room}, Data: strings.Repeat("é", 5120) + "a"}, 413, tooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				status, body := post(t, s, eventsPath, tt.body)
				expectAnswer(t, status, body, tt.status, tt.want)
			})
		})
	}
}

// TestRefusedBatch requires that one bad event keeps the others from being
// published.
func TestRefusedBatch(t *testing.T) {
	good := event{Name: "good", Channel: room, Data: "x"}
	type batch struct {
		Batch []event `json:"batch"`
	}
	eleven := batch{}
	for range 11 {
		eleven.Batch = append(eleven.Batch, good)
	}
	tests := []struct {
		name   string
		body   any
		status int
	}{
		{"11 events", eleven, 400},
		{"no batch", `{}`, 400},
		{"batch is an object", `{"batch":{}}`, 400},
		{"batch holds a string", `{"batch":["x"]}`, 400},
		{"malformed JSON", `{"batch":[`, 400},
		{"event without a channel", batch{[]event{good, {Name: "a", Data: "x"}}}, 400},
		{"reserved name", batch{[]event{good, {Name: "pusher:error", Channel: room, Data: "x"}}}, 400},
		{"invalid channel", batch{[]event{good, {Name: "a", Channel: "a b", Data: "x"}}}, 400},
		{"invalid socket_id", batch{[]event{good, {Name: "a", Channel: room, Data: "x", SocketID: "a"}}}, 400},
		{"10241 bytes", batch{[]event{good, {Name: "a", Channel: room, Data: strings.Repeat("a", 10241)}}}, 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				status, body := post(t, s, batchPath, tt.body)
				expectAnswer(t, status, body, tt.status, "…")
			})
		})
	}
}

// TestRefusedQuery asks what cannot be answered.
func TestRefusedQuery(t *testing.T) {
	tests := []struct {
		name   string
		method string
		path   string
		query  map[string]string
		status int
		want   string
	}{
		{"unknown attribute of channels", "GET", channelsPath, map[string]string{"info": "does-not-exist"}, 400, "info should be a comma separated list of attributes"},
		{"unknown attribute of a channel", "GET", channelsPath + "/room", map[string]string{"info": "does-not-exist"}, 400, "info should be a comma separated list of attributes"},
		{"user_count of all channels", "GET", channelsPath, map[string]string{"info": "user_count"}, 400, "user_count may only be requested for presence channels - please supply filter_by_prefix beginning with presence-"},
		{"user_count of private channels", "GET", channelsPath, map[string]string{"info": "user_count", "filter_by_prefix": "private-"}, 400, "user_count may only be requested for presence channels - please supply filter_by_prefix beginning with presence-"},
		{"user_count of a public channel", "GET", channelsPath + "/room", map[string]string{"info": "user_count"}, 400, "Cannot retrieve the user count unless the channel is a presence channel"},
		{"cache of a channel without", "GET", channelsPath + "/room", map[string]string{"info": "cache"}, 400, "…"},
		{"invalid channel", "GET", channelsPath + "/a:b", nil, 400, "…"},
		{"users of a public channel", "GET", channelsPath + "/room/users", nil, 400, "…"},
		{"users with info", "GET", channelsPath + "/presence-a/users", map[string]string{"info": "user_count"}, 400, "The following query string parameters are extraneous: info"},
		{"unknown app", "GET", "/apps/2/channels", nil, 404, "…"},
		{"unknown resource", "GET", "/apps/1/nonsense", nil, 404, "…"},
		{"unknown resource of a channel", "GET", channelsPath + "/room/nonsense", nil, 404, "…"},
		{"no app", "GET", "/apps/", nil, 404, "…"},
		{"DELETE", "DELETE", channelsPath + "/room", nil, 405, "…"},
		{"GET of events", "GET", eventsPath, nil, 405, "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				status, body := restCall{Method: tt.method, Path: tt.path, Query: tt.query}.do(t, s)
				expectAnswer(t, status, body, tt.status, tt.want)
			})
		})
	}
}

// TestBodyWithoutAnEnd sends more than any event can be: it is refused before
// it is read to its end.
func TestBodyWithoutAnEnd(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		huge := bytes.Repeat([]byte(" "), 64<<20)
		copy(huge, validEvent)
		req, err := http.NewRequest(http.MethodPost, s.url("http", eventsPath), bytes.NewReader(huge))
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.httpClient().Do(req)
		if err != nil {
			return // the connection was cut while the body was being sent
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusRequestEntityTooLarge && res.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %s, want 413 or 401", res.Status)
		}
	})
}

// TestUnsignedBodyThatStops promises a body, sends a part of it and waits: whoever
// cannot sign is answered without it.
func TestUnsignedBodyThatStops(t *testing.T) {
	for name, tt := range map[string]struct {
		head string
		sent int
	}{
		"large":   {"Content-Length: 690000", 689_999},
		"small":   {"Content-Length: 100", 99},
		"nothing": {"Content-Length: 690000", 0},
		"chunked": {"Transfer-Encoding: chunked", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				conn := dialStream(t, s)
				go func() { // an error says that the server has hung up, which is fine
					_, _ = fmt.Fprintf(conn, "POST %s?auth_key=%s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", eventsPath, appKey, tt.head)
					_, _ = conn.Write(bytes.Repeat([]byte("x"), tt.sent))
				}()
				line, err := bufio.NewReader(conn).ReadString('\n')
				if err != nil || !strings.HasPrefix(line, "HTTP/1.1 401 ") {
					t.Errorf("answer: got %q, %v, want 401", line, err)
				}
			})
		})
	}
}

// TestBodyTooLargeForItsSignature is signed, but larger than any event.
func TestBodyTooLargeForItsSignature(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		status, body := post(t, s, eventsPath, event{Name: "a", Channels: []string{room}, Data: strings.Repeat("a", 1<<20)})
		expectAnswer(t, status, body, http.StatusRequestEntityTooLarge, "…")
	})
}

// TestMalformedHTTP sends what net/http refuses by itself.
func TestMalformedHTTP(t *testing.T) {
	tests := []struct {
		name, request string
	}{
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
		{"no host", "GET /apps/1/channels HTTP/1.1\r\n\r\n"},
		{"two lengths", "POST /apps/1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
		{"negative length", "POST /apps/1/events HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello"},
		{"body shorter than its length", "POST /apps/1/events?auth_key=app-key HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				conn := dialStream(t, s)
				if _, err := conn.Write([]byte(tt.request)); err != nil {
					t.Fatal(err)
				}
				if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				answer := new(bytes.Buffer)
				if _, err := answer.ReadFrom(conn); err != nil {
					t.Logf("read: %v", err) // a reset is an answer too
				}
				if strings.HasPrefix(answer.String(), "HTTP/1.1 2") {
					t.Errorf("answer: got %q, want a refusal", answer)
				}
			})
		})
	}
}
