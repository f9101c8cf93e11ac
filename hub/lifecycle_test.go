package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/hub/contract"
	"channels/protocol"
)

func TestMemoryIsABus(t *testing.T) { contract.Bus(t, openMemory) }

// TestMemoryResumes runs clients with tokens over memory.
func TestMemoryResumes(t *testing.T) { contract.Resume(t, openMemory) }

func TestMemoryIsAState(t *testing.T) { contract.State(t, openMemory) }
func TestAHubOverMemory(t *testing.T) { contract.Hub(t, openMemory) }

// TestMemoryInTrouble: memory cannot fail, so what is promised for failures holds.
func TestMemoryInTrouble(t *testing.T) {
	contract.Failures(t, func(t *testing.T) ([]contract.Node, contract.Trouble) { return openMemory(t), contract.Calm{} })
}

func openMemory(t *testing.T) []contract.Node {
	m := hub.NewMemory()
	t.Cleanup(m.Close)
	return []contract.Node{{Bus: m, State: m}}
}

// gate is a Bus and a State whose answers a test holds back, or replaces by an
// error.
type gate struct {
	*hub.Memory
	mu      sync.Mutex
	holding bool
	held    []func()
	err     error // for Follow, Join and Publish
}

func (g *gate) answer(f func()) {
	g.mu.Lock()
	if g.holding {
		g.held = append(g.held, f)
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	f()
}

func (g *gate) hold(holding bool) {
	g.mu.Lock()
	g.holding = holding
	held := g.held
	g.held = nil
	g.mu.Unlock()
	for _, f := range held {
		f()
	}
}

// fail has what is answered from now on fail.
func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

func (g *gate) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *gate) Follow(t hub.Topic, r hub.Receiver, done func(error)) {
	g.Memory.Follow(t, r, func(err error) { g.answer(func() { done(errors.Join(err, g.failure())) }) })
}

func (g *gate) Join(j hub.Join, done func(hub.Joined, error)) {
	g.Memory.Join(j, func(joined hub.Joined, err error) {
		g.answer(func() { done(joined, errors.Join(err, g.failure())) })
	})
}

func (g *gate) Publish(m hub.Message, done func(error)) {
	if err := g.failure(); err != nil {
		done(err)
		return
	}
	g.Memory.Publish(m, done)
}

func gated(t *testing.T) (*rig, *gate) {
	g := &gate{}
	r := newRig(t, nil, func(o *hub.Options) {
		g.Memory = o.Bus.(*hub.Memory)
		o.Bus, o.State = g, g
	})
	return r, g
}

func TestNothingOvertakesTheAcknowledgement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, g := gated(t)
		c := r.connect()
		g.hold(true)
		c.subscribe("cache-x")
		r.settle()
		r.trigger("cache-x", "before the state was asked")
		g.hold(false) // the follow is confirmed, the join asked and answered
		c.expect(acknowledged, "before the state was asked")

		d := r.connect()
		g.hold(true)
		d.subscribe("cache-x") // already followed: the join is answered, and held
		r.settle()
		r.trigger("cache-x", "one")
		r.trigger("cache-x", "two")
		d.expect()
		g.hold(false)
		d.expect(acknowledged, "before the state was asked", "one", "two")
	})
}

func TestLeavingWhilePending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, g := gated(t)
		g.hold(true)
		a, b := r.connect(), r.connect()
		a.subscribe("news")
		b.subscribe("news")
		r.settle()
		a.conn.Gone(gone)
		r.settle()
		g.hold(false)
		b.expect(acknowledged)
		a.expect()
		b.conn.Gone(gone)
		r.settle()
		if found, _ := r.hub.Channels(t.Context(), r.app, ""); len(found) != 0 {
			t.Errorf("left behind: %v", found)
		}
	})
}

