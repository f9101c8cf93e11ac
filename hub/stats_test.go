package hub_test

import (
	"testing"
	"time"

	"channels/hub"
)

// stopper is a Memory that stops inside calls which are made with a lock held: the
// join of the channel "join", under the lock of a part of the hub's channels, and
// an event of the channel "event", under that of a part of the Memory's.
type stopper struct {
	*hub.Memory
	reached chan struct{} // gets a token for each join, and for the event
	until   chan struct{} // closed to go on
}

func (s *stopper) Join(j hub.Join, done func(hub.Joined, error)) {
	s.reached <- struct{}{}
	if j.Topic.Channel == "join" {
		<-s.until
	}
	s.Memory.Join(j, done)
}

func (s *stopper) Follow(t hub.Topic, r hub.Receiver, done func(error)) {
	if t.Channel == "event" {
		r = &stoppingReceiver{r, s}
	}
	s.Memory.Follow(t, r, done)
}

type stoppingReceiver struct {
	hub.Receiver
	stopper *stopper
}

func (r *stoppingReceiver) Receive(m hub.Message) {
	r.stopper.reached <- struct{}{}
	<-r.stopper.until
	r.Receiver.Receive(m)
}

// TestStatsWaitForNoLock: a scrape reads counters. It does not walk the channels,
// for which it would need the locks that subscribes and events need.
func TestStatsWaitForNoLock(t *testing.T) {
	s := &stopper{reached: make(chan struct{}), until: make(chan struct{})}
	r := newRig(t, nil, func(o *hub.Options) {
		s.Memory = o.Bus.(*hub.Memory)
		o.Bus, o.State = s, s
	})
	for _, name := range []string{"event", "join"} {
		c := &client{t: t}
		conn, err := r.hub.Connect(r.app, c)
		if err != nil {
			t.Fatal(err)
		}
		c.conn = conn
		c.subscribe(name)
		<-s.reached
	}
	published := make(chan error, 1)
	go func() { published <- r.publish("event", "hello", "") }()
	<-s.reached

	read := make(chan hub.Stats, 1)
	go func() { read <- r.hub.Stats() }()
	select {
	case stats := <-read:
		if app := stats.Apps[0]; app.Channels != 2 || app.Subscriptions != 2 {
			t.Errorf("%d channels, %d subscriptions, want 2 each", app.Channels, app.Subscriptions)
		}
	case <-time.After(10 * time.Second):
		t.Error("a scrape waits for a lock")
	}
	close(s.until)
	if err := <-published; err != nil {
		t.Error(err)
	}
}

// TestStatsCountWhatIsThere compares the counters with what clients have done.
func TestStatsCountWhatIsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, b := r.connect(), r.connect()
		for _, step := range []struct {
			name                    string
			do                      func()
			channels, subscriptions int
		}{
			{"nothing yet", func() {}, 0, 0},
			{"one subscribes", func() { a.subscribe("news"); a.enter("presence-room", "ann") }, 2, 2},
			{"twice, which is refused", func() { a.subscribe("news") }, 2, 2},
			{"another subscribes", func() { b.subscribe("news"); b.enter("presence-room", "ann") }, 2, 4},
			{"not with that signature", func() {
				b.say(`{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"app-key:00"}}`)
			}, 2, 4},
			{"signed in, with watchers", func() { a.signInAs("ann", "bob"); b.signInAs("bob", "ann") }, 2, 4},
			{"one leaves", func() { a.unsubscribe("news") }, 2, 3},
			{"what it has left", func() { a.unsubscribe("news") }, 2, 3},
			{"the last leaves", func() { b.unsubscribe("news") }, 1, 2},
			{"one goes", func() { b.conn.Gone(gone) }, 1, 1},
			{"all are gone", func() { a.conn.Gone(gone) }, 0, 0},
		} {
			step.do()
			r.settle()
			s := r.hub.Stats().Apps[0]
			if s.Channels != step.channels || s.Subscriptions != step.subscriptions {
				t.Errorf("%s: %d channels, %d subscriptions, want %d and %d",
					step.name, s.Channels, s.Subscriptions, step.channels, step.subscriptions)
			}
		}
	})
}
