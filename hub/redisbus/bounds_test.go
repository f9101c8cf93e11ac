package redisbus_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/contract"
	"channels/hub/redisbus"
)

// TestSlowNode: a node that cannot take more reads no more, so Redis lets go of
// its connection. It then says that it is not ready, holds no more than it may,
// and makes its sockets reconnect once it can tell that messages are gone.
func TestSlowNode(t *testing.T) {
	s := newServer(t)
	full, room := newRoom()
	slow := openWithRoom(t, s.url(), room)
	t.Cleanup(func() { full.Store(false) })
	fast := open(t, s.url())

	to := hub.Topic{App: "1", Channel: "flood"}
	heard := make(chan string, 100_000)
	followed := make(chan error, 1)
	slow.Follow(to, receiver{heard}, func(err error) { followed <- err })
	if err := <-followed; err != nil {
		t.Fatal(err)
	}
	within(t, "the node is ready", func() bool { return slow.Ready() == nil })
	if slow.Ready() != nil || fast.Err() != nil {
		t.Fatal("not ready to begin with")
	}

	full.Store(true)
	before := heap()
	const events, bytes = 8000, 10_000 // 80 MB: more than Redis keeps for a reader
	publisher := contract.Node{Bus: fast, State: fast}
	name := strings.Repeat("x", bytes)
	for range events {
		if err := publish(publisher, to, name); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	if grown := heap() - before; grown > 40<<20 {
		t.Errorf("the node holds %d MiB more", grown>>20)
	}
	within(t, "the node is not ready", func() bool { return errors.Is(slow.Ready(), hub.ErrUnavailable) })

	full.Store(false)
	within(t, "the sockets are told that something is lost", func() bool {
		for {
			select {
			case text := <-heard:
				if text == "lost" {
					return true
				}
			default:
				return false
			}
		}
	})
	if got := slow.Stats(); got.Lost == 0 || got.Reconnects == 0 {
		t.Errorf("stats: %+v", got)
	}
	within(t, "the node is ready again", func() bool { return slow.Ready() == nil })
	if err := publish(publisher, to, "after"); err != nil {
		t.Fatal(err)
	}
	within(t, "what comes afterwards is heard", func() bool { return <-heard == "after" })
}

// TestFullNode: a node that has no room for longer than a sign of life may take keeps
// its connection, by which it gets everything once it has room. It is not ready
// meanwhile, and says why.
func TestFullNode(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	full, room := newRoom()
	node, other := openWithRoom(t, s.url(), room), nodeOf(open(t, s.url()))
	to := hub.Topic{App: "1", Channel: "c"}
	heard := listen(t, node, to)
	within(t, "the node is ready", func() bool { return node.Ready() == nil })

	t.Cleanup(func() { full.Store(false) })
	full.Store(true)
	var want []string
	next := func() {
		want = append(want, fmt.Sprint("n-", len(want)))
		if err := publish(other, to, want[len(want)-1]); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the node is not ready, and says why", func() bool {
		next()
		err := node.Ready()
		return errors.Is(err, hub.ErrUnavailable) && strings.Contains(err.Error(), "has no room")
	})
	for range 20 { // two seconds, in which the connection would be replaced
		time.Sleep(100 * time.Millisecond)
		next()
	}
	full.Store(false)
	within(t, "the node is ready again", func() bool { return node.Ready() == nil })
	next()
	var got []string
	within(t, "everything comes", func() bool {
		got = append(got, heardWithin(heard, 50*time.Millisecond)...)
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if stats := node.Stats(); stats.Reconnects != 0 || stats.Gaps != 0 || stats.Lost != 0 {
		t.Errorf("%d reconnects, %d gaps, lost %d; want none", stats.Reconnects, stats.Gaps, stats.Lost)
	}
}

// newRoom returns a node's room, and what takes it away.
func newRoom() (full *atomic.Bool, room func(context.Context) error) {
	full = new(atomic.Bool)
	return full, func(ctx context.Context) error {
		for full.Load() {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
}

func openWithRoom(t *testing.T, url string, room func(context.Context) error) *redisbus.Bus {
	t.Helper()
	config, err := redisbus.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := redisbus.Open(t.Context(), redisbus.Options{Config: config, Room: room, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(context.Background()) })
	return b
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestUnusable: what would go wrong later is told at the start.
func TestUnusable(t *testing.T) {
	evicting := newServer(t, "--maxmemory-policy", "allkeys-lru")
	locked := newServer(t, "--requirepass", "secret")
	for url, want := range map[string]string{
		evicting.url():                "its maxmemory-policy is allkeys-lru, which drops who is online when memory is full; set it to noeviction",
		locked.url():                  "NOAUTH",
		"redis://127.0.0.1:1":         "connection refused",
		"redis+cluster://127.0.0.1:1": "connection refused",
	} {
		if err := openFails(t, url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", url, err, want)
		}
	}
}

// TestPolicyOfSuccessor: a server that takes over, and would drop keys, is noticed.
func TestPolicyOfSuccessor(t *testing.T) {
	s := newServer(t)
	a := open(t, s.url())
	if a.Stats().Evicts {
		t.Error("keys are not dropped")
	}
	s.kill()
	s.args = append(s.args, "--maxmemory-policy", "allkeys-lru")
	s.start()
	within(t, "it is noticed", func() bool { return a.Stats().Evicts })
}
