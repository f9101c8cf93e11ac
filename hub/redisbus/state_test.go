package redisbus_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
	"channels/hub/redisbus"
	"channels/protocol"
)

// deaf is a receiver that counts.
type deaf struct{ entered, left, lost, events atomic.Int64 }

func (d *deaf) Receive(m hub.Message) {
	switch m.Signal {
	case hub.Entered:
		d.entered.Add(1)
	case hub.Left:
		d.left.Add(1)
	default:
		d.events.Add(1)
	}
}

func (d *deaf) Lost() { d.lost.Add(1) }

// occupy has a node follow and join so many channels.
func occupy(t testing.TB, b *redisbus.Bus, name string, count int, r hub.Receiver) {
	t.Helper()
	var all sync.WaitGroup
	turns := make(chan struct{}, 1000)
	for i := range count {
		all.Add(1)
		turns <- struct{}{}
		to := hub.Topic{App: "1", Channel: fmt.Sprintf("%s-%d", name, i)}
		end := func(err error) {
			if err != nil {
				t.Errorf("%v: %v", to, err)
			}
			<-turns
			all.Done()
		}
		b.Follow(to, r, func(err error) {
			if err != nil {
				end(err)
				return
			}
			b.Join(hub.Join{Topic: to, Subscribers: 1}, func(_ hub.Joined, err error) { end(err) })
		})
	}
	all.Wait()
}

