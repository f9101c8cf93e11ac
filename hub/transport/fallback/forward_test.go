package fallback_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/hub/transport/fallback"
	"channels/protocol"
)

// reconnect is the close frame with which a session ends that has lost its node.
const reconnect = `c[4200,"Generic reconnect immediately"]`

var tooLarge = hub.End{Code: protocol.CodeTooBig, Reason: hub.TooLarge}

// TestClientIsPassedOn has the owner decide about the client, and not about the node
// that forwards its requests.
func TestClientIsPassedOn(t *testing.T) {
	for _, from := range []fallback.Client{
		{Address: netip.MustParseAddrPort("192.0.2.1:80"), Secure: true},
		{Address: netip.MustParseAddrPort("[2001:db8::1]:0")},
		{Secure: true},
		{},
	} {
		cluster(t, func(t *testing.T, a, b *rig) {
			b.from = from
			const session = "http://server/pusher/123/abcdefgh/"
			a.poll(session + "xhr")
			b.say(session, `{"path":"/app/app-key?protocol=7"}`)
			if got := a.admitted; len(got) != 1 || got[0] != from {
				t.Errorf("got %v, want %v", got, from)
			}
		})
	}
}

// TestClientGoes requires that the owner is told at once, and that nobody counts a
// session which has lost its node.
func TestClientGoes(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		s := b.stream(base + "xhr_streaming" + query)
		s.expectPrelude()
		if n := b.over.Receivers(); n != 1 {
			t.Errorf("%d requests wait at the node, want 1", n)
		}
		s.close()
		synctest.Wait()
		if a, b := a.over.Receivers(), b.over.Receivers(); a != 0 || b != 0 {
			t.Errorf("%d and %d requests wait, want none", a, b)
		}
		b.expectEnds(hub.End{}, 0)
		if stats := b.over.Stats(); stats.Forwarded != 1 || stats.Orphaned != 0 {
			t.Errorf("got %+v, want one request forwarded", stats)
		}
	})
}

// TestForwardedBodies has bodies of every size, for both kinds of requests.
func TestForwardedBodies(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		b.say(base, subscribeTo("news"), `{"event":"pusher:ping","pad":"`+strings.Repeat("x", 60<<10)+`"}`)
		if status, text := b.post(base+"xhr"+query, "ignored"); status != http.StatusOK || !strings.HasPrefix(text, "a") {
			t.Errorf("a poll with a body: got %d %q, want messages", status, text)
		}
		if status, _ := b.post(base+"xhr_send", `["`+strings.Repeat("x", 300<<10)+`"]`); status != http.StatusRequestEntityTooLarge {
			t.Errorf("a message that is too large: got %d, want 413", status)
		}
		if lines := b.poll(base + "xhr" + query); !strings.HasPrefix(lines[len(lines)-1], "c[1009,") {
			t.Errorf("got %q, want a close frame", lines)
		}
		a.expectEnds(tooLarge, 1)
	})
}

// TestOwnerIsSilent has an owner that takes requests and does not answer.
func TestOwnerIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newExchange()
		var far []net.Conn
		silent := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, other := net.Pipe()
			far = append(far, other)
			go func() {
				b := make([]byte, 1<<10)
				for {
					if _, err := other.Read(b); err != nil {
						return
					}
				}
			}()
			return near, nil
		}}
		r, stop := newRig(t, func(_ *hub.App, o *fallback.Options) {
			o.Peers, o.PeerTransport = shared.join("http://self", "key"), silent
		})
		defer synctest.Wait()
		defer stop()
		defer silent.CloseIdleConnections()
		if _, err := shared.join("http://silent").Claim(t.Context(), "app-key/123/abcdefgh"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got := r.poll(base + "xhr" + query); len(got) != 1 || got[0] != reconnect {
			t.Errorf("got %q, want a close frame", got)
		}
		if took := time.Since(began); took < 40*time.Second || took > time.Minute {
			t.Errorf("it took %v", took)
		}
		if status, _ := r.post(base+"xhr_send", `[]`); status != http.StatusNotFound {
			t.Errorf("send: got %d, want 404", status)
		}
		for _, conn := range far {
			_ = conn.Close()
		}
	})
}

