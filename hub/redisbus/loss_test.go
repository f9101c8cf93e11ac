package redisbus_test

import (
	"fmt"
	"net"
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
	log := b.Tag(redisbus.PartitionOf(to)) + ":log"
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

// proxy stands between a node and Redis, and can be cut.
type proxy struct {
	listener net.Listener
	to       string
	closed   atomic.Bool                       // for new connections
	refuses  atomic.Pointer[func([]byte) bool] // what a node may not say

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to}
	go p.run()
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

func (p *proxy) run() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil || p.closed.Load() {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		go p.carry(in, out, true)
		go p.carry(out, in, false)
	}
}

func (p *proxy) carry(from, to net.Conn, request bool) {
	defer func() { _ = from.Close(); _ = to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if refuses := p.refuses.Load(); err != nil || request && refuses != nil && (*refuses)(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections, and takes no more.
func (p *proxy) cut() {
	p.closed.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) mend() { p.closed.Store(false) }
