package redisbus_test

import (
	"context"
	"errors"
	"runtime"
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
	config, err := redisbus.ParseURL(s.url())
	if err != nil {
		t.Fatal(err)
	}
	var full atomic.Bool
	room := func(ctx context.Context) error {
		for full.Load() {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	slow, err := redisbus.Open(t.Context(), redisbus.Options{Config: config, Room: room, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Store(false); slow.Close(context.Background()) })
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
