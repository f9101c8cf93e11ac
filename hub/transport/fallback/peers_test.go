package fallback_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/hub/transport/fallback"
	"channels/protocol"
)

// cluster calls test with two nodes that forward to each other.
func cluster(t *testing.T, test func(t *testing.T, a, b *rig)) {
	t.Helper()
	clusterWith(t, newExchange(), [2][]string{{"key"}, {"key"}}, test)
}

// clusterWith is cluster with keys for each node.
func clusterWith(t *testing.T, shared *exchange, keys [2][]string, test func(t *testing.T, a, b *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var nodes [2]*rig
		var between [2]*http.Transport
		for i := range nodes {
			between[i] = &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
				if strings.HasPrefix(addr, "a") {
					return nodes[0].listener.dial()
				}
				return nodes[1].listener.dial()
			}}
			r, stop := newRig(t, func(_ *hub.App, o *fallback.Options) {
				o.Peers, o.PeerTransport = shared.join("http://"+string(rune('a'+i)), keys[i]...), between[i]
			})
			nodes[i] = r
			defer synctest.Wait()
			defer time.Sleep(time.Second) // the HTTP server waits before it closes some connections
			defer stop()
			defer between[i].CloseIdleConnections()
		}
		test(t, nodes[0], nodes[1])
	})
}

// TestForwarding has a stream at one node, and messages sent to the other one.
func TestForwarding(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		s, _ := a.open(base + "xhr_streaming" + query)
		for i := range 3 {
			b.say(base, subscribeTo(fmt.Sprint("news-", i)))
			s.expectEvent("pusher_internal:subscription_succeeded")
		}
		if n := b.over.Sessions(); n != 0 {
			t.Errorf("the other node has %d sessions", n)
		}
		time.Sleep(2 * time.Second)
		s.close()
	})
}

// TestForwardedStream has the stream at the other node, for longer than a request
// may take, and is aborted there.
func TestForwardedStream(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		s := b.stream(base + "xhr_streaming" + query)
		s.expectPrelude()
		if got := s.res.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 {
			t.Errorf("Access-Control-Allow-Origin: got %q", got)
		}
		for range 8 {
			s.expect("h")
			a.say(base)
		}
		a.say(base, subscribeTo("news"))
		s.expectEvent("pusher_internal:subscription_succeeded")
		a.trigger("news", "hello", "1")
		s.expectEvent("hello")
		s.close()
		time.Sleep(1100 * time.Millisecond)
		a.expectEnds(disconnected, 1)
	})
}

// TestPollsInTurn goes from node to node with every request.
func TestPollsInTurn(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		b.say(base, subscribeTo("news"))
		b.poll(base + "xhr" + query)
		const events = 500
		go func() {
			for i := range events {
				a.trigger("news", fmt.Sprint("event-", i), "x")
				if i%7 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
		next := 0
		for turn := 0; next < events; turn++ {
			node := a
			if turn%2 == 0 {
				node = b
			}
			for _, line := range node.poll(base + "xhr" + query) {
				if got, want := eventOf(t, line).Event, fmt.Sprint("event-", next); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				next++
			}
		}
	})
}

func TestOwnerIsGone(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		_ = a.listener.Close()
		a.closeConnections()
		if got := b.poll(base + "xhr" + query); len(got) != 1 || got[0] != `c[4200,"Generic reconnect immediately"]` {
			t.Errorf("got %q, want a close frame", got)
		}
		if status, _ := b.post(base+"xhr_send", `[]`); status != http.StatusNotFound {
			t.Errorf("send: got %d, want 404", status)
		}
	})
}

func TestOwnerDiesWhileStreaming(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		s := b.stream(base + "xhr_streaming" + query)
		s.expectPrelude()
		s.expect("h")
		a.closeConnections()
		s.expect(`c[4200,"Generic reconnect immediately"]`)
		s.expectEnd()
	})
}

// TestOwnerHasLostIt has an owner that does not know what the nodes say it owns.
func TestOwnerHasLostIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newExchange()
		var r *rig
		own := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return r.listener.dial() }}
		r, stop := newRig(t, func(_ *hub.App, o *fallback.Options) {
			o.Peers, o.PeerTransport = shared.join("http://self", "key"), own
		})
		defer synctest.Wait()
		defer stop()
		defer own.CloseIdleConnections()
		// This node by another address, as after a change of its settings: a circle.
		if _, err := shared.join("http://former").Claim(t.Context(), "app-key/123/abcdefgh"); err != nil {
			t.Fatal(err)
		}
		if got := r.poll(base + "xhr" + query); len(got) != 1 || got[0] != `c[4200,"Generic reconnect immediately"]` {
			t.Errorf("got %q, want a close frame", got)
		}
		if status, _ := r.post(base+"xhr_send", `[]`); status != http.StatusNotFound {
			t.Errorf("send: got %d, want 404", status)
		}
	})
}

func TestForgedForwarding(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		a.openPoll(base)
		b.say(base)
		real := a.signed
		words := strings.Fields(real)
		if len(words) != 3 || words[1] != "http" {
			t.Fatalf("signed with %q", real)
		}
		now := words[0]
		earlier := fmt.Sprint(time.Now().Unix() - 1)
		for _, header := range []string{
			"x", "1 2", now + " 00", now + " http 00", now + " http " + strings.Repeat("00", 32), "9223372036854775807 http 00", now + " http x",
			now + " https " + words[2], now + " http://192.0.2.1:1 " + words[2], earlier + " http " + words[2], real + "00",
		} {
			if got := a.sendAs(base+"xhr_send", header); got != http.StatusForbidden {
				t.Errorf("%s: got %d, want 403", header, got)
			}
		}
		if got := a.sendAs(base+"xhr_send?other", real); got != http.StatusForbidden {
			t.Errorf("for another URL: got %d, want 403", got)
		}
		if got := a.sendAs(base+"xhr_send", real); got != http.StatusNoContent {
			t.Errorf("what a node has signed: got %d, want 204", got)
		}
		for range 21 {
			a.say(base)
			time.Sleep(3 * time.Second)
		}
		if got := a.sendAs(base+"xhr_send", real); got != http.StatusForbidden {
			t.Errorf("a minute later: got %d, want 403", got)
		}
	})
}

// sendAs sends no messages, with the header of another node.
func (r *rig) sendAs(url, header string) (status int) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader("[]"))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Channels-Forwarded", header)
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// TestRefusedIsNotOwned requires that a client that was refused at one node may
// connect to the other.
func TestRefusedIsNotOwned(t *testing.T) {
	cluster(t, func(t *testing.T, a, b *rig) {
		a.refuse = protocol.OverCapacity()
		a.poll(base + "xhr" + query)
		if lines := b.poll(base + "xhr" + query); lines[0] != "o" || b.over.Sessions() != 1 {
			t.Errorf("got %q", lines)
		}
	})
}
