package hub_test

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// kernel is a Socket with a bound as the transport has one, in front of a buffer
// as the kernel has one: 64 KiB, of which the client takes so much at a time.
type kernel struct {
	client
	bound  int           // of the queue, in bytes
	takes  int           // bytes at a time; 0 = nothing
	every  time.Duration // how often
	stop   chan struct{}
	mu     sync.Mutex
	buffer int       // bytes that the kernel holds
	queue  []int     // sizes of frames that it does not hold yet
	queued int       // bytes of them
	most   int       // frames that came at once
	moved  time.Time // when the kernel took something last
}

const (
	kernelBuffer = 64 << 10
	stuckAfter   = time.Second
)

// newKernel connects a client that reads.
func (r *rig) newKernel(bound, takes int, every time.Duration) *kernel {
	r.t.Helper()
	k := &kernel{client: client{t: r.t}, bound: bound, takes: takes, every: every, stop: make(chan struct{}), moved: time.Now()}
	conn, err := r.hub.Connect(r.app, k)
	if err != nil {
		r.t.Fatal(err)
	}
	k.conn = conn
	var reading sync.WaitGroup
	reading.Go(k.read)
	r.t.Cleanup(func() { close(k.stop); reading.Wait() })
	return k
}

func (k *kernel) read() {
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		select {
		case <-k.stop:
			return
		case <-tick.C:
			k.mu.Lock()
			k.buffer = max(0, k.buffer-k.takes)
			k.fill()
			k.mu.Unlock()
		}
	}
}

// fill moves what fits from the queue to the kernel.
func (k *kernel) fill() {
	for len(k.queue) > 0 && k.buffer < kernelBuffer {
		n := min(k.queue[0], kernelBuffer-k.buffer)
		k.buffer += n
		k.queued -= n
		k.moved = time.Now()
		if k.queue[0] -= n; k.queue[0] == 0 {
			k.queue = k.queue[1:]
		}
	}
}

func (k *kernel) Send(frames [][]byte) hub.Backlog {
	k.client.Send(frames)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.most = max(k.most, len(frames))
	if k.queued == 0 {
		k.moved = time.Now()
	}
	for _, frame := range frames {
		k.queue = append(k.queue, len(frame))
		k.queued += len(frame)
	}
	k.fill()
	return k.backlog()
}

func (k *kernel) Backlog() hub.Backlog {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.backlog()
}

func (k *kernel) backlog() hub.Backlog {
	switch {
	case k.queued <= k.bound:
		return hub.Clear
	case time.Since(k.moved) < stuckAfter:
		return hub.Full
	}
	return hub.Stuck
}

func (k *kernel) isClosed() bool {
	k.client.mu.Lock()
	defer k.client.mu.Unlock()
	return k.closed != nil
}

// stall keeps the only worker of a rig busy, with something that is none of the
// clients' fault.
func (r *rig) stall() (release func()) {
	r.t.Helper()
	s := &stuck{client: client{t: r.t}, until: make(chan struct{})}
	conn, err := r.hub.Connect(r.app, s)
	if err != nil {
		r.t.Fatal(err)
	}
	s.conn = conn
	r.settle()
	s.stuck.Store(true)
	s.say(`{"event":"pusher:ping"}`)
	r.settle()
	return func() { s.stuck.Store(false); close(s.until) }
}

func oneWorker(o *hub.Options) { o.Workers = 1 }

func (r *rig) triggerBig(name, event string, size int) error {
	return r.hub.Trigger(r.t.Context(), r.app, hub.Event{
		Name: event, Channels: []string{name}, Data: []byte(`"` + strings.Repeat("x", size) + `"`),
	})
}

// TestAPauseOfAWorkerClosesNobody holds up the worker while much more is
// published than a client's queue may hold.
func TestAPauseOfAWorkerClosesNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.MaxEventBytes = 10 << 10 }, oneWorker)
		var readers []*kernel
		for range 10 {
			k := r.newKernel(1<<20, 64<<10, time.Millisecond)
			k.subscribe("news")
			readers = append(readers, k)
		}
		r.settle()
		for _, k := range readers {
			k.take()
		}
		release := r.stall()
		for i := range 600 {
			if err := r.triggerBig("news", fmt.Sprint(i), 9000); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(25 * time.Millisecond)
		release()
		time.Sleep(300 * time.Millisecond)
		for i, k := range readers {
			if k.isClosed() {
				t.Fatalf("reader %d was closed", i)
			}
			checkNumbered(t, k.take(), 600)
			k.mu.Lock()
			if k.most > 256 {
				t.Errorf("reader %d got %d frames at once", i, k.most)
			}
			k.mu.Unlock()
		}
		if held := r.hub.Stats().MailboxBytes; held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
}

