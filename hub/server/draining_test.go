package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"channels/hub"
	"channels/protocol"
)

// get asks for a path under a Host, and returns the answer.
func (r *rig) get(path, host string, header http.Header) (*http.Response, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), "GET", "http://"+r.addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Host = host
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	return response, string(body)
}

// TestDraining goes through the stages of a shutdown.
func TestDraining(t *testing.T) {
	r := newRig(t, nil)
	if r.front.HasServed() {
		t.Error("it has served, before the first request")
	}
	if err := r.front.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if response, _ := r.get("/apps/1/channels", "", nil); response.Close {
		t.Error("a connection is not kept alive")
	}
	if !r.front.HasServed() {
		t.Error("it has not served, after the first request")
	}
	r.front.StartDraining()
	if r.front.Ready() == nil {
		t.Error("ready, though it is draining")
	}
	for _, path := range []string{"/apps/1/channels", "/app/app-key", "/pusher/x", "/nothing"} {
		if response, _ := r.get(path, "", nil); !response.Close {
			t.Errorf("GET %s: the connection is kept alive, though the node goes", path)
		}
	}
	r.connect().subscribe("news") // still taken
	r.front.CloseToSockets()
	late := r.dial("/app/app-key?protocol=7")
	late.expect("pusher:error")
	late.expectClose(protocol.CodeOverCapacity, "Over capacity")
}

// TestWelcomePageIsForThisMachine shows the page, which has the secret, to nobody
// else.
func TestWelcomePageIsForThisMachine(t *testing.T) {
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", key, secret
	for name, test := range map[string]struct {
		host   string
		header http.Header
		want   int
	}{
		"its address":          {want: 200},
		"localhost":            {host: "localhost:6001", want: 200},
		"localhost alone":      {host: "LocalHost", want: 200},
		"another loopback":     {host: "127.0.0.2", want: 200},
		"IPv6":                 {host: "[::1]:6001", want: 200},
		"IPv6 alone":           {host: "[::1]", want: 200},
		"a name":               {host: "push.example.com", want: 404},
		"a name that pretends": {host: "localhost.example.com", want: 404},
		"another address":      {host: "192.168.1.5:6001", want: 404},
		"a proxy that keeps quiet about the name": {host: "127.0.0.1:6001", header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}, want: 404},
		"a local client of a local proxy":         {host: "localhost", header: http.Header{"X-Forwarded-For": {"127.0.0.1"}}, want: 200},
	} {
		t.Run(name, func(t *testing.T) {
			log, logged := newLog()
			r := newRig(t, nil, loopbackTrusted, func(o *options) {
				o.server.Log = log
				o.server.Welcome = func() *hub.App { return &app }
				o.server.PublicSecret = func() bool { return true }
			})
			for range 2 {
				response, body := r.get("/", test.host, test.header)
				if response.StatusCode != test.want || (test.want == 200) != strings.Contains(body, secret) {
					t.Errorf("got %d %.50q, want %d", response.StatusCode, body, test.want)
				}
			}
			warnings := strings.Count(logged.String(), "level=WARN")
			if want := map[int]int{200: 0, 404: 1}[test.want]; warnings != want {
				t.Errorf("%d warnings, want %d:\n%s", warnings, want, logged)
			}
			if strings.Contains(logged.String(), secret) {
				t.Error("the secret is logged")
			}
		})
	}
}
