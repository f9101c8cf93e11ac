package redisbus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/redisbus"
	"channels/protocol"
)

// openGraced opens a node with a grace for app 1.
func openGraced(t *testing.T, url string, grace time.Duration) *redisbus.Bus {
	t.Helper()
	config, err := redisbus.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := redisbus.Open(context.Background(), redisbus.Options{
		Config: config, Log: testLog(t), Graces: map[string]time.Duration{"1": grace},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func closeBus(b *redisbus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b.Close(ctx)
}

func enters(t *testing.T, b *redisbus.Bus, to hub.Topic, user string) {
	t.Helper()
	done := make(chan error, 1)
	b.Join(hub.Join{Topic: to, Subscribers: 1, Member: &protocol.Member{ID: user, Info: []byte(`{"n":1}`)}}, func(_ hub.Joined, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func usersOn(t *testing.T, b *redisbus.Bus, to hub.Topic) []string {
	t.Helper()
	users, err := b.Users(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(users)
	return users
}

// TestMembersAreAdopted: when a node ends, or dies, its members stay for their grace, and
// who has come back to another node stays for good.
func TestMembersAreAdopted(t *testing.T) {
	for name, ends := range map[string]func(*redisbus.Bus){
		"it ends": closeBus,
		"it dies": (*redisbus.Bus).Crash,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const grace = 4 * time.Second
			s := newServer(t)
			a, b, c := openGraced(t, s.url(), grace), openGraced(t, s.url(), grace), openGraced(t, s.url(), grace)
			t.Cleanup(func() { closeBus(b); closeBus(c) })
			to, plain := hub.Topic{App: "1", Channel: "presence-x"}, hub.Topic{App: "2", Channel: "presence-x"}
			watch := new(deaf)
			followed := make(chan error, 1)
			b.Follow(to, watch, func(err error) { followed <- err })
			if err := <-followed; err != nil {
				t.Fatal(err)
			}
			enters(t, b, to, "watcher")
			for i := range 5 {
				enters(t, a, to, fmt.Sprint("user-", i))
			}
			enters(t, a, plain, "of another app")
			within(t, "all are announced", func() bool { return watch.entered.Load() == 6 })
			ends(a)
			within(t, "the app without a grace has nobody", func() bool { return len(usersOn(t, b, plain)) == 0 })
			within(t, "all are adopted", func() bool { return strings.TrimSpace(s.cli("eval", adoptedAll, "0")) == "6" })
			adopted := time.Now()
			enters(t, c, to, "user-3")
			enters(t, b, to, "user-4")
			if n := watch.left.Load(); n != 0 {
				t.Errorf("%d were announced gone", n)
			}
			within(t, "the others are announced gone", func() bool { return watch.left.Load() == 3 })
			if took := time.Since(adopted); took < grace-time.Second {
				t.Errorf("after %v, and the grace is %v", took, grace)
			}
			time.Sleep(500 * time.Millisecond)
			if got := usersOn(t, c, to); fmt.Sprint(got) != "[user-3 user-4 watcher]" {
				t.Errorf("users %v", got)
			}
			if n := watch.entered.Load(); n != 6 {
				t.Errorf("%d were announced", n)
			}
		})
	}
}

// adoptedAll counts the users that living nodes have on a channel.
const adoptedAll = `
local n = 0
for _, key in ipairs(redis.call('KEYS', '*:h:1:presence-x:*')) do
  local tag, node = string.match(key, '^(.-):h:1:presence%-x:(.*)$')
  if redis.call('SISMEMBER', tag .. ':nodes', node) == 1 then n = n + redis.call('SCARD', key) end
end
return n`