func TestBackendFails(t *testing.T) {
	for name, hold := range map[string]bool{"at follow": false, "at join": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, g := gated(t)
				a, b := r.connect(), r.connect()
				if hold {
					a.subscribe("news")
					a.expect(acknowledged)
				}
				g.fail(hub.ErrUnavailable)
				b.subscribe("news")
				b.expectClosed(protocol.CodeOverCapacity)
				a.expectOpen()
				if err := r.publish("news", "hello", ""); !errors.Is(err, hub.ErrUnavailable) {
					t.Errorf("publish: %v, want ErrUnavailable", err)
				}
			})
		})
	}
}

func TestSilentClientIsProbedAndClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		silent, lively := r.connect(), r.connect()
		started := time.Now()
		for range 18 {
			time.Sleep(10 * time.Second)
			lively.conn.Touch()
		}
		silent.expect("ping")
		silent.expectClosed(protocol.CodePongMissing)
		if after := silent.at.Sub(started); after < 162*time.Second || after > 175*time.Second {
			t.Errorf("closed after %v, want 120 s, a margin and 30 s", after)
		}
		lively.expect()
		lively.expectOpen()
	})
}

func TestAnsweredPingKeepsTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.connect()
		for range 5 {
			time.Sleep(140 * time.Second)
			c.expect("ping")
			c.conn.Touch() // what a pong does
		}
		c.expectOpen()
	})
}

func TestApplicationPing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.connect()
		for _, say := range []string{
			`{"event":"pusher:ping"}`, `{"event":"pusher:ping","data":{}}`, `{"event":"pusher:ping","data":"{}"}`,
			`{"event":"pusher:ping","data":""}`, `{"event": "pusher:ping", "data":null}`,
		} {
			c.say("%s", say)
			if e := c.expect("pusher:pong")[0]; string(e.Data) != `"{}"` {
				t.Errorf("%s: pong with %s", say, e.Data)
			}
		}
	})
}

func TestSlowConsumerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		slow, quick := r.connect(), r.connect()
		for _, c := range []*client{slow, quick} {
			c.subscribe("news")
			c.expect(acknowledged)
		}
		slow.set(hub.Stuck)
		r.trigger("news", "hello")
		quick.expect("hello")
		slow.expectClosed(protocol.CodeOverCapacity)
		quick.expectOpen()
		if ch, _ := r.hub.Channel(t.Context(), r.app, "news"); ch.Subscribers != 1 {
			t.Errorf("%d subscribers, want 1", ch.Subscribers)
		}
	})
}

func TestConnectionLimits(t *testing.T) {
	for name, test := range map[string]struct {
		app  func(*hub.App)
		hub  func(*hub.Options)
		want hub.Refusal
	}{
		"of the app": {
			func(a *hub.App) { a.MaxConnections = 2 }, func(*hub.Options) {}, hub.Refusal{Fault: protocol.OverQuota(), Reason: hub.Quota},
		},
		"of the node": {
			nil, func(o *hub.Options) { o.MaxConnections = 2 }, hub.Refusal{Fault: protocol.OverCapacity(), Reason: hub.Capacity},
		},
		"that nobody can tell": {
			func(a *hub.App) { a.MaxConnections = 3 }, func(o *hub.Options) { o.State = &uncounting{State: o.State, after: 2} },
			hub.Refusal{Fault: protocol.OverCapacity(), Reason: hub.Backend},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, test.app, test.hub)
				first := r.connect()
				r.connect()
				for range 3 {
					_, err := r.hub.Connect(r.app, &client{t: t})
					if got := (hub.Refusal{}); !errors.As(err, &got) || got != test.want {
						t.Errorf("third connection: %+v, want %+v", err, test.want)
					}
				}
				first.conn.Gone(gone)
				first.conn.Gone(gone)
				r.settle()
				r.connect()
			})
		})
	}
}

// uncounting does not say whether there is room for more connections than so many.
type uncounting struct {
	hub.State
	after int
}

// Reserve implements hub.State.
func (u *uncounting) Reserve(app string, connections, most int, done func(error)) {
	if connections > u.after {
		done(hub.ErrUnavailable)
		return
	}
	u.State.Reserve(app, connections, most, done)
}

