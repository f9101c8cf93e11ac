package hub_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/protocol"
)

// with returns a copy of the rig's app that is changed.
func (r *rig) with(change func(*hub.App)) hub.App {
	app := *r.hub.AppByID("1")
	change(&app)
	return app
}

// other is a second app.
func other() hub.App {
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "2", "other-key", "other-secret"
	return app
}

// TestSetApps changes apps under connections.
func TestSetApps(t *testing.T) {
	same := func(*hub.App) {}
	t.Run("added, changed, disabled, removed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, nil)
			one := r.connect()
			one.subscribe("news")
			one.expect(acknowledged)
			if r.hub.AppByKey("other-key") != nil {
				t.Error("there is a second app")
			}

			if got := r.hub.SetApps([]hub.App{r.with(same), other()}); !slices.Equal(got.Added, []string{"2"}) || len(got.Changed)+len(got.Removed) != 0 {
				t.Errorf("changed %+v, want the second app added", got)
			}
			if got := r.hub.SetApps([]hub.App{r.with(same), other()}); len(got.Added)+len(got.Changed)+len(got.Removed) != 0 {
				t.Errorf("changed %+v, want nothing", got)
			}
			two := r.connectTo(r.hub.AppByKey("other-key"))
			r.trigger("news", "e")
			one.expect("e")

			disabled := r.with(func(a *hub.App) { a.Disabled = true })
			if got := r.hub.SetApps([]hub.App{disabled, other()}); !slices.Equal(got.Changed, []string{"1"}) {
				t.Errorf("changed %+v, want the first app", got)
			}
			one.expectClosed(protocol.CodeAppDisabled)
			two.expectOpen()

			if got := r.hub.SetApps([]hub.App{disabled}); !slices.Equal(got.Removed, []string{"2"}) {
				t.Errorf("changed %+v, want the second app removed", got)
			}
			two.expectClosed(protocol.CodeUnknownKey)
			if r.hub.AppByKey("other-key") != nil || r.hub.AppByID("2") != nil {
				t.Error("the second app is still there")
			}
		})
	})
	t.Run("between handshake and connection", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, nil)
			r.hub.SetApps([]hub.App{r.with(same), other()})
			two := r.hub.AppByKey("other-key")
			r.hub.SetApps([]hub.App{r.with(same)})
			var refusal hub.Refusal
			if _, err := r.hub.Connect(two, &client{t: t}); !errors.As(err, &refusal) || refusal.Fault.Code != protocol.CodeUnknownKey {
				t.Errorf("got %v, want 4001", err)
			}
			if err := r.hub.Trigger(t.Context(), two, hub.Event{Name: "e", Channels: []string{"c"}, Data: []byte(`""`)}); err != nil {
				t.Errorf("a publish that was under way: %v", err)
			}

			early := r.hub.AppByID("1")
			r.hub.SetApps([]hub.App{r.with(func(a *hub.App) { a.Disabled = true })})
			c := &client{t: t}
			if _, err := r.hub.Connect(early, c); err != nil {
				t.Fatal(err)
			}
			c.expectClosed(protocol.CodeAppDisabled)
		})
	})
	t.Run("limits and signatures of connections that are there", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.connect()
			c.subscribe("private-a")
			c.expect(acknowledged)
			c.say(`{"event":"client-x","channel":"private-a","data":{}}`)
			c.expect()
			r.hub.SetApps([]hub.App{r.with(func(a *hub.App) {
				a.ClientEvents, a.Secret, a.MaxChannelsPerConnection = false, "new", 1
			})})
			c.say(`{"event":"client-x","channel":"private-a","data":{}}`)
			c.expectError("null", "enable this feature")
			c.subscribe("private-b") // signed with the secret before
			c.expect("pusher:error", refused)
			c.subscribe("news")
			c.expect("pusher:error", refused)
			r.hub.SetApps([]hub.App{r.with(func(a *hub.App) {
				a.ClientEvents, a.OtherSecrets, a.MaxChannelsPerConnection, a.ClientEventsPerSecond = true, []string{secret}, 2, 2
			})})
			c.subscribe("private-b")
			c.expect(acknowledged)
			for range 3 {
				c.say(`{"event":"client-x","channel":"private-a","data":{}}`)
			}
			c.expectError("4301", "rate")
		})
	})
	t.Run("a quota that counts those that are there", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, nil)
			first, second := r.connect(), r.connect()
			limited := func(most int) { r.hub.SetApps([]hub.App{r.with(func(a *hub.App) { a.MaxConnections = most })}) }
			full := func() {
				t.Helper()
				var refusal hub.Refusal
				if _, err := r.hub.Connect(r.hub.AppByID("1"), &client{t: t}); !errors.As(err, &refusal) || refusal.Reason != hub.Quota {
					t.Errorf("got %v, want that the quota is used up", err)
				}
			}
			limited(2)
			full()
			first.expectOpen()
			limited(1)
			full()
			second.conn.Gone(gone)
			r.settle()
			full()
			limited(2)
			r.connect()
			full()
			limited(0)
			r.connect()
			r.connect()
			limited(4)
			full()
		})
	})
	t.Run("removed, and back before its connections are closed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, func(a *hub.App) { a.MaxConnections = 2 })
			r.connect()
			r.connect()
			app := r.with(same)
			opened := r.hub.Stats().Apps[0].Opened
			r.hub.SetApps([]hub.App{other()})
			if got := r.hub.SetApps([]hub.App{app}); !slices.Equal(got.Added, []string{"1"}) {
				t.Errorf("changed %+v, want the first app added", got)
			}
			r.settle()
			if s := r.hub.Stats().Apps[0]; s.Opened != opened {
				t.Errorf("%d connections were opened, want %d as before", s.Opened, opened)
			}
			for r.hub.Connections() < 2 {
				r.connect()
			}
			var refusal hub.Refusal
			if _, err := r.hub.Connect(r.hub.AppByID("1"), &client{t: t}); !errors.As(err, &refusal) || refusal.Reason != hub.Quota {
				t.Errorf("got %v, want that the quota is used up", err)
			}
		})
	})
	t.Run("authorized connections that nobody has asked for", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.connect()
			r.hub.SetApps([]hub.App{r.with(func(a *hub.App) { a.AuthorizedConnections, a.AuthorizedTimeout = true, time.Second })})
			d := r.connect()
			time.Sleep(10 * time.Second)
			c.expectOpen() // it did not know
			d.expectClosed(protocol.CodeUnauthorized)
		})
	})
	t.Run("webhooks of a channel that is there", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, nil)
			var mu sync.Mutex
			var noted []hub.Hooks
			r.memory.NoteOccurrences(func(o hub.Occurrence) {
				mu.Lock()
				defer mu.Unlock()
				noted = append(noted, o.Kind)
			}, nil)
			c := r.connect()
			c.subscribe("news")
			c.expect(acknowledged)
			r.hub.SetApps([]hub.App{r.with(func(a *hub.App) { a.Webhooks = []hub.Webhook{{URL: "http://x", Hooks: hub.HookVacated}} })})
			c.unsubscribe("news")
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(noted, []hub.Hooks{hub.HookVacated}) {
				t.Errorf("noted %v, want that the channel was vacated", noted)
			}
		})
	})
	t.Run("tokens", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, nil)
			r.hub.SetApps([]hub.App{r.with(func(a *hub.App) { resuming(a) })})
			r.app = r.hub.AppByID("1")
			time.Sleep(time.Hour) // what is new since a start looks as if it had come back
			c := r.visitRoom(token, "news")
			c.breaks()
			r.trigger("news", "e")
			c = r.visit(token)
			c.subscribe("news")
			c.expectText(acknowledged, wasResumed(1, 0), "e")
		})
	})
	t.Run("a shorter activity timeout", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, func(a *hub.App) { a.ActivityTimeout = time.Hour })
			c := r.connect()
			r.hub.SetApps([]hub.App{r.with(func(a *hub.App) { a.ActivityTimeout = 10 * time.Second })})
			time.Sleep(20 * time.Second)
			c.expect("ping")
		})
	})
}

