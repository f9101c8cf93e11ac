package hub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/protocol"
)

const token = "0123456789abcdef"

// resuming is an app whose clients may be away for five minutes.
func resuming(a *hub.App) {
	a.Resume = 5 * time.Minute
	a.History.Events = 100
}

// newResumingRig starts a hub that has run for so long that a token which it does not know is
// new.
func newResumingRig(t *testing.T, change func(*hub.App), options ...func(*hub.Options)) *rig {
	t.Helper()
	r := newRig(t, func(a *hub.App) {
		resuming(a)
		if change != nil {
			change(a)
		}
	}, options...)
	time.Sleep(r.app.Resume + time.Second)
	return r
}

// visit returns a greeted client with a token.
func (r *rig) visit(token string) *client {
	r.t.Helper()
	c := &client{t: r.t}
	conn, err := r.hub.ConnectAs(r.app, c, hub.Visitor{Token: token, Answers: true})
	if err != nil {
		r.t.Fatalf("connect: %v", err)
	}
	c.conn = conn
	c.expect("pusher:connection_established")
	return c
}

// visitRoom returns a client that has subscribed.
func (r *rig) visitRoom(token string, rooms ...string) *client {
	r.t.Helper()
	c := r.visit(token)
	for _, room := range rooms {
		c.subscribe(room)
		c.expect(acknowledged)
	}
	return c
}

func (c *client) answer() {
	c.say(`{"event":"pusher:pong","data":{}}`)
	synctest.Wait()
}

// breaks ends the connection.
func (c *client) breaks() {
	c.conn.Gone(gone)
	synctest.Wait()
}

// expectText is expect with the data of what resuming says.
func (c *client) expectText(want ...string) {
	c.t.Helper()
	synctest.Wait()
	var texts []string
	for _, e := range c.take() {
		text := e.Event
		if e.Event == resumed || e.Event == missed {
			text += strings.ReplaceAll(string(e.Data), `\"`, ``)
		}
		texts = append(texts, text)
	}
	if !slices.Equal(texts, want) {
		c.t.Fatalf("received\n%q, want\n%q", texts, want)
	}
}

const (
	resumed = "pusher:resumed"
	missed  = "pusher:missed"
	probe   = "pusher:ping"
)

func wasResumed(replayed, seen int) string {
	return fmt.Sprintf(`%s"{replayed:%d,possibly_seen:%d}"`, resumed, replayed, seen)
}

// TestResume: what a client has not confirmed comes again, and then what it has missed.
func TestResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := r.visitRoom(token, "news", "quiet")
		r.trigger("news", "a")
		c.expect("a", probe)
		c.answer()
		r.trigger("news", "b")
		c.expect("b")
		c.breaks()
		r.trigger("news", "c")
		c = r.visit(token)
		c.subscribe("quiet")
		c.expectText(acknowledged, wasResumed(0, 0))
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(2, 1), "b", "c")
		r.trigger("news", "d")
		c.expect("d", probe)
	})
}

// TestProbes: the first event after quiet brings one, and then there is one a second at most,
// and one without an answer.
func TestProbes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := r.visitRoom(token, "news")
		plain := r.connect()
		plain.subscribe("news")
		plain.expect(acknowledged)
		r.trigger("news", "a")
		c.expect("a", probe)
		r.trigger("news", "b")
		time.Sleep(5 * time.Second)
		c.expect("b") // the probe has no answer
		c.answer()
		c.expect(probe) // since b is not confirmed
		c.answer()
		time.Sleep(5 * time.Second)
		c.expect()
		r.trigger("news", "c")
		c.expect("c", probe)
		r.trigger("news", "d")
		c.expect("d")
		c.answer()
		time.Sleep(900 * time.Millisecond)
		c.expect()
		time.Sleep(300 * time.Millisecond)
		c.expect(probe)
		plain.expect("a", "b", "c", "d")
		c.answer()
		c.breaks()
		c = r.visit(token)
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(0, 0))
	})
}

