package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// twoApps is a rig with one more app.
func twoApps(t *testing.T, options ...func(*hub.Options)) (*rig, *hub.App) {
	other := hub.DefaultApp()
	other.ID, other.Key, other.Secret = "2", "other-key", secret
	r := newRig(t, nil, append(options, func(o *hub.Options) { o.Apps = append(o.Apps, other) })...)
	return r, r.hub.AppByID("2")
}

// whatIsHeld is what the node says that it holds, and the apps that they do.
func (r *rig) whatIsHeld() (all, apps int) {
	stats := r.hub.Stats()
	for _, app := range stats.Apps {
		apps += app.HeldBytes
	}
	return stats.MailboxBytes, apps
}

func TestNoAppsBacklogRefusesAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, other := twoApps(t, oneWorker, func(o *hub.Options) { o.MailboxBytes = 100 << 10 })
		c := r.connect()
		c.subscribe("news")
		c.expect(acknowledged)
		d := &client{t: t}
		conn, err := r.hub.Connect(other, d)
		if err != nil {
			t.Fatal(err)
		}
		d.conn = conn
		d.subscribe("news")
		r.settle()
		d.take()
		release := r.stall()
		for err == nil {
			err = r.triggerBig("news", "flood", 1000)
		}
		if !errors.Is(err, hub.ErrOverloaded) {
			t.Fatalf("got %v, want ErrOverloaded", err)
		}
		began := time.Now()
		if err := r.hub.Trigger(t.Context(), other, hub.Event{Name: "hello", Channels: []string{"news"}, Data: []byte(`"1"`)}); err != nil {
			t.Errorf("the other app: %v", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the other app waited %v", took)
		}
		release()
		d.expect("hello")
		if all, apps := r.whatIsHeld(); all != 0 || apps != 0 {
			t.Errorf("%d and %d bytes are still held", all, apps)
		}
	})
}

// TestPatienceIsOneDeadline has eight workers come free one after the other.
func TestPatienceIsOneDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const workers = 8
		r := newRig(t, nil, func(o *hub.Options) { o.MailboxBytes, o.Workers = 8, workers })
		var until []chan struct{}
		for range workers {
			s := &stuck{client: client{t: t}, until: make(chan struct{})}
			conn, err := r.hub.Connect(r.app, s)
			if err != nil {
				t.Fatal(err)
			}
			s.conn = conn
			r.settle()
			s.stuck.Store(true)
			s.say(`{"event":"pusher:ping"}`)
			r.settle()
			s.conn.Fail(protocol.Fault{}) // something in the mailbox
			until = append(until, s.until)
		}
		began := time.Now()
		var freeing sync.WaitGroup
		freeing.Go(func() {
			for _, u := range until {
				time.Sleep(900 * time.Millisecond)
				close(u)
			}
		})
		err := r.publish("news", "hello", "")
		if took := time.Since(began); !errors.Is(err, hub.ErrOverloaded) || took != time.Second {
			t.Errorf("after %v: %v; want ErrOverloaded after a second", took, err)
		}
		freeing.Wait()
		r.settle()
	})
}

func TestAPublisherHangsUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, oneWorker, func(o *hub.Options) { o.MailboxBytes = 1 })
		release := r.stall()
		r.hub.Connect(r.app, &client{t: t}) // something in the mailbox
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		err := r.hub.Trigger(ctx, r.app, hub.Event{Name: "e", Channels: []string{"news"}, Data: []byte(`"1"`)})
		if !errors.Is(err, context.Canceled) || errors.Is(err, hub.ErrOverloaded) || errors.Is(err, hub.ErrUncertain) {
			t.Errorf("got %v, want the context's error", err)
		}
		release()
		r.settle()
	})
}