// enterRoom has users join a presence channel by a node.
func enterRoom(t testing.TB, b *redisbus.Bus, to hub.Topic, ids ...string) {
	t.Helper()
	done := make(chan error, len(ids))
	for i, id := range ids {
		b.Join(hub.Join{Topic: to, Subscribers: i + 1, Member: &protocol.Member{ID: id}}, func(_ hub.Joined, err error) { done <- err })
	}
	for range ids {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// prober publishes one event after the other, and keeps how long each took.
type prober struct {
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	took    []time.Duration
	refused int
}

func probe(b *redisbus.Bus, to hub.Topic) *prober {
	p := &prober{stop: make(chan struct{})}
	p.done.Go(func() {
		for {
			select {
			case <-p.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			began := time.Now()
			err := publish(nodeOf(b), to, "x")
			p.mu.Lock()
			p.took = append(p.took, time.Since(began))
			if err != nil {
				p.refused++
			}
			p.mu.Unlock()
		}
	})
	return p
}

// end stops it and returns what was.
func (p *prober) end(t testing.TB) (p99 time.Duration, refused int) {
	t.Helper()
	close(p.stop)
	p.done.Wait()
	if len(p.took) == 0 {
		return 0, 0
	}
	slices.Sort(p.took)
	p99 = p.took[len(p.took)*99/100]
	t.Logf("%d publishes: p50 %v, p99 %v, worst %v; refused %d", len(p.took), p.took[len(p.took)/2], p99, p.took[len(p.took)-1], p.refused)
	return p99, p.refused
}

// TestMassLeaveAndJoin: however many leave or come at once, publishes are taken,
// and nobody stays who has gone.
func TestMassLeaveAndJoin(t *testing.T) {
	count := *crowdSize
	s := newServer(t)
	a := open(t, s.url())
	hot := hub.Topic{App: "1", Channel: "hot"}
	p := probe(a, hot)
	began := time.Now()
	var all sync.WaitGroup
	var failed atomic.Int64
	receiver := new(deaf)
	for i := range count {
		all.Add(1)
		to := hub.Topic{App: "1", Channel: fmt.Sprintf("private-%d", i)}
		a.Follow(to, receiver, func(error) {
			a.Join(hub.Join{Topic: to, Subscribers: 1}, func(_ hub.Joined, err error) {
				if err != nil {
					failed.Add(1)
				}
				all.Done()
			})
		})
	}
	all.Wait()
	t.Logf("%d joins at once: %v, %d failed", count, time.Since(began), failed.Load())
	_, refused := p.end(t)
	if refused > 0 || failed.Load() > 0 {
		t.Errorf("%d publishes were refused, %d joins failed", refused, failed.Load())
	}

	p = probe(a, hot)
	began = time.Now()
	for i := range count {
		a.Leave(hub.Leave{Topic: hub.Topic{App: "1", Channel: fmt.Sprintf("private-%d", i)}}, func(error) {})
	}
	within(t, "all has been told", func() bool { return a.Stats().Topics == 0 })
	t.Logf("%d leaves at once: %v", count, time.Since(began))
	if _, refused := p.end(t); refused > 0 {
		t.Errorf("%d publishes were refused", refused)
	}
	within(t, "nobody is there", func() bool {
		found, err := a.Channels(t.Context(), "1", "private-")
		return err == nil && len(found) == 0
	})
}

// TestSlowRedisForgetsNoLeave: a leave that waits for longer than anybody does for
// its answer is told all the same.
func TestSlowRedisForgetsNoLeave(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := open(t, s.url())
	room := hub.Topic{App: "1", Channel: "presence-room"}
	var ids []string
	for i := range 2000 {
		ids = append(ids, fmt.Sprintf("u%d", i))
	}
	done := make(chan error, 1)
	a.Follow(room, new(deaf), func(err error) { done <- err })
	<-done
	enterRoom(t, a, room, ids...)
	var slow atomic.Bool
	slow.Store(true)
	a.Delay(func(commands []redis.Cmder) {
		if slow.Load() && commands[0].Name() == "evalsha" {
			time.Sleep(1500 * time.Millisecond)
		}
	})
	var late atomic.Int64
	for i, id := range ids {
		a.Leave(hub.Leave{Topic: room, Subscribers: len(ids) - i - 1, Gone: id}, func(err error) {
			if errors.Is(err, hub.ErrUnavailable) {
				late.Add(1)
			}
		})
	}
	time.Sleep(11 * time.Second)
	slow.Store(false)
	within(t, "nobody is left", func() bool {
		users, err := a.Users(t.Context(), room)
		return err == nil && len(users) == 0
	})
	if late.Load() == 0 {
		t.Error("no leave had to wait for too long: the test proves nothing")
	}
}

// TestNobodyGoneWhileOthersComeBack: after Redis was started empty nobody who is
// there is told gone, however long a node takes to say what it has; also where another
// node compares rosters meanwhile.
func TestNobodyGoneWhileOthersComeBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	watching, slowly := open(t, s.url()), open(t, s.url())
	watcher := new(deaf)
	const rooms = 10
	for i := range rooms {
		room := hub.Topic{App: "1", Channel: fmt.Sprintf("presence-%d", i)}
		done := make(chan error, 1)
		watching.Follow(room, watcher, func(err error) { done <- err })
		<-done
		enterRoom(t, watching, room, "watcher")
		slowly.Follow(room, new(deaf), func(err error) { done <- err })
		<-done
		enterRoom(t, slowly, room, "ann", "bob")
	}
	within(t, "all are announced", func() bool { return watcher.entered.Load() == 3*rooms })
	var slow atomic.Bool
	slowly.Delay(func(commands []redis.Cmder) {
		if slow.Load() {
			time.Sleep(2500 * time.Millisecond)
		}
	})
	slow.Store(true)
	s.kill()
	s.start()
	room := hub.Topic{App: "1", Channel: "presence-0"}
	for end := time.Now().Add(9 * time.Second); time.Now().Before(end); { // longer than all have at least
		s.cli("publish", watching.Tag(redisbus.PartitionOf(room))+":t:1:presence-0", fmt.Sprintf("%016ds1", time.Now().UnixMicro()))
		time.Sleep(200 * time.Millisecond)
	}
	slow.Store(false)
	within(t, "all have come back", func() bool {
		return watching.Stats().Settling == 0 && slowly.Stats().Settling == 0 && slowly.Stats().Restating == 0
	})
	time.Sleep(2 * time.Second) // for what must not come
	if left, entered := watcher.left.Load(), watcher.entered.Load(); left != 0 || entered != 3*rooms {
		t.Errorf("%d were told gone, %d come again", left, entered-3*rooms)
	}
	for i := range rooms {
		users, err := watching.Users(t.Context(), hub.Topic{App: "1", Channel: fmt.Sprintf("presence-%d", i)})
		if err != nil || len(users) != 3 {
			t.Errorf("room %d: %v, %v", i, users, err)
		}
	}
}

// TestRostersAfterLoss: what is told after Redis was started empty does not grow
// with the nodes times the members; and whoever left meanwhile is told gone once.
func TestRostersAfterLoss(t *testing.T) {
	nodes, rooms, members := 8, 10, 40
	if *manyRooms {
		nodes, rooms, members = 20, 20, 100
	}
	s := newServer(t)
	var all []*redisbus.Bus
	var watchers []*deaf
	done := make(chan error, 1)
	for range nodes {
		all = append(all, open(t, s.url()))
		watchers = append(watchers, new(deaf))
	}
	for r := range rooms {
		room := hub.Topic{App: "1", Channel: fmt.Sprintf("presence-%d", r)}
		for n, b := range all {
			b.Follow(room, watchers[n], func(err error) { done <- err })
			<-done
		}
		for n, b := range all {
			var ids []string
			for u := range members / nodes {
				ids = append(ids, fmt.Sprintf("user-%d-%d", n, u))
			}
			enterRoom(t, b, room, ids...)
		}
	}
	within(t, "all are announced", func() bool {
		return !slices.ContainsFunc(watchers, func(w *deaf) bool { return w.entered.Load() != int64(rooms*members) })
	})
	bytes := func() (n uint64) {
		for _, b := range all {
			n += b.Stats().Bytes
		}
		return n
	}
	s.kill()
	gone := hub.Topic{App: "1", Channel: "presence-0"}
	all[0].Leave(hub.Leave{Topic: gone, Subscribers: members/nodes - 1, Gone: "user-0-0"}, func(error) {})
	before := bytes()
	s.start()
	within(t, "all have come back", func() bool {
		return !slices.ContainsFunc(all, func(b *redisbus.Bus) bool {
			stats := b.Stats()
			return stats.Doubts == 0 || stats.Settling > 0 || stats.Restating > 0
		})
	})
	within(t, "it is told who has gone", func() bool {
		return !slices.ContainsFunc(watchers, func(w *deaf) bool { return w.left.Load() != 1 })
	})
	read := uint64(0)
	for _, b := range all {
		read += b.Stats().Rosters
	}
	t.Logf("%d nodes, %d rooms of %d: %d bytes came, %d rosters were read", nodes, rooms, members, bytes()-before, read)
	if read > uint64(2*nodes) {
		t.Errorf("%d rosters were read, although one room differs", read)
	}
	for n, w := range watchers {
		if w.left.Load() != 1 || w.entered.Load() != int64(rooms*members) || w.lost.Load() != 0 {
			t.Errorf("node %d: %d gone, %d come, %d lost", n, w.left.Load(), w.entered.Load()-int64(rooms*members), w.lost.Load())
		}
	}
}

// TestQuotaInDoubt: that there is no room is never said for good while connections
// may be counted that are gone: of a node that has died, or of one's own old name.
func TestQuotaInDoubt(t *testing.T) {
	reserve := func(b *redisbus.Bus, n int) error {
		done := make(chan error, 1)
		b.Reserve("1", n, 1000, func(err error) { done <- err })
		return <-done
	}
	release := func(b *redisbus.Bus, n int) {
		done := make(chan error, 1)
		b.Release("1", n, func(err error) { done <- err })
		<-done
	}
	t.Run("a node dies", func(t *testing.T) {
		t.Parallel()
		s := newServer(t)
		a, b := open(t, s.url()), open(t, s.url())
		if err := errors.Join(reserve(a, 500), reserve(b, 300)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		b.Crash()
		doubted := 0
		within(t, "there is room", func() bool {
			err := reserve(a, 800)
			if errors.Is(err, hub.ErrFull) {
				t.Fatal("full for good")
			}
			if err != nil {
				doubted++
				release(a, 500)
			}
			return err == nil
		})
		if doubted == 0 {
			t.Error("there was never any doubt: the test proves nothing")
		}
		within(t, "one too many is refused for good", func() bool {
			err := reserve(a, 1001)
			release(a, 800)
			return errors.Is(err, hub.ErrFull)
		})
	})
	t.Run("redis is restarted with its data", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, "--appendonly", "yes", "--appendfsync", "always")
		a := open(t, s.url())
		occupy(t, a, "x", 20_000, new(deaf))
		if err := reserve(a, 600); err != nil {
			t.Fatal(err)
		}
		s.kill()
		s.start()
		for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if err := reserve(a, 601); errors.Is(err, hub.ErrFull) {
				t.Fatal("full for good")
			}
			release(a, 600)
		}
	})
}