// TestResumeReceipt: a client that answers no pusher:ping is sent a ping of the WebSocket.
func TestResumeReceipt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := &client{t: t}
		conn, err := r.hub.ConnectAs(r.app, c, hub.Visitor{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		c.conn = conn
		c.expect("pusher:connection_established")
		c.subscribe("news")
		c.expect(acknowledged)
		r.trigger("news", "a")
		synctest.Wait()
		if last := c.frames[len(c.frames)-1]; string(last) != string(protocol.NumberedPingFrame(1)) {
			t.Fatalf("the last frame is %q", last)
		}
		c.frames = nil
		c.answer() // is no answer
		conn.Ponged([]byte("7"))
		conn.Ponged([]byte("x"))
		c.breaks()
		c = r.visit(token)
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(1, 1), "a")
		c.breaks()

		c = &client{t: t}
		if conn, err = r.hub.ConnectAs(r.app, c, hub.Visitor{Token: token}); err != nil {
			t.Fatal(err)
		}
		c.conn = conn
		c.subscribe("news")
		c.expectText("pusher:connection_established", acknowledged, wasResumed(1, 1), "a")
		r.trigger("news", "b")
		synctest.Wait()
		c.frames = nil
		conn.Ponged([]byte("1"))
		c.breaks()
		c = r.visit(token)
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(0, 0))
	})
}

// TestTokenIsLookedAfterSooner: a broken connection with a token is found in half a minute.
func TestTokenIsLookedAfterSooner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		for seconds, v := range map[string]hub.Visitor{"120": {}, "30": {Token: token, Answers: true}} {
			c := &client{t: t}
			conn, err := r.hub.ConnectAs(r.app, c, v)
			if err != nil {
				t.Fatal(err)
			}
			c.conn = conn
			if data := string(c.expect("pusher:connection_established")[0].Data); !strings.Contains(data, `activity_timeout\":`+seconds+"}") {
				t.Errorf("with %+v: %s", v, data)
			}
			c.breaks()
		}
		c := r.visit(token)
		time.Sleep(37 * time.Second)
		c.expect("ping")
	})
}

// TestPongsThatNobodyAskedFor confirm nothing that was sent later.
func TestPongsThatNobodyAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := r.visit(token)
		c.answer() // before it has claimed anything
		c.subscribe("news")
		c.expect(acknowledged)
		for range 10 {
			c.answer()
		}
		r.trigger("news", "a")
		c.expect("a", probe)
		c.breaks()
		c.answer() // after its end
		c = r.visit(token)
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(1, 1), "a")
	})
}

// TestForeignTokens: a token is its app's own, and one of somebody else brings nothing of a
// channel that one may not subscribe to.
func TestForeignTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := r.visitRoom(token, "private-x")
		c.breaks()
		r.trigger("private-x", "secret")
		thief := r.visit(token)
		thief.say(`{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"app-key:0000"}}`)
		thief.expect("pusher:error", refused)
		thief.breaks()
		c = r.visit(token)
		c.subscribe("private-x")
		c.expectText(acknowledged, wasResumed(1, 0), "secret")
	})
}

// TestDeafClient: one that answers pings of the WebSocket, but not pusher:ping, is closed, and
// comes back to what it has missed.
func TestDeafClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := r.visitRoom(token, "news")
		for range 20 {
			time.Sleep(5 * time.Second)
			c.conn.Touch()
		}
		c.expectOpen() // nothing was sent
		r.trigger("news", "a")
		c.expect("a", probe)
		for range 8 {
			time.Sleep(5 * time.Second)
			c.conn.Touch()
		}
		c.expectClosed(protocol.CodePongMissing)
		c = r.visit(token)
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(1, 1), "a")
	})
}

