package hub_test

import (
	"fmt"
	"testing"

	"channels/hub"
	"channels/hub/contract"
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

// TestChurnWhileTheBackendFails runs the contract's churn in bubbles, where every
// seed takes another course.
func TestChurnWhileTheBackendFails(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := hub.NewMemory()
				defer m.Close()
				contract.Churn(t, contract.Node{Bus: m, State: m}, seed)
			})
		})
	}
}
