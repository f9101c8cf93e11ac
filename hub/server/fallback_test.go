package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/server"
)

// poll makes the first request of a polling session, and returns the answer.
func (r *rig) poll(session, query string, headers ...string) (status int, body string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.addr+"/pusher/app/"+key+"/1/"+session+"/xhr"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// TestFallbackIsCheckedLikeSockets has the rules of handshakes for sessions.
func TestFallbackIsCheckedLikeSockets(t *testing.T) {
	r := newRig(t, func(a *hub.App) {
		a.AllowedOrigins, a.ForceTLS = []string{"https://example.com"}, true
	}, func(o *options) { o.server.TrustedProxies = server.LoopbackProxies() })
	secure := "X-Forwarded-Proto: https"
	for name, test := range map[string]struct {
		query   string
		headers []string
		want    string
	}{
		"fine":           {"?protocol=7", []string{secure, "Origin: https://example.com"}, ""},
		"plain":          {"?protocol=7", nil, "4000"},
		"other origin":   {"?protocol=7", []string{secure, "Origin: https://other.example"}, "4009"},
		"no protocol":    {"", []string{secure}, "4008"},
		"wrong protocol": {"?protocol=3", []string{secure}, "4007"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := r.poll(strings.ReplaceAll(name, " ", "_")+"________", test.query, test.headers...)
			if status != http.StatusOK || !strings.HasPrefix(body, "o\n") {
				t.Fatalf("got %d %q, want the open frame", status, body)
			}
			if refused := strings.Contains(body, "\nc["+test.want); refused != (test.want != "") {
				t.Errorf("got %q, want refusal %q", body, test.want)
			}
		})
	}
}

func TestFallbackHandshakeLimit(t *testing.T) {
	r := newRig(t, nil, func(o *options) {
		o.server.HandshakesPerSecond = 2
		o.server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	for i := range 3 {
		status, _ := r.poll(fmt.Sprint("session-", i), "?protocol=7", "X-Forwarded-For: 192.0.2.1")
		if want := []int{200, 200, 429}[i]; status != want {
			t.Errorf("session %d: got %d, want %d", i, status, want)
		}
	}
	if status, _ := r.poll("session-0", "?protocol=7", "X-Forwarded-For: 192.0.2.1"); status != http.StatusOK {
		t.Errorf("a session that is open: got %d, want 200", status)
	}
	if status, _ := r.poll("session-4", "?protocol=7", "X-Forwarded-For: 192.0.2.2"); status != http.StatusOK {
		t.Errorf("another address: got %d, want 200", status)
	}
}

// TestStreamsLeaveRoomForRequests has more streams than there may be requests.
func TestStreamsLeaveRoomForRequests(t *testing.T) {
	r := newRig(t, nil, func(o *options) { o.server.MaxRequestConnections = 3 })
	for i := range 6 {
		res, err := http.Post(fmt.Sprintf("http://%s/pusher/app/%s/1/streams%d/xhr_streaming?protocol=7", r.addr, key, i), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() && !strings.Contains(lines.Text(), "connection_established") {
		}
		if lines.Err() != nil {
			t.Fatal(lines.Err())
		}
	}
	began := time.Now()
	if status, _ := r.poll("one-more", "?protocol=7"); status != http.StatusOK {
		t.Errorf("a request beside the streams: got %d after %v", status, time.Since(began))
	}
}

// TestFallbackWhileDraining takes no new sessions, and has clients come back.
func TestFallbackWhileDraining(t *testing.T) {
	r := newRig(t, nil)
	r.front.StartDraining()
	r.front.CloseToSockets()
	if status, body := r.poll("draining", "?protocol=7"); status != http.StatusOK || !strings.Contains(body, `c[4100,"Over capacity"]`) {
		t.Errorf("got %d %q, want 4100", status, body)
	}
}