// TestMissed: nothing is missed in silence.
func TestMissed(t *testing.T) {
	// confirmsOne has a client confirm one event and then break, and returns what it is told if
	// it misses what comes after.
	confirmsOne := func(r *rig) string {
		c := r.visitRoom(token, "news")
		r.trigger("news", "a")
		c.expect("a", probe)
		c.answer()
		past, err := r.hub.Past(context.Background(), r.app, "news", hub.Span{Most: 1})
		if err != nil {
			t.Fatal(err)
		}
		c.breaks()
		return fmt.Sprintf(`%s"{since_ms:%d}"`, missed, past.Events[0].Seq/1000)
	}
	const sinceUnknown = missed + `"{since_ms:null}"`
	t.Run("more than is kept", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newResumingRig(t, func(a *hub.App) { a.History.Events = 3 })
			last := confirmsOne(r)
			for _, e := range []string{"b", "c", "d", "e"} {
				r.trigger("news", e)
			}
			c := r.visit(token)
			c.subscribe("news")
			c.expectText(acknowledged, last)
			r.trigger("news", "f")
			c.expect("f", probe)
			c.answer()
			c.breaks()
			c = r.visit(token)
			c.subscribe("news")
			c.expectText(acknowledged, wasResumed(0, 0)) // it was told once
		})
	})
	t.Run("what is erased", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newResumingRig(t, nil)
			last := confirmsOne(r)
			r.trigger("news", "b")
			if n, err := r.hub.Erase(t.Context(), r.app, "news", 0); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			c := r.visit(token)
			c.subscribe("news")
			c.expectText(acknowledged, last)
		})
	})
	t.Run("after a start without a memory", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, resuming)
			c := r.visit(token)
			for _, room := range []string{"news", "cache-news", "private-encrypted-x"} {
				c.subscribe(room)
			}
			c.expectText(acknowledged, sinceUnknown, acknowledged, "pusher:cache_miss", sinceUnknown, acknowledged, sinceUnknown)
		})
	})
	t.Run("on a channel without a history", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newResumingRig(t, func(a *hub.App) { a.History.Prefix = "kept-" })
			c := r.visitRoom(token, "kept-a", "news")
			c.breaks()
			c = r.visit(token)
			c.subscribe("kept-a")
			c.expectText(acknowledged, wasResumed(0, 0))
			c.subscribe("news")
			synctest.Wait()
			if events := c.take(); len(events) != 2 || events[1].Event != missed {
				t.Errorf("received %v", events)
			}
		})
	})
	t.Run("away for too long", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newResumingRig(t, nil)
			r.visitRoom(token, "news").breaks()
			time.Sleep(r.app.Resume + 31*time.Second)
			c := r.visit(token)
			c.subscribe("news")
			c.expectText(acknowledged) // as one that is new
		})
	})
}

// TestResumeKinds: each kind of channel, and what is not replayed.
func TestResumeKinds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := r.visit(token)
		rooms := []string{"news", "private-x", "presence-x", "cache-x", "private-encrypted-x", "presence-cache-x"}
		enter := func(c *client, room string) {
			if strings.HasPrefix(room, "presence") {
				c.enter(room, "me")
			} else {
				c.subscribe(room)
			}
		}
		for _, room := range rooms {
			enter(c, room)
		}
		c.expect(acknowledged, acknowledged, acknowledged, acknowledged, "pusher:cache_miss", acknowledged, acknowledged, "pusher:cache_miss")
		c.breaks()
		other := r.connect()
		other.enter("presence-x", "you")
		other.expect(acknowledged)
		other.say(`{"event":"client-hello","channel":"presence-x","data":"{}"}`)
		synctest.Wait()
		for _, room := range rooms {
			r.trigger(room, "e")
		}
		c = r.visit(token)
		for _, room := range rooms {
			enter(c, room)
			if room == "presence-x" {
				c.expectText(acknowledged, wasResumed(2, 0), "client-hello", "e")
			} else {
				c.expectText(acknowledged, wasResumed(1, 0), "e")
			}
		}
	})
}

// TestResumeOwnEvents: what the client has excluded itself from is not replayed to it.
func TestResumeOwnEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := r.visitRoom(token, "private-x")
		c.say(`{"event":"client-mine","channel":"private-x","data":"{}"}`)
		synctest.Wait()
		if err := r.publish("private-x", "posted", c.conn.ID()); err != nil {
			t.Fatal(err)
		}
		c.expect(probe)
		r.trigger("private-x", "a")
		c.expect("a")
		c.breaks()
		c = r.visit(token)
		c.subscribe("private-x")
		c.expectText(acknowledged, wasResumed(1, 1), "a")
		c.breaks()
		c = r.visit(token) // it is remembered over several connections
		c.subscribe("private-x")
		c.expectText(acknowledged, wasResumed(1, 1), "a")
	})
}

