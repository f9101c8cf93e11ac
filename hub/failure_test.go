package hub_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// TestAFollowThatFailsLeavesNothingBehind has one Follow fail while another
// client's subscribe is on its way to its worker. Afterwards the bus works again.
func TestAFollowThatFailsLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, g := gated(t)
		a := r.connect() // on another worker than b
		b := &stuck{client: client{t: t}, until: make(chan struct{})}
		conn, err := r.hub.Connect(r.app, b)
		if err != nil {
			t.Fatal(err)
		}
		b.conn = conn
		r.settle()

		g.hold(true) // the bus does not confirm
		a.subscribe("news")
		r.settle()
		b.stuck.Store(true) // b's worker is busy for a moment
		b.say(`{"event":"pusher:ping"}`)
		r.settle()
		b.subscribe("news")
		g.fail(hub.ErrUnavailable)
		g.hold(false) // Follow answers
		g.fail(nil)   // the bus works from here on
		b.stuck.Store(false)
		close(b.until)
		r.settle()
		a.expectClosed(protocol.CodeOverCapacity)
		b.expectOpen()
		b.expect("pusher:connection_established", "pusher:pong", acknowledged)
		d := r.connect()
		d.subscribe("news")
		d.expect(acknowledged)
		r.trigger("news", "hello")
		b.expect("hello")
		d.expect("hello")
	})
}

// TestAllSubscribersHearOfAFailedFollow has subscribers on every worker, and users
// that are watched.
func TestAllSubscribersHearOfAFailedFollow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, g := gated(t)
		bystander := r.connect()
		bystander.subscribe("olds")
		bystander.expect(acknowledged)
		g.hold(true)
		var clients []*client
		for i := range 10 {
			c := r.connect()
			c.subscribe("news")
			if i%2 == 0 {
				c.subscribe("olds") // is followed, and the State does not answer
			}
			clients = append(clients, c)
		}
		watcher := r.connect()
		watcher.signInAs("ann", "bob")
		r.settle()
		g.fail(hub.ErrUnavailable)
		g.hold(false)
		g.fail(nil)
		r.settle()
		for _, c := range append(clients, watcher) {
			c.expectClosed(protocol.CodeOverCapacity)
		}
		bystander.expectOpen()
		again := r.connect()
		again.signInAs("ann", "bob")
		again.expect(signedIn, watchers)
		if s := r.hub.Stats().Apps[0]; s.Channels != 1 || s.Subscriptions != 1 {
			t.Errorf("%d channels, %d subscriptions are counted", s.Channels, s.Subscriptions)
		}
	})
}

// moody is a Bus and a State that fail at random, and answer when they like.
type moody struct {
	*hub.Memory
	mu     sync.Mutex
	random *rand.Rand
	odds   int // one of so many fails; 0 = none
}

func (m *moody) fails() (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait := time.Duration(m.random.IntN(3)) * time.Millisecond
	if m.odds > 0 && m.random.IntN(m.odds) == 0 {
		return wait, fmt.Errorf("%w: by chance", hub.ErrUnavailable)
	}
	return wait, nil
}

func (m *moody) calm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.odds = 0
}

func (m *moody) answer(f func(error)) {
	wait, err := m.fails()
	if wait == 0 {
		f(err)
		return
	}
	time.AfterFunc(wait, func() { f(err) })
}

// Follow implements hub.Bus: where it fails, nothing is followed.
func (m *moody) Follow(t hub.Topic, r hub.Receiver, done func(error)) {
	m.answer(func(err error) {
		if err != nil {
			done(err)
			return
		}
		m.Memory.Follow(t, r, done)
	})
}

// Join implements hub.State: where it fails, it may have happened or not.
func (m *moody) Join(j hub.Join, done func(hub.Joined, error)) {
	m.Memory.Join(j, func(joined hub.Joined, err error) {
		m.answer(func(failure error) { done(joined, errors.Join(err, failure)) })
	})
}

// TestChurnWhileTheBackendFails has clients come and go while Follow and Join fail
// at random. Whoever is acknowledged gets every event from then on; everybody
// else is told; and once all is well again nothing is left of it.
func TestChurnWhileTheBackendFails(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { churnWhileFailing(t, seed) })
		})
	}
}

func churnWhileFailing(t *testing.T, seed uint64) {
	m := &moody{random: rand.New(rand.NewPCG(seed, 0)), odds: 5}
	r := newRig(t, nil, func(o *hub.Options) {
		m.Memory = o.Bus.(*hub.Memory)
		o.Bus, o.State = m, m
	})
	rooms := []string{"news", "private-x", "presence-room", "cache-x"}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i+1)))
			for range 40 {
				c := &client{t: t}
				conn, err := r.hub.Connect(r.app, c)
				if err != nil {
					t.Error(err)
					return
				}
				c.conn = conn
				c.signInAs(fmt.Sprint("u", random.IntN(3)), "u0", "u1")
				room := rooms[random.IntN(len(rooms))]
				if protocol.KindOf(room).IsPresence() {
					c.enter(room, fmt.Sprint("u", random.IntN(3)))
				} else {
					c.subscribe(room)
				}
				time.Sleep(time.Duration(random.IntN(6)) * time.Millisecond)
				if random.IntN(2) == 0 {
					c.unsubscribe(room)
				}
				time.Sleep(20 * time.Millisecond)
				checkAnswered(t, c, room)
				conn.Gone(gone)
			}
		})
	}
	all.Go(func() {
		for i := range 300 {
			_ = r.publish(rooms[i%len(rooms)], fmt.Sprint("event-", i), "")
			time.Sleep(time.Millisecond)
		}
	})
	all.Wait()
	m.calm()
	time.Sleep(time.Second)
	stats := r.hub.Stats()
	if s := stats.Apps[0]; s.Channels != 0 || s.Subscriptions != 0 || s.Connections != 0 || stats.MailboxBytes != 0 {
		t.Errorf("left behind: %+v, %d bytes", s, stats.MailboxBytes)
	}
	if found, _ := r.memory.Channels(t.Context(), "1", ""); len(found) != 0 {
		t.Errorf("the State still has %v", found)
	}
	for _, room := range rooms {
		c := r.connect()
		if protocol.KindOf(room).IsPresence() {
			c.enter(room, "ann")
		} else {
			c.subscribe(room)
		}
		time.Sleep(10 * time.Millisecond)
		c.take()
		r.trigger(room, "hello")
		c.expect("hello")
	}
}

// checkAnswered wants a client to be either closed or acknowledged, never left
// without a word.
func checkAnswered(t *testing.T, c *client, room string) {
	c.mu.Lock()
	closed := c.closed != nil
	c.mu.Unlock()
	answered := false
	for _, e := range c.take() {
		answered = answered || e.Event == acknowledged && e.Channel == room
	}
	if !closed && !answered {
		t.Errorf("a subscriber of %s has no answer", room)
	}
}