func TestDrainSpreadsTheReconnects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		var clients []*client
		for range 100 {
			clients = append(clients, r.connect())
		}
		started := time.Now()
		if err := r.hub.Drain(t.Context(), protocol.Reconnect(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		early := 0
		for _, c := range clients {
			c.expectClosed(protocol.CodeReconnect)
			if c.at.Sub(started) < 5*time.Second {
				early++
			}
		}
		if took := time.Since(started); took > 11*time.Second || early < 40 || early > 60 {
			t.Errorf("took %v, %d of 100 in the first half", took, early)
		}
	})
}

func TestDrainGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.connect()
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		if err := r.hub.Drain(ctx, protocol.Reconnect(), 10*time.Second); err == nil {
			t.Error("no error though the time was up")
		}
	})
}

func TestOverloadRefusesPublishes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, func(o *hub.Options) { o.MailboxBytes, o.Workers = 1, 1 })
		blocked := make(chan struct{})
		s := &stuck{client: client{t: t}, until: blocked}
		conn, err := r.hub.Connect(r.app, s)
		if err != nil {
			t.Fatal(err)
		}
		receive(conn, []byte(`{"event":"pusher:subscribe","data":{"channel":"news"}}`))
		synctest.Wait()
		s.stuck.Store(true)
		r.trigger("news", "the worker is stuck with this one")
		synctest.Wait()
		r.trigger("news", "the mailbox holds this one")
		if err := r.publish("news", "and not this one", ""); !errors.Is(err, hub.ErrOverloaded) {
			t.Errorf("got %v, want ErrOverloaded", err)
		}
		close(blocked)
		synctest.Wait()
		r.trigger("news", "later")
	})
}

// stuck is a Socket that breaks the rules: it blocks. It stands for a worker
// that has far too much to do.
type stuck struct {
	client
	stuck atomic.Bool
	until chan struct{}
}

func (s *stuck) Send(frames [][]byte) hub.Backlog {
	if s.stuck.Load() {
		<-s.until
	}
	return s.client.Send(frames)
}

// TestChurn has clients come and go on a few channels while events are
// published, and wants every client to see each event of its time once, in
// order, and presence to come out even.
func TestChurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		const room = "presence-room"
		watcher := r.connect()
		watcher.enter(room, "watcher")
		watcher.expect(acknowledged)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() { r.comeAndGo(rand.New(rand.NewPCG(1, uint64(i))), room) })
		}
		for range 2 {
			all.Go(func() {
				for i := range 300 {
					_ = r.publish(room, fmt.Sprintf("event-%d", i), "")
				}
			})
		}
		all.Wait()
		r.settle()
		here := map[string]bool{}
		for _, e := range watcher.take() {
			switch e.Event {
			case added:
				user := userID(t, e)
				if here[user] {
					t.Errorf("%s added twice", user)
				}
				here[user] = true
			case removed:
				user := userID(t, e)
				if !here[user] {
					t.Errorf("%s removed without being there", user)
				}
				delete(here, user)
			}
		}
		if len(here) != 0 {
			t.Errorf("never removed: %v", here)
		}
	})
}

func userID(t *testing.T, e got) string {
	m, err := protocol.Unquote(e.Data)
	if err != nil {
		t.Fatal(err)
	}
	member, err := protocol.ParseChannelData(m)
	if err != nil {
		t.Fatalf("%s: %v", m, err)
	}
	return member.ID
}

func (r *rig) comeAndGo(random *rand.Rand, room string) {
	for range 30 {
		c := &client{t: r.t}
		conn, err := r.hub.Connect(r.app, c)
		if err != nil {
			r.t.Error(err)
			return
		}
		c.conn = conn
		c.enter(room, fmt.Sprint("user-", random.IntN(4)))
		time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
		if random.IntN(2) == 0 {
			c.unsubscribe(room)
			time.Sleep(time.Millisecond)
		}
		conn.Gone(gone)
	}
}