// TestManyListings: however many list channels, publishes are taken.
func TestManyListings(t *testing.T) {
	s := newServer(t)
	a := open(t, s.url())
	occupy(t, a, "x", *crowdSize, new(deaf))
	p := probe(a, hub.Topic{App: "1", Channel: "hot"})
	var callers sync.WaitGroup
	var calls, failed atomic.Int64
	end := time.Now().Add(5 * time.Second)
	for range 64 {
		callers.Go(func() {
			for time.Now().Before(end) {
				if found, err := a.Channels(t.Context(), "1", "x-"); err != nil || len(found) != *crowdSize {
					failed.Add(1)
				}
				calls.Add(1)
			}
		})
	}
	callers.Wait()
	t.Logf("%d listings of %d channels", calls.Load(), *crowdSize)
	if _, refused := p.end(t); refused > 0 || failed.Load() > 0 {
		t.Errorf("%d publishes were refused, %d listings were wrong", refused, failed.Load())
	}
}

// TestRestartUnderMany: when Redis is started empty under nodes that hold many
// channels, publishes do not wait until all is told again, and all is.
func TestRestartUnderMany(t *testing.T) {
	const count = 3
	s := newServer(t)
	var nodes []*redisbus.Bus
	receiver := new(deaf)
	for i := range count {
		nodes = append(nodes, open(t, s.url()))
		occupy(t, nodes[i], fmt.Sprintf("n%d", i), *crowdSize, receiver)
	}
	hot := hub.Topic{App: "1", Channel: "hot"}
	s.kill()
	s.start()
	began := time.Now()
	within(t, "all nodes publish", func() bool {
		return !slices.ContainsFunc(nodes, func(b *redisbus.Bus) bool { return publish(nodeOf(b), hot, "x") != nil })
	})
	t.Logf("%d channels: all nodes publish after %v", count**crowdSize, time.Since(began))
	p := probe(nodes[0], hot)
	within(t, "all is told again", func() bool {
		return !slices.ContainsFunc(nodes, func(b *redisbus.Bus) bool {
			stats := b.Stats()
			return stats.Doubts == 0 || stats.Restating > 0
		})
	})
	t.Logf("all is told again after %v", time.Since(began))
	if _, refused := p.end(t); refused > 0 {
		t.Errorf("%d publishes were refused meanwhile", refused)
	}
	found, err := nodes[0].Channels(t.Context(), "1", "n")
	if err != nil || len(found) != count**crowdSize || receiver.lost.Load() != 0 {
		t.Errorf("%d channels are there, %v; told lost: %d", len(found), err, receiver.lost.Load())
	}
}