// TestLeave has a node end what it forwards, spread over a time, and send on clients
// that come to it.
func TestLeave(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		const sessions = 20
		path := func(i int) string { return fmt.Sprintf("http://server/pusher/app/app-key/1/session%02d/", i) }
		var streams []*stream
		for i := range sessions {
			a.openPoll(path(i))
			s := b.stream(path(i) + "xhr_streaming" + query)
			s.expectPrelude()
			streams = append(streams, s)
		}
		began := time.Now()
		b.over.Leave(10 * time.Second)
		ended := make(chan time.Duration, sessions)
		for _, s := range streams {
			go func() {
				if line, err := s.line(); err != nil || line != reconnect {
					t.Errorf("got %q, %v, want a close frame", line, err)
				}
				ended <- time.Since(began)
			}()
		}
		var at []time.Duration
		for _, s := range streams {
			at = append(at, <-ended)
			defer s.close()
		}
		if first, last := slices.Min(at), slices.Max(at); last > 10*time.Second || last-first < time.Second {
			t.Errorf("they ended from %v to %v", first, last)
		}
		a.openPoll(base)
		if lines := b.poll(base + "xhr" + query); len(lines) != 1 || lines[0] != "h" {
			t.Errorf("a poll: got %q, want a heartbeat", lines)
		}
		b.say(base, subscribeTo("news"))
		if lines := b.poll(base + "xhr_streaming" + query); len(lines) != 1 || lines[0] != reconnect {
			t.Errorf("a stream: got %q, want a close frame", lines)
		}
		if lines := a.poll(base + "xhr" + query); !strings.Contains(strings.Join(lines, ""), "subscription_succeeded") {
			t.Errorf("at the owner: got %q", lines)
		}
	})
}

// TestKeys has nodes of which one has learnt of a new key already, and nodes that
// have none in common.
func TestKeys(t *testing.T) {
	clusterWith(t, newExchange(), [2][]string{{"new", "old"}, {"old"}}, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		b.say(base, subscribeTo("news"))
	})
	clusterWith(t, newExchange(), [2][]string{{"one"}, {"other"}}, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		if got := b.poll(base + "xhr" + query); len(got) != 1 || got[0] != reconnect {
			t.Errorf("got %q, want a close frame", got)
		}
	})
}

// TestUnknownAppsAreNotAsked keeps strangers from reaching what nodes share.
func TestUnknownAppsAreNotAsked(t *testing.T) {
	shared := newExchange()
	clusterWith(t, shared, [2][]string{{"key"}, {"key"}}, func(t *testing.T, a, _ *rig) {
		const stranger = "http://server/pusher/app/nobody/123/abcdefgh/"
		a.poll(stranger + "xhr" + query)
		if status, _ := a.post(stranger+"xhr_send", `[]`); status != http.StatusNotFound {
			t.Errorf("send: got %d, want 404", status)
		}
		if shared.asked != 0 || len(shared.owners) != 0 {
			t.Errorf("asked %d times, owners %v", shared.asked, shared.owners)
		}
		a.poll(base + "xhr" + query)
		if shared.asked != 1 || len(shared.owners) != 1 {
			t.Errorf("a known app: asked %d times, owners %v", shared.asked, shared.owners)
		}
	})
}

func TestReach(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		if err := a.over.Reach(t.Context(), "http://a"); err != nil {
			t.Errorf("itself: %v", err)
		}
		if err := a.over.Reach(t.Context(), "http://b"); err == nil || !strings.Contains(err.Error(), "another node") {
			t.Errorf("another node: got %v", err)
		}
		_ = b.listener.Close()
		b.closeConnections()
		if err := a.over.Reach(t.Context(), "http://b"); err == nil {
			t.Error("nobody: got no error")
		}
	})
	clusterWith(t, newExchange(), [2][]string{{"one"}, {"other"}}, func(t *testing.T, a, _ *rig) {
		if err := a.over.Reach(t.Context(), "http://b"); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("another deployment: got %v", err)
		}
	})
}

func TestPublicHostname(t *testing.T) {
	run(t, func(_ *hub.App, o *fallback.Options) { o.PublicHostname = "node1.example.com" }, func(t *testing.T, r *rig) {
		if lines := r.poll(base + "xhr" + query); lines[0] != `o{"hostname":"node1.example.com"}` {
			t.Errorf("got %q, want the hostname", lines)
		}
		r.say(base, subscribeTo("news"))
	})
}