// TestSetAppsAgain changes an app again and again under publishers and clients that come
// and go, and leaves nothing behind.
func TestSetAppsAgain(t *testing.T) {
	r := newRig(t, nil)
	var work sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if app := r.hub.AppByKey(key); app != nil {
					if conn, err := r.hub.Connect(app, &client{t: t}); err == nil {
						receive(conn, []byte(`{"event":"pusher:subscribe","data":{"channel":"news"}}`))
						conn.Gone(gone)
					}
					_ = r.hub.Trigger(t.Context(), app, hub.Event{Name: "e", Channels: []string{"news"}, Data: []byte(`""`)})
				}
				r.hub.Stats()
			}
		})
	}
	app := r.with(func(*hub.App) {})
	for i := range 300 {
		app.Disabled, app.MaxConnections = i%7 == 0, i%5
		apps := []hub.App{app, other()}
		if i%11 == 0 {
			apps = apps[1:]
		}
		r.hub.SetApps(apps)
	}
	close(stop)
	work.Wait()
	app.Disabled, app.MaxConnections = false, 0
	r.hub.SetApps([]hub.App{app})
	deadline := time.Now().Add(10 * time.Second)
	for r.hub.Connections() > 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := r.hub.Connections(); n > 0 {
		t.Errorf("%d connections are left", n)
	}
}