// checkNumbered wants the events 0 to n-1, in order.
func checkNumbered(t *testing.T, events []got, n int) {
	t.Helper()
	if len(events) != n {
		t.Errorf("%d events, want %d", len(events), n)
	}
	for i, e := range events {
		if e.Event != fmt.Sprint(i) {
			t.Fatalf("event %d is %q", i, e.Event)
		}
	}
}

// TestABacklogTakesLittleMemory works off a full mailbox of small events for many
// subscribers. What it takes must not grow with events times subscribers.
func TestABacklogTakesLittleMemory(t *testing.T) {
	const bound, sockets = 8 << 20, 500
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // what is allocated is in use
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", key, secret
	memory := hub.NewMemory()
	h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory, MailboxBytes: bound, Workers: 1})
	defer memory.Close()
	defer h.Close()
	c := &crowd{hub: h, app: h.AppByID("1")}
	c.join(t, sockets)
	s := &stuck{client: client{t: t}, until: make(chan struct{})}
	conn, err := h.Connect(c.app, s)
	if err != nil {
		t.Fatal(err)
	}
	s.conn = conn
	s.stuck.Store(true)
	base := heap()
	s.say(`{"event":"pusher:ping"}`)
	events := int64(0)
	for err == nil {
		err = h.Trigger(t.Context(), c.app, hub.Event{Name: "e", Channels: []string{"hot"}, Data: []byte(`"0123456789012345678901234567890123456789"`)})
		events++
	}
	if !errors.Is(err, hub.ErrOverloaded) || events < 10_000 {
		t.Fatalf("after %d events: %v", events, err)
	}
	peak := heap()
	var m runtime.MemStats
	before := c.total()
	s.stuck.Store(false)
	close(s.until)
	for c.total() < before+(events-1)*sockets {
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	if grown := int64(peak) - int64(base); grown > 3*bound {
		t.Errorf("%d events for %d sockets: the heap grew by %d MB, want at most %d", events, sockets, grown>>20, 3*bound>>20)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// held is a rig of one worker with subscribers of "news" whose backlog the test
// sets.
func held(t *testing.T, subscribers int) (*rig, []*client) {
	r := newRig(t, nil, oneWorker)
	clients := make([]*client, subscribers)
	for i := range clients {
		clients[i] = r.connect()
		clients[i].subscribe("news")
		clients[i].expect(acknowledged)
	}
	return r, clients
}

// fill makes a client's socket Full, as the next event finds it.
func (r *rig) fill(c *client, event string) {
	r.t.Helper()
	c.set(hub.Full)
	r.trigger("news", event)
	r.settle()
}

func TestAStuckOneCostsTheOthersNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 1000)
		clients[500].set(hub.Stuck)
		began := time.Now()
		r.trigger("news", "hello")
		r.trigger("news", "again")
		for i, c := range clients {
			if i == 500 {
				c.expectClosed(protocol.CodeOverCapacity)
				continue
			}
			c.expect("hello", "again")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
		if n := r.hub.Stats().Closes[hub.End{Code: 4100, Reason: hub.SlowConsumer}]; n != 1 {
			t.Errorf("%d closes are counted, want 1", n)
		}
	})
}

func TestAHeldChannelKeepsItsOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 20)
		full, other := clients[0], clients[1]
		bystander := r.connect()
		bystander.subscribe("olds")
		bystander.expect(acknowledged)
		r.fill(full, "0")
		other.expect("0")
		for i := 1; i < 1000; i++ {
			r.trigger("news", fmt.Sprint(i))
		}
		r.trigger("olds", "not held")
		other.expect()
		bystander.expect("not held")
		if r.hub.Stats().MailboxBytes == 0 {
			t.Error("what is held does not count")
		}
		full.set(hub.Clear)
		time.Sleep(10 * time.Millisecond)
		r.trigger("news", "1000")
		r.settle()
		checkNumbered(t, full.take(), 1001)
		if events := other.take(); len(events) != 1000 || events[999].Event != "1000" {
			t.Errorf("%d events", len(events))
		}
		if held := r.hub.Stats().MailboxBytes; held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
}

