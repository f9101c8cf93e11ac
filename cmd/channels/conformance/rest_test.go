//go:build conformance

package conformance

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// restCall is one signed request to the REST API.
type restCall struct {
	Method, Path string
	Query        map[string]string
	Body         []byte

	// Key and Secret default to the development credentials.
	Key, Secret string

	// Before edits the parameters before they are signed.
	Before func(query map[string]string)

	// After edits the parameters, the signature among them, and gives the body
	// to send.
	After func(query map[string]string, body []byte) []byte
}

// do sends the request and gives the answer.
func (r restCall) do(t testing.TB, s *server) (status int, body string) {
	t.Helper()
	status, body, err := r.send(s, s.httpClient())
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	return status, body
}

// send is do for any goroutine, over the connections of a client.
func (r restCall) send(s *server, client *http.Client) (status int, body string, err error) {
	key, secret := cmp.Or(r.Key, appKey), cmp.Or(r.Secret, appSecret)
	query := map[string]string{
		"auth_key":       key,
		"auth_timestamp": strconv.FormatInt(time.Now().Unix(), 10),
		"auth_version":   "1.0",
	}
	maps.Copy(query, r.Query)
	if len(r.Body) > 0 {
		sum := md5.Sum(r.Body)
		query["body_md5"] = hex.EncodeToString(sum[:])
	}
	if r.Before != nil {
		r.Before(query)
	}
	query["auth_signature"] = sign(secret, r.Method+"\n"+r.Path+"\n"+joined(query))
	payload := r.Body
	if r.After != nil {
		payload = r.After(query, payload)
	}

	values := url.Values{}
	for name, value := range query {
		values.Set(name, value)
	}
	req, err := http.NewRequest(r.Method, s.url("http", r.Path+"?"+values.Encode()), bytes.NewReader(payload))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// joined is the query as it is signed: sorted, lower-case names, not escaped.
func joined(query map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		pairs = append(pairs, strings.ToLower(name)+"="+query[name])
	}
	return strings.Join(pairs, "&")
}

const eventsPath = "/apps/" + appID + "/events"

// post sends v as JSON, or as it stands when it is a string.
func post(t testing.TB, s *server, path string, v any) (status int, body string) {
	t.Helper()
	return restCall{Method: http.MethodPost, Path: path, Body: encode(t, v)}.do(t, s)
}

func get(t testing.TB, s *server, path string, query map[string]string) (status int, body string) {
	t.Helper()
	return restCall{Method: http.MethodGet, Path: path, Query: query}.do(t, s)
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	if text, ok := v.(string); ok {
		return []byte(text)
	}
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// event is the body of a trigger.
type event struct {
	Name     string   `json:"name"`
	Channel  string   `json:"channel,omitempty"`
	Channels []string `json:"channels,omitempty"`
	Data     string   `json:"data"`
	SocketID string   `json:"socket_id,omitempty"`
	Info     string   `json:"info,omitempty"`
}

// publish sends an event that has to be accepted.
func publish(t testing.TB, s *server, channel, name, data string) {
	t.Helper()
	status, body := post(t, s, eventsPath, event{Name: name, Channels: []string{channel}, Data: data})
	if status != http.StatusOK || body != "{}" {
		t.Fatalf("publish %s on %s: got %d %q, want 200 {}", name, channel, status, body)
	}
}

// sameJSON requires that two JSON texts mean the same.
func sameJSON(t testing.TB, what, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Errorf("%s: no JSON: %q", what, got)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	gotText, wantText := string(encode(t, g)), string(encode(t, w))
	if gotText != wantText {
		t.Errorf("%s:\n got %s\nwant %s", what, gotText, wantText)
	}
}