// TestUnsubscribedIsNotHeld: a channel that the client has left has missed nothing.
func TestUnsubscribedIsNotHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		c := r.visitRoom(token, "news", "old")
		c.unsubscribe("old")
		synctest.Wait()
		c.breaks()
		r.trigger("old", "a")
		c = r.visit(token)
		c.subscribe("old")
		c.expect(acknowledged)
		c.breaks() // before it has come back to the other
		time.Sleep(time.Millisecond)
		r.trigger("news", "b")
		c = r.visit(token)
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(1, 0), "b")
	})
}

// TestTwoTabs: a token that two pages share does not end either, and the older goes on as
// one without a token.
func TestTwoTabs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		older := r.visitRoom(token, "news")
		newer := r.visit(token)
		older.expect() // side by side: it has asked for nothing
		newer.subscribe("news")
		newer.expectText(acknowledged, wasResumed(0, 0))
		older.expect("ping")
		time.Sleep(time.Second)
		older.conn.Touch()
		time.Sleep(20 * time.Second)
		older.expectOpen()
		r.trigger("news", "a")
		older.expect("a")
		newer.take()
		older.breaks() // says nothing about the token
		newer.answer()
		newer.breaks()
		r.trigger("news", "b")
		c := r.visit(token)
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(1, 0), "b")
	})
}

// TestAbandonedConnection: the one that the client has given up is closed.
func TestAbandonedConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, nil)
		older := r.visitRoom(token, "news")
		newer := r.visit(token)
		newer.subscribe("news")
		newer.expect(acknowledged, resumed)
		time.Sleep(10*time.Second + time.Millisecond)
		older.expectClosed(protocol.CodePongMissing)
		newer.expectOpen()
	})
}

// TestLastWord: a planned end waits for the client's last answer, so that nothing is repeated.
func TestLastWord(t *testing.T) {
	drain := func(r *rig) <-chan error {
		done := make(chan error, 1)
		go func() { done <- r.hub.Drain(context.Background(), protocol.Reconnect(), 0) }()
		return done
	}
	for name, test := range map[string]struct {
		answers bool
		want    string
	}{
		"answered": {true, wasResumed(0, 0)},
		"silent":   {false, wasResumed(1, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newResumingRig(t, nil)
				c := r.visitRoom(token, "news")
				r.trigger("news", "a")
				c.expect("a", probe)
				c.answer()
				r.trigger("news", "b")
				c.expect("b")
				began := time.Now()
				done := drain(r)
				c.expect(probe)
				c.expectOpen()
				if test.answers {
					c.answer()
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); test.answers && took > time.Second || took > 3*time.Second {
					t.Errorf("took %v", took)
				}
				c.expectClosed(protocol.CodeReconnect)
				c = r.visit(token)
				c.subscribe("news")
				if test.answers {
					c.expectText(acknowledged, test.want)
				} else {
					c.expectText(acknowledged, test.want, "b")
				}
			})
		})
	}
}

// TestSlowReplay: who reads slowly gets all that it has missed, and what comes meanwhile,
// once and in order, and is not closed for it.
func TestSlowReplay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newResumingRig(t, func(a *hub.App) { a.History.Events, a.History.Bytes = 1000, 16<<20 }, func(o *hub.Options) { o.MaxHeldBytes = 16 << 10 })
		c := r.visitRoom(token, "news")
		c.breaks()
		text := strings.Repeat("x", 180)
		var want []string
		send := func(n int) {
			for range n {
				name := fmt.Sprintf("%s-%d", text, len(want))
				want = append(want, name)
				r.trigger("news", name)
			}
		}
		send(700)
		c = r.visit(token)
		c.set(hub.Full)
		c.subscribe("news")
		synctest.Wait()
		for range 5 {
			send(50)
			c.set(hub.Clear)
			time.Sleep(20 * time.Millisecond)
			c.set(hub.Full)
		}
		c.set(hub.Clear)
		time.Sleep(time.Second)
		c.expectOpen()
		var names []string
		for _, e := range c.take() {
			if strings.HasPrefix(e.Event, text) {
				names = append(names, e.Event)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("got %d events of %d, or not in order", len(names), len(want))
		}
	})
}