// A bound below a byte for each worker must not make anybody spin.
func TestATinyBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, func(o *hub.Options) { o.MailboxBytes, o.Workers = 1, 8 })
		c := r.connect()
		c.subscribe("news")
		c.expect(acknowledged)
		r.trigger("news", "hello")
		c.expect("hello")
		if err := r.hub.WaitForRoom(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestStrangersCannotFillTheMailbox has a client that has subscribed to nothing
// send client events while its worker is held up.
func TestStrangersCannotFillTheMailbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const bound = 1 << 20
		r := newRig(t, func(a *hub.App) { a.ClientEventsPerSecond, a.CommandsPerSecond = 0, 0 }, oneWorker, func(o *hub.Options) { o.MailboxBytes = bound })
		c := r.connect()
		release := r.stall()
		event := fmt.Appendf(nil, `{"event":"client-x","channel":"private-x","data":"%s"}`, strings.Repeat("x", 10240))
		taken := 0
		for c.conn.Receive(append([]byte(nil), event...)) == nil {
			taken++
		}
		// Each of them is worth an answer, and no more.
		if all, _ := r.whatIsHeld(); taken < 1000 || all > bound+1000 || all/taken > 500 {
			t.Errorf("%d events were taken, which hold %d bytes", taken, all)
		}
		release()
		r.settle()
		if n := len(c.take()); n != taken {
			t.Errorf("%d answers, want %d", n, taken)
		}
	})
}

// TestClientEventsAreAdmitted has a sender whose own worker is idle fill a busy
// one's mailbox.
func TestClientEventsAreAdmitted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const bound = 1 << 20
		r := newRig(t, func(a *hub.App) { a.ClientEventsPerSecond, a.CommandsPerSecond = 0, 0 },
			func(o *hub.Options) { o.MailboxBytes, o.Workers = bound, 2 })
		s := &stuck{client: client{t: t}, until: make(chan struct{})}
		conn, err := r.hub.Connect(r.app, s)
		if err != nil {
			t.Fatal(err)
		}
		s.conn = conn
		sender := r.connect()
		for _, c := range []*client{&s.client, sender} {
			c.subscribe("private-x")
		}
		sender.expect(acknowledged)
		s.stuck.Store(true)
		s.say(`{"event":"pusher:ping"}`)
		r.settle()
		for range 2000 {
			sender.say(`{"event":"client-x","channel":"private-x","data":"%s"}`, strings.Repeat("x", 10000))
			r.settle()
		}
		if all, _ := r.whatIsHeld(); all < bound || all > bound+20_000 {
			t.Errorf("%d bytes are held, want about %d", all, bound)
		}
		events := sender.take()
		if len(events) < 1000 || !strings.Contains(string(events[0].Data), `"code":4301`) ||
			!strings.Contains(string(events[0].Data), "overloaded") {
			t.Errorf("%d answers: %s", len(events), events[0].Data)
		}
		sender.expectOpen()
		close(s.until)
		r.settle()
	})
}

// TestABusyWorkerHoldsUpItsOwnClientsOnly fills one worker's mailbox, and wants
// Receive to answer at once: for its clients that they have to wait, for others
// that the message is handled.
func TestABusyWorkerHoldsUpItsOwnClientsOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.CommandsPerSecond = 0 },
			func(o *hub.Options) { o.MailboxBytes, o.Workers = 20_000, 2 })
		s := &stuck{client: client{t: t}, until: make(chan struct{})}
		conn, err := r.hub.Connect(r.app, s)
		if err != nil {
			t.Fatal(err)
		}
		s.conn = conn
		other, same := r.connect(), &client{t: t}
		if same.conn, err = r.hub.Connect(r.app, same); err != nil {
			t.Fatal(err)
		}
		s.subscribe("news")
		r.settle()
		s.stuck.Store(true)
		ping := []byte(`{"event":"pusher:ping"}`)
		s.conn.Receive(ping)
		r.settle()
		for err == nil {
			err = r.triggerBig("news", "flood", 1000)
		}
		wait := same.conn.Receive(ping)
		if wait == nil {
			t.Error("a client of the busy worker need not wait")
		}
		if other.conn.Receive(ping) != nil {
			t.Error("a client of the idle worker has to wait")
		}
		other.expect("pusher:pong")
		close(s.until)
		<-wait
		r.settle()
		same.take()
		if same.conn.Receive(ping) != nil {
			t.Error("still has to wait")
		}
		same.expect("pusher:pong")
	})
}

func TestChannelsOfAConnectionAreLimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.connect()
		for i := range r.app.MaxChannelsPerConnection {
			c.subscribe(fmt.Sprint("c-", i))
		}
		r.settle()
		c.take()
		c.subscribe("one-too-many")
		events := c.expect("pusher:error", refused)
		if !strings.Contains(string(events[1].Data), "LimitReached") {
			t.Errorf("got %s", events[1].Data)
		}
		c.unsubscribe("c-0")
		c.subscribe("one-too-many")
		c.expect(acknowledged)
		c.expectOpen()
	})
}

