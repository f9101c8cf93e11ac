//go:build conformance

package conformance

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestRefusalsAreLogged asks for what is not granted, and requires one line for each
// that tells who asked for what, and what the answer was.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	s := start(t)

	dial(t, s, "/app/nobody?protocol=7").expectErrorCode(4001, "App key nobody not in this cluster. Did you forget to specify the cluster?")
	c := connect(t, s)
	c.send(subscribeFrame("private-a", "app-key:0000", ""))
	c.next()
	c.send(`{"event":"pusher:signin","data":{"auth":"app-key:0000","user_data":"{\"id\":\"7\"}"}}`)
	c.send(`{"event":"client-a","channel":"room","data":{}}`)
	c.send(`{"event":`)
	call := restCall{Method: http.MethodGet, Path: "/apps/1/channels", Secret: "wrong"}
	if status, _ := call.do(t, s); status != http.StatusUnauthorized {
		t.Fatalf("a call with a wrong secret: got %d, want 401", status)
	}

	for name, want := range map[string]string{
		"handshake":    `kind=handshake client=127\.0\.0\.1:\d+ code=4001 told="App key nobody not`,
		"subscribe":    `kind=subscribe app=1 socket=\d+\.\d+ client=127\.0\.0\.1:\d+ told=".*` + regexp.QuoteMeta(c.SocketID+":private-a"),
		"signin":       `kind=signin app=1 socket=\d+\.\d+ client=127\.0\.0\.1:\d+ code=4009 told=".*` + regexp.QuoteMeta(c.SocketID+"::user::"),
		"client event": `kind=client_event app=1 socket=\d+\.\d+ client=127\.0\.0\.1:\d+ .*told=`,
		"message":      `kind=message app=1 socket=\d+\.\d+ client=127\.0\.0\.1:\d+ told="Invalid JSON"`,
		"request":      `kind=request app=1 client=127\.0\.0\.1:\d+ call="GET /apps/1/channels" code=401 told=".*GET`,
	} {
		line := regexp.MustCompile(want)
		eventually(t, "a line of the "+name, func() (string, bool) {
			text := s.log.String()
			return text, line.MatchString(text)
		})
	}
	if text := s.log.String(); strings.Contains(text, "app-secret") {
		t.Error("the log shows a secret")
	}
	_, page := s.opsGet("/metrics")
	for _, want := range []string{
		`channels_refusals_total{app_id="",code="4001",kind="handshake"} 1`,
		`channels_refusals_total{app_id="1",code="401",kind="request"} 1`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
