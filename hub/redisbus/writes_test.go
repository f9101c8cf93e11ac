package redisbus_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
	"channels/hub/redisbus"
)

// refusals are the reasons for which Redis takes no writes, each with what brings
// it about and what ends it.
var refusals = map[string]struct{ cause, end func(*server) }{
	"OOM": {
		func(s *server) { s.cli("config", "set", "maxmemory", "1") },
		func(s *server) { s.cli("config", "set", "maxmemory", "0") },
	},
	"NOREPLICAS": {
		func(s *server) { s.cli("config", "set", "min-replicas-to-write", "1") },
		func(s *server) { s.cli("config", "set", "min-replicas-to-write", "0") },
	},
	"MISCONF": {
		func(s *server) {
			_ = os.RemoveAll(s.dir)
			_, _ = s.try("bgsave")
			within(s.t, "saving has failed", func() bool {
				return strings.Contains(s.cli("info", "persistence"), "rdb_last_bgsave_status:err")
			})
			s.cli("config", "set", "save", "3600 1")
		},
		func(s *server) { s.cli("config", "set", "stop-writes-on-bgsave-error", "no") },
	},
}

// TestRefusedReachesNobody: what is answered ErrUnavailable has not gone out, and
// what is taken once Redis takes writes again comes once.
func TestRefusedReachesNobody(t *testing.T) {
	for name, r := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			a, b := open(t, s.url()), open(t, s.url())
			to := hub.Topic{App: "1", Channel: "c"}
			heard := listen(t, b, to)
			r.cause(s)
			answered := make(chan error, 3)
			go func() {
				for range 3 {
					answered <- publish(nodeOf(a), to, "refused")
				}
			}()
			refused := 0
			for range 3 {
				if errors.Is(<-answered, hub.ErrUnavailable) {
					refused++
				}
			}
			if refused != 3 {
				t.Errorf("%d of 3 were refused as reaching nobody", refused)
			}
			if got := heardWithin(heard, 500*time.Millisecond); len(got) > 0 {
				t.Errorf("refused, but heard: %v", got)
			}
			go func() { answered <- publish(nodeOf(a), to, "kept") }()
			time.Sleep(100 * time.Millisecond)
			r.end(s)
			taken := <-answered == nil
			within(t, "publishes are taken again", func() bool { return publish(nodeOf(a), to, "after") == nil })
			got := heardWithin(heard, 2*time.Second)
			kept := 0
			for _, text := range got {
				if text == "kept" {
					kept++
				}
			}
			if taken && kept != 1 || !taken && kept != 0 {
				t.Errorf("taken %v, but heard %d times", taken, kept)
			}
			if !slices.Contains(got, "after") {
				t.Errorf("what was taken afterwards has not come: %v", got)
			}
		})
	}
}

// TestOutcomes: what Redis answers is understood. Each answer is that of a real
// Redis.
func TestOutcomes(t *testing.T) {
	const write = "redis.call('SET', KEYS[1], 'x') return {'ok'}"
	run := func(c *redis.Client, script string) ([]any, error) {
		return c.Eval(context.Background(), script, []string{"k"}).Slice()
	}
	client := func(t *testing.T, s *server) *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: s.host(), MaxRetries: -1, Protocol: 2, ReadTimeout: 300 * time.Millisecond, PoolSize: 1, PoolTimeout: 50 * time.Millisecond})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for name, test := range map[string]struct {
		want string
		do   func(*testing.T) ([]any, error)
	}{
		"carried out": {"done", func(t *testing.T) ([]any, error) { return run(client(t, newServer(t)), write) }},
		"late": {"refused", func(t *testing.T) ([]any, error) {
			return run(client(t, newServer(t)), "return {'late', '1'}")
		}},
		"NOSCRIPT": {"not loaded", func(t *testing.T) ([]any, error) {
			return client(t, newServer(t)).EvalSha(context.Background(), strings.Repeat("0", 40), []string{"k"}).Slice()
		}},
		"a mistake": {"broken", func(t *testing.T) ([]any, error) {
			return run(client(t, newServer(t)), "return redis.call('HGET', 'k')")
		}},
		"READONLY": {"not done", func(t *testing.T) ([]any, error) {
			s := newServer(t)
			s.cli("replicaof", "127.0.0.1", "1")
			s.cli("config", "set", "replica-serve-stale-data", "yes")
			return run(client(t, s), write)
		}},
		"MASTERDOWN": {"not done", func(t *testing.T) ([]any, error) {
			s := newServer(t, "--replica-serve-stale-data", "no")
			s.cli("replicaof", "127.0.0.1", "1")
			return run(client(t, s), write)
		}},
		"CLUSTERDOWN": {"not done", func(t *testing.T) ([]any, error) {
			return run(client(t, newServer(t, "--cluster-enabled", "yes")), write)
		}},
		"BUSY": {"not done", func(t *testing.T) ([]any, error) {
			s := newServer(t, "--busy-reply-threshold", "50")
			go func() { _, _ = run(client(t, s), "while true do end") }()
			defer s.kill()
			var reply []any
			var err error
			within(t, "redis says that it is busy", func() bool {
				reply, err = run(client(t, s), write)
				return err != nil && strings.HasPrefix(err.Error(), "BUSY")
			})
			return reply, err
		}},
		"NOAUTH": {"not done", func(t *testing.T) ([]any, error) {
			return run(client(t, newServer(t, "--requirepass", "x")), write)
		}},
		"NOPERM": {"not done", func(t *testing.T) ([]any, error) {
			s := newServer(t)
			s.cli("acl", "setuser", "default", "-@scripting")
			return run(client(t, s), write)
		}},
		"nobody listens": {"not done", func(t *testing.T) ([]any, error) {
			s := newServer(t)
			s.kill()
			return run(client(t, s), write)
		}},
		"no connection is free": {"not done", func(t *testing.T) ([]any, error) {
			s := newServer(t)
			c := client(t, s)
			held := c.Conn()
			defer held.Close()
			_ = held.Ping(context.Background())
			return run(c, write)
		}},
		"not answered": {"unknown", func(t *testing.T) ([]any, error) {
			s := newServer(t)
			c := client(t, s)
			_ = c.Ping(context.Background())
			return run(c, "redis.call('SET', KEYS[1], 'x') local n = 0 for i = 1, 300000000 do n = n + i end return {'ok'}")
		}},
		"cut off": {"unknown", func(t *testing.T) ([]any, error) {
			s := newServer(t)
			c := client(t, s)
			_ = c.Ping(context.Background())
			time.AfterFunc(50*time.Millisecond, s.kill)
			return run(c, "redis.call('SET', KEYS[1], 'x') local n = 0 for i = 1, 300000000 do n = n + i end return {'ok'}")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			reply, err := test.do(t)
			if got := redisbus.OutcomeOf(reply, err); got != test.want {
				t.Errorf("got %s of %v, %v; want %s", got, reply, err, test.want)
			}
		})
	}
	for name, r := range refusals {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			c := client(t, s)
			_ = c.Ping(context.Background())
			r.cause(s)
			reply, err := run(c, write)
			if got := redisbus.OutcomeOf(reply, err); got != "not done" {
				t.Errorf("got %s of %v, %v; want not done", got, reply, err)
			}
			r.end(s)
		})
	}
}