// TestOneAfterTheOtherHoldsNothingUp has a new client fall behind before the last
// one is closed, again and again. The channel goes on all the same.
func TestOneAfterTheOtherHoldsNothingUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 40)
		fallBehind := func() {
			c := r.connect()
			c.subscribe("news")
			r.settle()
			c.set(hub.Full)
			c.say(`{"event":"pusher:ping"}`)
			r.settle()
		}
		fallBehind()
		const events = 50
		for i := range events {
			r.trigger("news", fmt.Sprint(i))
			time.Sleep(400 * time.Millisecond)
			r.settle()
			fallBehind()
		}
		if got := len(clients[0].take()); got < events/2 {
			t.Errorf("a client that reads got %d of %d events", got, events)
		}
	})
}

// TestAClientIsNotFullForEver: one that is over its bound, and holds up nobody, is
// closed after five minutes.
func TestAClientIsNotFullForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 10)
		r.fill(clients[0], "last")
		for range 4 {
			time.Sleep(time.Minute)
			clients[0].conn.Touch()
			clients[0].expectOpen()
		}
		time.Sleep(61 * time.Second)
		clients[0].expectClosed(protocol.CodeOverCapacity)
	})
}

// TestTheLastOfManyHaveTheirTime: while a crowd catches up, those who are last are
// not measured by what is for a few.
func TestTheLastOfManyHaveTheirTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 100)
		for _, c := range clients {
			c.set(hub.Full)
		}
		r.trigger("news", "first")
		r.settle()
		r.trigger("news", "held")
		r.settle()
		time.Sleep(3 * time.Second)
		for _, c := range clients[2:] {
			c.set(hub.Clear)
		}
		time.Sleep(1500 * time.Millisecond)
		clients[0].expectOpen()
		clients[0].set(hub.Clear)
		time.Sleep(time.Second)
		clients[1].expectClosed(protocol.CodeOverCapacity)
		clients[0].expect("first", "held")
		clients[0].expectOpen()
	})
}

// TestAPauseOfTheServerCostsNoPatience has the worker held up for longer than it
// waits for anybody: clients can do nothing about that.
func TestAPauseOfTheServerCostsNoPatience(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 100)
		s := &stuck{client: client{t: t}, until: make(chan struct{})}
		conn, err := r.hub.Connect(r.app, s)
		if err != nil {
			t.Fatal(err)
		}
		s.conn = conn
		r.settle()
		r.fill(clients[0], "first")
		r.trigger("news", "held")
		r.settle()
		s.stuck.Store(true)
		s.say(`{"event":"pusher:ping"}`)
		time.Sleep(time.Minute)
		s.stuck.Store(false)
		close(s.until)
		time.Sleep(100 * time.Millisecond)
		clients[0].expectOpen()
		time.Sleep(3 * time.Second)
		clients[0].expectClosed(protocol.CodeOverCapacity)
	})
}

func TestAFewAreWaitedForBriefly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 100)
		r.fill(clients[0], "first")
		began := time.Now()
		r.trigger("news", "held")
		time.Sleep(1900 * time.Millisecond)
		clients[0].expectOpen()
		clients[1].expect("first")
		time.Sleep(400 * time.Millisecond)
		clients[0].expectClosed(protocol.CodeOverCapacity)
		if after := clients[0].at.Sub(began); after < 2*time.Second || after > 2200*time.Millisecond {
			t.Errorf("closed after %v, want two seconds", after)
		}
		for _, c := range clients[1:2] {
			c.expect("held")
			c.expectOpen()
		}
	})
}

func TestManyAreWaitedForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 100)
		for _, c := range clients[:50] {
			c.set(hub.Full)
		}
		r.trigger("news", "first")
		r.settle()
		r.trigger("news", "held")
		began := time.Now()
		time.Sleep(4900 * time.Millisecond)
		for _, c := range clients {
			c.expectOpen()
		}
		for _, c := range clients[:40] { // these have read at last
			c.set(hub.Clear)
		}
		time.Sleep(300 * time.Millisecond)
		for i, c := range clients {
			if i >= 40 && i < 50 {
				c.expectClosed(protocol.CodeOverCapacity)
				if after := c.at.Sub(began); after < 4900*time.Millisecond || after > 5200*time.Millisecond {
					t.Errorf("closed after %v, want 5 s", after)
				}
				continue
			}
			c.expectOpen()
			c.expect("first", "held")
		}
	})
}