// TestBreaksWhileClaiming: a connection that ends before it knows its token's past hands it on.
func TestBreaksWhileClaiming(t *testing.T) {
	bubble(t, func(t *testing.T) {
		late := &lateClaims{}
		r := newResumingRig(t, nil, func(o *hub.Options) { late.State = o.State; o.State = late })
		c := r.visitRoom(token, "news")
		c.breaks()
		r.trigger("news", "a")
		late.by.Store(int64(time.Second))
		c = r.visit(token)
		c.subscribe("news")
		time.Sleep(time.Millisecond)
		c.breaks()
		c = r.visit(token)
		c.subscribe("news")
		time.Sleep(500 * time.Millisecond)
		c.breaks() // two at a time
		c = r.visit(token)
		c.subscribe("news")
		time.Sleep(5 * time.Second)
		c.expectText(acknowledged, wasResumed(1, 0), "a")
	})
}

// TestStateAwayAtTheClaim: the client is told nothing, and tries again.
func TestStateAwayAtTheClaim(t *testing.T) {
	bubble(t, func(t *testing.T) {
		late := &lateClaims{}
		r := newResumingRig(t, nil, func(o *hub.Options) { late.State = o.State; o.State = late })
		c := r.visitRoom(token, "news")
		r.trigger("news", "a")
		c.expect("a", probe)
		c.breaks()
		late.fails.Store(true)
		for range 2 {
			c = r.visit(token)
			c.subscribe("news")
			c.expectClosed(protocol.CodeOverCapacity)
			c.expect()
		}
		late.fails.Store(false)
		c = r.visit(token)
		c.subscribe("news")
		c.expectText(acknowledged, wasResumed(1, 1), "a")
	})
}

// lateClaims is a State that answers claims late, or not.
type lateClaims struct {
	hub.State
	by    atomic.Int64 // ns
	fails atomic.Bool
}

// Claim implements hub.State.
func (s *lateClaims) Claim(t hub.Token, owner hub.Owner, life time.Duration, done func(hub.Claimed, error)) {
	if s.fails.Load() {
		done(hub.Claimed{}, hub.ErrUnavailable)
		return
	}
	s.State.Claim(t, owner, life, func(c hub.Claimed, err error) {
		time.AfterFunc(time.Duration(s.by.Load()), func() { done(c, err) })
	})
}

// shrinking is a State whose histories lose what is oldest while they are read.
type shrinking struct {
	hub.State
	after atomic.Int32 // readings
	shed  func()
}

// Past implements hub.State.
func (s *shrinking) Past(ctx context.Context, t hub.Topic, age time.Duration, span hub.Span) (hub.Past, error) {
	past, err := s.State.Past(ctx, t, age, span)
	if s.shed != nil && s.after.Add(1) == 1 {
		s.shed()
	}
	return past, err
}

// TestEvictedWhileRead: a history that loses events between two pages of a reading is no whole
// one.
func TestEvictedWhileRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &shrinking{}
		r := newResumingRig(t, func(a *hub.App) { a.History.Events, a.History.Bytes = 1500, 16<<20 },
			func(o *hub.Options) { s.State = o.State; o.State = s })
		c := r.visitRoom(token, "news")
		c.breaks()
		for i := range 1400 {
			r.trigger("news", fmt.Sprint("e", i))
		}
		s.shed = func() {
			for i := range 1300 {
				r.trigger("news", fmt.Sprint("f", i))
			}
		}
		c = r.visit(token)
		c.subscribe("news")
		synctest.Wait()
		var told []string
		for _, e := range c.take() {
			if e.Event == resumed || e.Event == missed {
				told = append(told, e.Event)
			}
		}
		if !slices.Equal(told, []string{missed}) {
			t.Errorf("told %v", told)
		}
	})
}