// TestAReconnectIsNotSlowed has a client subscribe to all the channels that it
// may have, at once.
func TestAReconnectIsNotSlowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.connect()
		began := time.Now()
		c.signInAs("ann")
		for i := range r.app.MaxChannelsPerConnection {
			c.subscribe(fmt.Sprint("private-", i))
		}
		r.settle()
		if n := len(c.take()); n != r.app.MaxChannelsPerConnection+1 {
			t.Errorf("%d answers", n)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

// TestAFloodIsReadSlowly wants a client that sends too much to be read as fast as
// it may send, and to lose nothing.
func TestAFloodIsReadSlowly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		flooder, other := r.connect(), r.connect()
		began := time.Now()
		const sent = 1400
		for range sent { // 400 at once, then 100 a second
			flooder.say(`{"event":"pusher:ping"}`)
		}
		if took := time.Since(began); took < 9800*time.Millisecond || took > 10200*time.Millisecond {
			t.Errorf("took %v, want 10 s", took)
		}
		r.settle()
		if n := len(flooder.take()); n != sent {
			t.Errorf("%d answers, want %d", n, sent)
		}
		flooder.expectOpen()
		other.say(`{"event":"pusher:ping"}`)
		other.expect("pusher:pong")
		time.Sleep(5 * time.Second)
		for range 400 {
			if flooder.conn.Receive([]byte(`{"event":"pusher:ping"}`)) != nil {
				t.Fatal("has to wait again")
			}
		}
		r.settle()
	})
}

func TestNoLimitOfCommands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.CommandsPerSecond, a.MaxChannelsPerConnection = 0, 0 })
		c := r.connect()
		for i := range 2000 {
			c.subscribe(fmt.Sprint("c-", i))
		}
		r.settle()
		if n := len(c.take()); n != 2000 {
			t.Errorf("%d answers", n)
		}
	})
}

// TestCommandsThatWaitAreBounded has a client send large events to a channel that
// the State does not answer for.
func TestCommandsThatWaitAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &gate{}
		const bound = 30_000
		r := newRig(t, func(a *hub.App) { a.ClientEventsPerSecond = 0 }, func(o *hub.Options) {
			g.Memory = o.Bus.(*hub.Memory)
			o.Bus, o.State, o.MaxHeldBytes = g, g, bound
		})
		c, d := r.connect(), r.connect()
		d.subscribe("private-0")
		d.expect(acknowledged)
		g.hold(true)
		for i := range 5 {
			c.subscribe(fmt.Sprint("private-", i))
			for range 5 {
				c.say(`{"event":"client-x","channel":"private-%d","data":"%s"}`, i, strings.Repeat("x", 9000))
			}
		}
		r.settle()
		if n := len(c.take()); n != 22 {
			t.Errorf("%d events were refused, want all but three", n)
		}
		if all, _ := r.whatIsHeld(); all < 27_000 || all > bound+2000 {
			t.Errorf("%d bytes are held, want those of three events", all)
		}
		g.hold(false)
		d.expect("client-x", "client-x", "client-x")
		r.settle()
		c.conn.Gone(gone)
		r.settle()
		if all, apps := r.whatIsHeld(); all != 0 || apps != 0 {
			t.Errorf("%d and %d bytes are still held", all, apps)
		}
	})
}

// TestWhatWaitsIsGivenBack ends connections in every stage, and wants nothing to
// be counted any more.
func TestWhatWaitsIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, g := gated(t)
		g.hold(true)
		c := r.connect()
		c.subscribe("private-x")
		c.say(`{"event":"client-x","channel":"private-x","data":"1"}`)
		c.unsubscribe("private-x")
		c.signInAs("ann", "bob", "cid")
		r.settle()
		r.trigger("private-x", "early")
		r.settle()
		if all, _ := r.whatIsHeld(); all == 0 {
			t.Error("nothing is held")
		}
		c.conn.Gone(gone)
		r.settle()
		if all, apps := r.whatIsHeld(); all != 0 || apps != 0 {
			t.Errorf("%d and %d bytes are still held", all, apps)
		}
		g.hold(false)
		r.settle()
	})
}