// A client that is over its bound again and again, but reads in between, is not
// closed however long that goes on.
func TestWhoCatchesUpIsNotClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 4)
		for range 100 {
			for _, c := range clients {
				c.set(hub.Full)
			}
			r.trigger("news", "event")
			r.settle()
			r.trigger("news", "event")
			time.Sleep(200 * time.Millisecond)
			for _, c := range clients {
				c.set(hub.Clear)
			}
			time.Sleep(20 * time.Millisecond)
		}
		for _, c := range clients {
			c.expectOpen()
			if n := len(c.take()); n != 200 {
				t.Errorf("%d events, want 200", n)
			}
		}
	})
}

func TestNobodyIsClosedWhoHoldsUpNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 100)
		r.fill(clients[0], "last for a long time")
		time.Sleep(time.Minute)
		clients[0].expectOpen()
	})
}

func TestJoiningAHeldChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, oneWorker)
		const name = "cache-news"
		full := r.connect()
		full.subscribe(name)
		full.expect(acknowledged, "pusher:cache_miss")
		full.set(hub.Full)
		r.trigger(name, "0")
		r.settle()
		r.trigger(name, "1")
		r.settle()
		joiner := r.connect()
		joiner.subscribe(name)
		r.settle()
		r.trigger(name, "2")
		r.trigger(name, "3")
		joiner.expect(acknowledged, "1") // the cached event, which is held for the other
		left := r.connect()
		left.subscribe(name)
		left.expect(acknowledged, "3")
		left.unsubscribe(name)
		full.set(hub.Clear)
		time.Sleep(10 * time.Millisecond)
		joiner.expect("2", "3")
		full.expect("0", "1", "2", "3")
		left.expect()
		r.trigger(name, "4")
		joiner.expect("4")
	})
}

func TestPresenceOfAHeldChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, oneWorker)
		const room = "presence-room"
		full := r.connect()
		full.enter(room, "full")
		full.expect(acknowledged)
		full.set(hub.Full)
		r.trigger(room, "first")
		r.settle()
		ann := r.connect()
		ann.enter(room, "ann")
		ann.expect(acknowledged)
		bob := r.connect()
		bob.enter(room, "bob")
		bob.expect(acknowledged)
		ann.conn.Gone(gone)
		r.settle()
		full.expect("first")
		bob.expect()
		full.set(hub.Clear)
		time.Sleep(10 * time.Millisecond)
		full.expect(added, added, removed)
		bob.expect(removed)
	})
}

func TestTheLastSubscriberOfAHeldChannelLeaves(t *testing.T) {
	for name, leave := range map[string]func(*rig, *client){
		"goes":          func(_ *rig, c *client) { c.conn.Gone(gone) },
		"is terminated": func(r *rig, _ *client) { _ = r.hub.Terminate(r.t.Context(), r.app, "ann") },
		"is stuck":      func(_ *rig, c *client) { c.set(hub.Stuck) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, clients := held(t, 1)
				c := clients[0]
				c.signInAs("ann")
				c.expect(signedIn)
				r.fill(c, "first")
				for range 100 {
					r.trigger("news", "held")
				}
				r.settle()
				leave(r, c)
				time.Sleep(10 * time.Millisecond)
				c.expect("first")
				if held := r.hub.Stats().MailboxBytes; held != 0 {
					t.Errorf("%d bytes are still held", held)
				}
				next := r.connect()
				next.subscribe("news")
				next.expect(acknowledged)
				r.trigger("news", "hello")
				next.expect("hello")
			})
		})
	}
}

// TestASubscriptionOfOneWhoIsBehind is acknowledged while its connection is over a
// bound: from then on it holds up its channel like any other.
func TestASubscriptionOfOneWhoIsBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, g := gated(t)
		full, other := r.connect(), r.connect()
		full.subscribe("news")
		full.expect(acknowledged)
		other.subscribe("olds")
		other.expect(acknowledged)
		g.hold(true)
		full.subscribe("olds")
		r.settle()
		r.fill(full, "first")
		g.hold(false)
		full.expect("first", acknowledged)
		r.trigger("olds", "held")
		full.expect()
		full.set(hub.Clear)
		time.Sleep(10 * time.Millisecond)
		full.expect("held")
		full.unsubscribe("olds")
		full.unsubscribe("news")
		r.settle()
		if held := r.hub.Stats().MailboxBytes; held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
}

