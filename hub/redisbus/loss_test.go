package redisbus_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
	"channels/hub/contract"
	"channels/hub/redisbus"
	"channels/protocol"
)

func nodeOf(b *redisbus.Bus) contract.Node { return contract.Node{Bus: b, State: b} }

// listen has a topic's events given to a channel, confirmed and joined.
func listen(t testing.TB, b *redisbus.Bus, to hub.Topic) chan string {
	t.Helper()
	heard := make(chan string, 100_000)
	done := make(chan error, 1)
	b.Follow(to, receiver{heard}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.Join(hub.Join{Topic: to, Subscribers: 1}, func(_ hub.Joined, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return heard
}

// heardWithin takes what comes in some time.
func heardWithin(heard chan string, wait time.Duration) (got []string) {
	end := time.After(wait)
	for {
		select {
		case s := <-heard:
			got = append(got, s)
		case <-end:
			return got
		}
	}
}

// burst publishes so many events at once, all of which must be taken, and
// returns their names.
func burst(t testing.TB, b *redisbus.Bus, to hub.Topic, prefix string, count, bytes int) []string {
	t.Helper()
	data := []byte(`"` + strings.Repeat("x", bytes) + `"`)
	var all sync.WaitGroup
	names := make([]string, count)
	for i := range count {
		names[i] = fmt.Sprintf("%s-%d", prefix, i)
		all.Add(1)
		m := hub.Message{Topic: to, Frame: protocol.EventFrame(names[i], to.Channel, data, ""), CacheFor: time.Minute}
		b.Publish(m, func(err error) { // cached ones travel alone
			if err != nil {
				t.Errorf("publish: %v", err)
			}
			all.Done()
		})
	}
	all.Wait()
	return names
}

// TestLogTrimmedWhileRead: what the log loses between the reading of two of its
// pages is noticed.
func TestLogTrimmedWhileRead(t *testing.T) {
	s := newServer(t)
	a, b := open(t, s.url()), open(t, s.url())
	to := hub.Topic{App: "1", Channel: "c"}
	heard := listen(t, b, to)
	burst(t, a, to, "before", 10, 1000)
	log := b.Tag(redisbus.PartitionOf(to)) + ":log:1"
	var pages atomic.Int64
	var armed atomic.Bool
	b.Delay(func(commands []redis.Cmder) {
		for _, c := range commands {
			if c.Name() != "xrange" || c.Args()[1] != log || !armed.Load() {
				continue
			}
			switch pages.Add(1) {
			case 1:
				burst(t, a, to, "away", 3000, 1000)
			case 2:
				burst(t, a, to, "between", 6000, 1000)
			}
		}
	})
	armed.Store(true)
	s.cli("client", "kill", "type", "pubsub")
	got := heardWithin(heard, 5*time.Second)
	if pages.Load() < 2 {
		t.Fatal("the log was read in one page: the test proves nothing")
	}
	if !slices.Contains(got, "lost") && len(got) < 9010 {
		t.Errorf("%d of 9010 events came, and nobody was told that some are lost", len(got))
	}
}

// TestQuietStart: a node that starts where much was published has lost nothing.
func TestQuietStart(t *testing.T) {
	s := newServer(t)
	a := open(t, s.url())
	for i := range 100 {
		to := hub.Topic{App: "1", Channel: fmt.Sprintf("c-%d", i)}
		listen(t, a, to)
		burst(t, a, to, "n", 20, 20_000)
	}
	b := open(t, s.url())
	listen(t, b, hub.Topic{App: "1", Channel: "c-0"})
	time.Sleep(1500 * time.Millisecond) // longer than its first reading of the logs
	if got := b.Stats(); got.Lost != 0 || got.Gaps != 0 {
		t.Errorf("lost %d, gaps %d", got.Lost, got.Gaps)
	}
}

// TestCutOffBeforeRedisIsLost: a node that was cut off, while others went on, hears
// that something is lost when Redis then loses what it had.
func TestCutOffBeforeRedisIsLost(t *testing.T) {
	noSubscribing := func(request []byte) bool { return strings.Contains(string(request), "SUBSCRIBE") }
	for name, fault := range map[string]struct{ cut, mend func(*proxy, *server) }{
		"from everything": {
			func(p *proxy, _ *server) { p.cut() },
			func(p *proxy, _ *server) { p.mend() },
		},
		"from what comes": {
			func(p *proxy, s *server) { p.refuses.Store(&noSubscribing); s.cli("client", "kill", "type", "pubsub") },
			func(p *proxy, _ *server) { p.refuses.Store(nil) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			p := newProxy(t, s.host())
			a, b := open(t, p.url()), open(t, s.url())
			to := hub.Topic{App: "1", Channel: "c"}
			heard := listen(t, a, to)
			if err := publish(nodeOf(b), to, "before"); err != nil {
				t.Fatal(err)
			}
			within(t, "it works", func() bool { return <-heard == "before" })
			fault.cut(p, s)
			time.Sleep(time.Second) // longer than clocks may differ by
			if err := publish(nodeOf(b), to, "meanwhile"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			s.kill()
			s.start()
			fault.mend(p, s)
			within(t, "publishes are taken again", func() bool { return publish(nodeOf(b), to, "after") == nil })
			got := heardWithin(heard, 10*time.Second)
			if !slices.Contains(got, "lost") {
				t.Errorf("an event that was taken is missing, and nobody was told: %v", got)
			}
		})
	}
}

// TestRestartLosesNothing: sockets stay when Redis is started empty, although much
// was published up to then; also when connections had ended before, and what they missed
// was read.
func TestRestartLosesNothing(t *testing.T) {
	for name, before := range map[string]func(*server){
		"connections that have held": func(*server) {},
		"connections that had ended": func(s *server) {
			time.Sleep(1500 * time.Millisecond) // for a canary
			s.cli("client", "kill", "type", "pubsub")
			time.Sleep(time.Second)
		},
		"connections that ended at once": func(s *server) {
			s.cli("client", "kill", "type", "pubsub")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			nodes := []*redisbus.Bus{open(t, s.url()), open(t, s.url())}
			var all []chan string
			for i := range 20 {
				all = append(all, listen(t, nodes[i%2], hub.Topic{App: "1", Channel: fmt.Sprintf("c-%d", i)}))
			}
			before(s)
			time.Sleep(1500 * time.Millisecond) // for a canary
			stop := publishWithoutEnd(nodes, 20)
			time.Sleep(time.Second)
			s.kill()
			s.start()
			within(t, "publishes are taken again", func() bool {
				return publish(nodeOf(nodes[0]), hub.Topic{App: "1", Channel: "c-0"}, "after") == nil
			})
			time.Sleep(10 * time.Second) // until all have come back
			stop()
			if got := nodes[0].Stats().Lost + nodes[1].Stats().Lost; got != 0 {
				t.Errorf("told lost in %d partitions", got)
			}
			for i, heard := range all {
				if got := heardWithin(heard, 10*time.Millisecond); !slices.Contains(got, "n") {
					t.Errorf("channel %d heard nothing", i)
				}
			}
		})
	}
}

// publishWithoutEnd publishes on so many channels until the function that it returns is
// called.
func publishWithoutEnd(nodes []*redisbus.Bus, channels int) (end func()) {
	stop := make(chan struct{})
	var publishers sync.WaitGroup
	for w := range 4 {
		publishers.Go(func() {
			for i := w; ; i++ {
				select {
				case <-stop:
					return
				default:
					_ = publish(nodeOf(nodes[i%2]), hub.Topic{App: "1", Channel: fmt.Sprintf("c-%d", i%channels)}, "n")
				}
			}
		})
	}
	return func() {
		close(stop)
		publishers.Wait()
	}
}

// TestNewerKind: what only a newer version understands is skipped.
func TestNewerKind(t *testing.T) {
	s := newServer(t)
	a := open(t, s.url())
	to := hub.Topic{App: "1", Channel: "c"}
	heard := listen(t, a, to)
	before := a.Stats()
	for range 20 {
		s.cli("publish", a.Tag(redisbus.PartitionOf(to))+":t:1:c", fmt.Sprintf("%016d", time.Now().UnixMicro())+"m3:abcnew")
	}
	if err := publish(nodeOf(a), to, "known"); err != nil {
		t.Fatal(err)
	}
	within(t, "what is known comes", func() bool { return <-heard == "known" })
	after := a.Stats()
	if after.UnknownKinds != 20 || after.Reconnects != before.Reconnects {
		t.Errorf("%d of 20 were counted, %d reconnects", after.UnknownKinds, after.Reconnects-before.Reconnects)
	}
}

// TestLogBytes: a log is bounded by its bytes, whatever the size of its entries,
// and a large one costs no more than its own.
func TestLogBytes(t *testing.T) {
	s := newServer(t)
	const bound = 1 << 20
	a := open(t, s.url()+fmt.Sprintf("?log_bytes=%d", bound))
	to := hub.Topic{App: "1", Channel: "c"}
	listen(t, a, to)
	log := a.Tag(redisbus.PartitionOf(to)) + ":log:1"
	length := func() int {
		var n int
		_, _ = fmt.Sscan(s.cli("xlen", log), &n)
		return n
	}
	burst(t, a, to, "small", 3000, 100)
	small := length()
	burst(t, a, to, "large", 1, 50_000)
	if got := length(); got < small-small/8-100 {
		t.Errorf("one large event left %d of %d entries", got, small)
	}
	burst(t, a, to, "large", 100, 50_000)
	var bytes int
	_, _ = fmt.Sscan(s.cli("memory", "usage", log, "samples", "0"), &bytes)
	if bytes > bound+bound/4 || bytes < bound/2 {
		t.Errorf("the log takes %d bytes, want about %d", bytes, bound)
	}
}
