//go:build conformance && !goroutinereaders

package conformance

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const (
	unreachable = "other nodes cannot forward requests"
	wrongPlace  = "other nodes do not reach this one"
	reached     = "this node reaches itself"
)

// TestAdvertise: the address that a node tells others, by default and when it is set,
// and what the node says when nobody reaches it there.
func TestAdvertise(t *testing.T) {
	r := startRedis(t)
	other := startNode(t, r)
	for name, test := range map[string]struct {
		settings []string
		want     string // without the port of the node; "" = the address of listen
		warning  string
	}{
		"by default":     {},
		"every address":  {settings: []string{"--listen=0.0.0.0:0", "CHANNELS_APP_SECRET=not-that-of-development"}, want: "127.0.0.1"},
		"nobody's":       {settings: []string{"--advertise=127.0.0.1:1"}, want: "127.0.0.1:1", warning: unreachable},
		"another node's": {settings: []string{"--advertise=" + other.Addr}, want: other.Addr, warning: unreachable},
		"off":            {settings: []string{"CHANNELS_ADVERTISE=off"}, want: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startNode(t, r, append(test.settings, "--log-level=debug")...)
			want := test.want
			if want == "" {
				want = s.Addr
			} else if net.ParseIP(want) != nil {
				_, port, _ := net.SplitHostPort(s.Addr)
				want = net.JoinHostPort(want, port)
			}
			if !strings.Contains(s.FirstLine+" ", " advertise="+want+" ") {
				t.Errorf("first line %s, want advertise=%s", s.FirstLine, want)
			}
			if test.warning != "" {
				within(t, patience, "the node warns", func() bool { return strings.Contains(s.log.String(), test.warning) })
				return
			}
			if want != "none" {
				within(t, patience, "the node has asked itself", func() bool { return strings.Contains(s.log.String(), reached) })
			}
			s.alive()
			for _, warning := range []string{unreachable, wrongPlace} {
				if strings.Contains(s.log.String(), warning) {
					t.Errorf("the node warns:\n%s", s.log)
				}
			}
		})
	}
}

// TestForwardingBetweenKinds has sessions at one node and their messages sent to
// another one, for each way in which nodes may be set up.
func TestForwardingBetweenKinds(t *testing.T) {
	for _, k := range []kind{plain, overTLS} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			settings := []string{"--redis=" + r.url(), "CHANNELS_APP_FORCE_TLS=" + map[bool]string{true: "true", false: "false"}[k.tls]}
			a, b := k.start(t, settings...), k.start(t, settings...)
			const path = "/pusher/app/" + appKey + "/123/session1/"
			poll := func(s *server) (int, string) { return httpPost(t, s, path+"xhr?protocol=7", "") }
			if status, body := poll(a); status != http.StatusOK || !strings.HasPrefix(body, "o\n") {
				t.Fatalf("got %d %q, want an open session", status, body)
			}
			if !strings.Contains(r.cli("--scan", "--pattern", "*:o:*"), "/123/session1") {
				t.Error("redis does not know the session")
			}
			if status, body := httpPost(t, b, path+"xhr_send", "["+quote(subscribeFrame(room, "", ""))+"]"); status != http.StatusNoContent {
				t.Fatalf("send: got %d %q", status, body)
			}
			got := ""
			for !strings.Contains(got, "subscription_succeeded") {
				status, body := poll(b)
				if status != http.StatusOK || strings.HasPrefix(body, "c[") {
					t.Fatalf("got %d %q", status, body)
				}
				got += body
			}
			if _, metrics := b.opsGet("/metrics"); strings.Contains(metrics, `channels_forwarded_requests_total{outcome="done"} 0`) {
				t.Error("nothing was forwarded")
			}
		})
	}
}

// httpPost makes a request of the HTTP transports.
func httpPost(t testing.TB, s *server, path, body string) (status int, text string) {
	t.Helper()
	res, err := s.httpClient().Post(s.url("http", path), "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(all)
}