// TestLeavingAHeldChannel has an unsubscribe lie in the mailbox while the channel
// comes to be held.
func TestLeavingAHeldChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 2)
		leaver, other := clients[0], clients[1]
		release := r.stall()
		for i := range 2 {
			if err := r.triggerBig("news", fmt.Sprint(i), 70_000); err != nil { // a piece each
				t.Fatal(err)
			}
		}
		leaver.unsubscribe("news")
		leaver.set(hub.Full)
		release()
		leaver.expect("0")
		other.expect("0", "1")
		leaver.set(hub.Clear)
		time.Sleep(10 * time.Millisecond)
		leaver.expect()
		r.trigger("news", "2")
		other.expect("2")
		leaver.subscribe("news")
		leaver.expect(acknowledged)
		r.trigger("news", "3")
		leaver.expect("3")
		if held := r.hub.Stats().MailboxBytes; held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
}

func TestAClientThatIsBehindIsNotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 1)
		c := clients[0]
		r.fill(c, "first")
		c.expect("first")
		wait := c.conn.Receive([]byte(`{"event":"pusher:ping"}`))
		if wait == nil {
			t.Fatal("was read")
		}
		c.expect()
		c.set(hub.Clear)
		<-wait
		c.say(`{"event":"pusher:ping"}`)
		c.expect("pusher:pong")
	})
}

func TestLostWhileHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var receiver hub.Receiver
		r := newRig(t, nil, oneWorker, func(o *hub.Options) {
			o.Bus = &followed{Memory: o.Bus.(*hub.Memory), last: &receiver}
		})
		c := r.connect()
		c.subscribe("news")
		c.expect(acknowledged)
		r.fill(c, "first")
		r.trigger("news", "held")
		r.settle()
		receiver.Lost()
		c.expectClosed(protocol.CodeReconnect)
		c.expect("first")
		if held := r.hub.Stats().MailboxBytes; held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
}

// followed shows the receiver that the hub follows a topic with.
type followed struct {
	*hub.Memory
	last *hub.Receiver
}

func (f *followed) Follow(t hub.Topic, r hub.Receiver, done func(error)) {
	*f.last = r
	f.Memory.Follow(t, r, done)
}

func TestDrainWithHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 10)
		r.fill(clients[0], "first")
		r.trigger("news", "held")
		r.settle()
		if err := r.hub.Drain(t.Context(), protocol.Reconnect(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			c.expectClosed(protocol.CodeReconnect)
		}
		if held := r.hub.Stats().MailboxBytes; held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
}

func TestCloseWithHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 10)
		r.fill(clients[0], "first")
		r.trigger("news", "held")
		wait := clients[0].conn.Receive([]byte(`{"event":"pusher:ping"}`))
		r.hub.Close()
		<-wait
		if wait := clients[0].conn.Receive([]byte(`{"event":"pusher:ping"}`)); wait != nil {
			t.Error("a client has to wait for a hub that is closed")
		}
	})
}

// TestHoldsAtRandom has sockets fall behind and catch up at random while clients
// come and go, and wants every client that is not closed to get each event of
// its time once, in order.
func TestHoldsAtRandom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, func(o *hub.Options) { o.Workers = 2 })
		var readers []*kernel
		for i := range 20 {
			k := r.newKernel(20<<10, 8<<10, time.Duration(1+i%3)*time.Millisecond)
			for _, name := range []string{"a", "b", "c"} {
				k.subscribe(name)
			}
			readers = append(readers, k)
		}
		r.settle()
		for _, k := range readers {
			k.take()
		}
		var publishers sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			publishers.Go(func() {
				for i := range 300 {
					for r.triggerBig(name, fmt.Sprint(i), 2000) != nil {
						time.Sleep(time.Millisecond)
					}
					if i%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		publishers.Wait()
		time.Sleep(5 * time.Second)
		for i, k := range readers {
			if k.isClosed() {
				t.Fatalf("reader %d was closed", i)
			}
			byChannel := map[string][]got{}
			for _, e := range k.take() {
				byChannel[e.Channel] = append(byChannel[e.Channel], e)
			}
			for _, name := range []string{"a", "b", "c"} {
				checkNumbered(t, byChannel[name], 300)
			}
		}
	})
}
