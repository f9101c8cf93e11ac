//go:build conformance && !goroutinereaders

package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// httpClient is a client on the streaming HTTP transport.
type httpClient struct {
	t      testing.TB
	base   string
	frames chan frame
	ended  string // the frame that closed the session; set before frames is closed
}

// connectHTTP gives an established connection of a session with this number.
func connectHTTP(t testing.TB, s *server, number int) *httpClient {
	t.Helper()
	c := &httpClient{t: t, base: fmt.Sprintf("http://%s/pusher/app/%s/%d/session%d/", s.Addr, appKey, number%1000, 1000+number),
		frames: make(chan frame, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"xhr_streaming?protocol=7&client=js&version=8.6.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", c.base, res.Status)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(c.frames)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			c.take(lines.Text())
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	c.expect("pusher:connection_established", "")
	return c
}

func (c *httpClient) take(line string) {
	switch line[0] {
	case 'a':
		var messages []string
		if err := json.Unmarshal([]byte(line[1:]), &messages); err != nil {
			c.t.Errorf("not a message: %q", line)
		}
		for _, message := range messages {
			f := frame{Raw: message}
			if err := json.Unmarshal([]byte(message), &f); err != nil {
				c.t.Errorf("not an event: %q", message)
			}
			c.frames <- f
		}
	case 'c':
		c.ended = line
	}
}

func (c *httpClient) send(text string) {
	c.t.Helper()
	res, err := http.Post(c.base+"xhr_send", "application/json", strings.NewReader("["+quote(text)+"]"))
	if err != nil {
		c.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		c.t.Fatalf("%s: send was answered %s", c.base, res.Status)
	}
}

func (c *httpClient) expect(event, channel string) frame {
	c.t.Helper()
	select {
	case f, open := <-c.frames:
		if !open || f.Event != event || f.Channel != channel {
			c.t.Fatalf("got %s (end %q), want event %q on channel %q", f.Raw, c.ended, event, channel)
		}
		return f
	case <-time.After(patience):
		c.t.Fatalf("no %s within %v", event, patience)
	}
	panic("unreachable")
}

// TestFallbackBehindProxy leads HTTP sessions through the nginx of
// docker-compose.yml to two nodes, whichever their requests come to. When one goes,
// its sessions end with 4200.
func TestFallbackBehindProxy(t *testing.T) {
	r := startRedis(t)
	nodes := startCluster(t, r, 2)
	front := &server{t: t, Addr: startProxy(t, nodes)}
	const sessions = 24
	var clients []*httpClient
	for i := range sessions {
		c := connectHTTP(t, front, i)
		c.send(subscribeFrame("proxied", "", ""))
		c.expect("pusher_internal:subscription_succeeded", "proxied")
		clients = append(clients, c)
	}
	for i, s := range nodes {
		_, metrics := s.opsGet("/metrics")
		if strings.Contains(metrics, `channels_transport_connections{transport="xhr_streaming"} 0`) {
			t.Errorf("node %d has no session", i)
		}
	}
	for i := range 20 {
		ok(t, "Trigger", sdk(front).Trigger("proxied", "e", fmt.Sprint(i)))
	}
	for _, c := range clients {
		for i := range 20 {
			if f := c.expect("e", "proxied"); f.text(t) != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", f.Raw, i)
			}
		}
	}
	nodes[1].terminate()
	gone := 0
	nodes[1].awaitExit()
	for _, c := range clients {
		select {
		case f, open := <-c.frames:
			if open && f.Event != "pusher:error" {
				t.Errorf("got %s", f.Raw)
			}
			for range c.frames { // to the end
			}
			if gone++; c.ended != `c[4200,"Generic reconnect immediately"]` {
				t.Errorf("a session ended with %q", c.ended)
			}
		default:
			c.send(`{"event":"pusher:ping"}`)
			c.expect("pusher:pong", "")
		}
	}
	if gone == 0 || gone == sessions {
		t.Errorf("%d of %d sessions ended with their node", gone, sessions)
	}
}
