package redisbus_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"channels/hub/redisbus"
)

// openOwners joins a node whose address is its name.
func openOwners(t testing.TB, url, name string) (*redisbus.Bus, *redisbus.Owners) {
	t.Helper()
	b := open(t, url)
	o := b.Owners()
	if err := o.Start(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return b, o
}

func expectOwner(t testing.TB, o *redisbus.Owners, session, want string) {
	t.Helper()
	if got, err := o.Owner(t.Context(), session); err != nil || got != want {
		t.Errorf("owner of %s: got %q, %v, want %q", session, got, err, want)
	}
}

func claim(t testing.TB, o *redisbus.Owners, session, want string) {
	t.Helper()
	if got, err := o.Claim(t.Context(), session); err != nil || got != want {
		t.Errorf("claim of %s: got %q, %v, want %q", session, got, err, want)
	}
}

// TestOwners runs over a standalone Redis and a cluster.
func TestOwners(t *testing.T) {
	_, cluster := newCluster(t, 3, 0)
	for name, url := range map[string]string{"standalone": newServer(t).url(), "cluster": cluster} {
		t.Run(name, func(t *testing.T) {
			_, a := openOwners(t, url, "http://a")
			_, b := openOwners(t, url, "http://b")
			expectOwner(t, a, "key/1/none", "")
			for i := range 20 {
				session := fmt.Sprint("key/1/session", i)
				claim(t, a, session, "")
				claim(t, a, session, "") // again
				claim(t, b, session, "http://a")
				expectOwner(t, a, session, "")
				expectOwner(t, b, session, "http://a")
			}
			_, c := openOwners(t, url, "http://c")
			a.Release("key/1/session0")
			for _, session := range []string{"key/1/session0", "key/1/session1"} {
				a.Release("key/1/session0") // it is another's, the second time
				a.Release(session)
				within(t, "another node owns "+session, func() bool {
					owner, err := c.Claim(t.Context(), session)
					return err == nil && owner == ""
				})
			}
			claim(t, a, "key/1/session0", "http://c")
			if len(a.Keys()) == 0 || !bytes.Equal(a.Keys()[0], b.Keys()[0]) || !bytes.Equal(a.Keys()[0], c.Keys()[0]) {
				t.Error("the nodes have no key in common")
			}
			expectOwner(t, b, "key/1/session1", "http://a") // as b remembers
		})
	}
}

// TestOwnersLeave: a node that leaves owns nothing, and what one that crashes owned
// expires.
func TestOwnersLeave(t *testing.T) {
	s := newServer(t)
	left, l := openOwners(t, s.url(), "http://left")
	crashed, c := openOwners(t, s.url(), "http://crashed")
	_, o := openOwners(t, s.url(), "http://stays")
	claim(t, l, "key/1/left", "")
	claim(t, c, "key/1/crashed", "")
	ctx, cancel := contextFor(5 * time.Second)
	defer cancel()
	left.Close(ctx)
	crashed.Crash()
	expectOwner(t, o, "key/1/left", "")
	expectOwner(t, o, "key/1/crashed", "http://crashed")
	for _, key := range strings.Fields(s.cli("keys", "*:o:*")) {
		if ttl, _ := strconv.Atoi(strings.TrimSpace(s.cli("pttl", key))); ttl <= 0 || ttl > 60_000 {
			t.Errorf("%s lives for %d ms, want a minute at most", key, ttl)
		}
	}
	within(t, "the addresses of those that are gone expire", func() bool {
		return len(strings.Fields(s.cli("keys", "*:node:*"))) == 1
	})
}

// TestOwnersAfterLoss: when Redis has lost everything nodes say again what they own,
// and agree on a key, also with a node that was quicker.
func TestOwnersAfterLoss(t *testing.T) {
	s := newServer(t)
	bus, a := openOwners(t, s.url(), "http://a")
	_, b := openOwners(t, s.url(), "http://b")
	const sessions = 1200 // more than fit in a pipeline
	for i := range sessions {
		claim(t, a, fmt.Sprint("key/1/session", i), "")
	}
	before, began := a.Keys()[0], time.Now()
	s.cli("eval", "redis.call('flushall'); redis.call('set', KEYS[1], ARGV[1])", "1", bus.SecretKey(), strings.Repeat("ab", 32))
	within(t, "all is said again", func() bool {
		return len(strings.Fields(s.cli("keys", "*:o:*"))) == sessions
	})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v, which is no sooner than records are renewed anyway", took)
	}
	expectOwner(t, b, fmt.Sprint("key/1/session", sessions-1), "http://a")
	want := bytes.Repeat([]byte{0xab}, 32)
	for _, o := range []*redisbus.Owners{a, b} {
		within(t, "the new key is known", func() bool { return bytes.Equal(o.Keys()[0], want) })
		if len(o.Keys()) != 2 || !bytes.Equal(o.Keys()[1], before) {
			t.Error("the former key is not believed any more")
		}
	}
}

// TestOwnersWithoutRedis: a claim that Redis does not answer is made later, unless
// another node has been quicker.
func TestOwnersWithoutRedis(t *testing.T) {
	s := newServer(t)
	_, a := openOwners(t, s.url(), "http://a")
	_, b := openOwners(t, s.url(), "http://b")
	claim(t, a, "key/1/known", "")
	expectOwner(t, b, "key/1/known", "http://a")
	s.kill()
	if owner, err := a.Claim(t.Context(), "key/1/late"); err == nil || owner != "" {
		t.Errorf("a claim without Redis: got %q, %v", owner, err)
	}
	if _, err := b.Owner(t.Context(), "key/1/other"); err == nil {
		t.Error("a question without Redis: got no error")
	}
	expectOwner(t, b, "key/1/known", "http://a")
	s.start()
	_, c := openOwners(t, s.url(), "http://c")
	for _, session := range []string{"key/1/known", "key/1/late"} {
		within(t, "the claim is made", func() bool {
			owner, err := c.Owner(t.Context(), session)
			return err == nil && owner == "http://a"
		})
	}
}

func TestLocalAddr(t *testing.T) {
	for url, want := range map[string]string{
		"redis://127.0.0.1:1": "127.0.0.1", "redis://[::1]": "::1", "unix:///tmp/redis.sock": "127.0.0.1",
		"redis+cluster://127.0.0.1:1,127.0.0.2:2": "127.0.0.1",
	} {
		config, err := redisbus.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := config.LocalAddr(t.Context()); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v, want %s", url, got, err, want)
		}
	}
}
