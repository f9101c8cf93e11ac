package hub_test

import (
	"testing"
	"time"

	"channels/hub"
)

func keeping(a *hub.App) { a.PresenceGrace = 10 * time.Second }

// TestPresenceGrace: who comes back in time was never gone, and who has left is gone at once.
func TestPresenceGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, keeping)
		watcher := r.connect()
		watcher.enter("presence-x", "watcher")
		watcher.expect(acknowledged)
		c := r.connect()
		c.enter("presence-x", "ann")
		c.expect(acknowledged)
		watcher.expect(added)

		c.breaks()
		time.Sleep(9 * time.Second)
		c = r.connect()
		c.enter("presence-x", "ann")
		c.expect(acknowledged)
		time.Sleep(time.Minute)
		watcher.expect() // not a word about ann

		c.breaks()
		time.Sleep(9999 * time.Millisecond)
		watcher.expect()
		time.Sleep(2 * time.Millisecond)
		watcher.expect(removed)

		c = r.connect()
		c.enter("presence-x", "ann")
		c.expect(acknowledged)
		watcher.expect(added)
		c.unsubscribe("presence-x")
		watcher.expect(removed)
	})
}

// TestPresenceGraceAlone: a member who is kept is on the roster that others are told, also
// while nobody else is on the channel.
func TestPresenceGraceAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, keeping)
		c := r.connect()
		c.enter("presence-x", "ann")
		c.expect(acknowledged)
		c.breaks()
		time.Sleep(5 * time.Second)
		if users, err := r.hub.Users(t.Context(), r.app, "presence-x"); err != nil || len(users) != 1 {
			t.Errorf("users %v, %v", users, err)
		}
		if info, err := r.hub.Channel(t.Context(), r.app, "presence-x"); err != nil || info.Subscribers != 0 {
			t.Errorf("%+v, %v", info, err)
		}
		other := r.connect()
		other.enter("presence-x", "bob")
		other.expect(acknowledged)
		time.Sleep(5 * time.Second)
		other.expect(removed)
		if users, err := r.hub.Users(t.Context(), r.app, "presence-x"); err != nil || len(users) != 1 || users[0] != "bob" {
			t.Errorf("users %v, %v", users, err)
		}
	})
}

// TestPresenceGraceBreaksAgain: the grace counts from the last break.
func TestPresenceGraceBreaksAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, keeping)
		watcher := r.connect()
		watcher.enter("presence-x", "watcher")
		for range 4 {
			c := r.connect()
			c.enter("presence-x", "ann")
			c.expect(acknowledged)
			time.Sleep(time.Second)
			c.breaks()
			time.Sleep(7 * time.Second)
		}
		watcher.expect(acknowledged, added)
		time.Sleep(4 * time.Second)
		watcher.expect(removed)
	})
}
