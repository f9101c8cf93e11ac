package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

func TestEveryKindOfChannelDelivers(t *testing.T) {
	for _, name := range []string{
		"news", "cache-news", "private-news", "private-cache-news", "private-encrypted-news",
		"private-encrypted-cache-news", "presence-news", "presence-cache-news",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, nil)
				c := r.connect()
				kind := protocol.KindOf(name)
				if kind.IsPresence() {
					c.enter(name, "ann")
				} else {
					c.subscribe(name)
				}
				want := []string{acknowledged}
				if kind.IsCache() {
					want = append(want, "pusher:cache_miss")
				}
				c.expect(want...)
				r.trigger(name, "hello")
				e := c.expect("hello")[0]
				if e.Channel != name || string(e.Data) != `"{}"` {
					t.Errorf("got %+v", e)
				}
			})
		})
	}
}

func TestTwoSubscribersOneLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, b := r.connect(), r.connect()
		for _, c := range []*client{a, b} {
			c.subscribe("news")
			c.expect(acknowledged)
		}
		r.trigger("news", "one")
		a.expect("one")
		b.expect("one")
		a.unsubscribe("news")
		r.settle()
		r.trigger("news", "two")
		a.expect()
		b.expect("two")
	})
}

func TestExcludedSocketDoesNotReceive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, b := r.connect(), r.connect()
		for _, c := range []*client{a, b} {
			c.subscribe("news")
			c.expect(acknowledged)
		}
		for _, event := range []string{"first", "second"} { // before and after activation
			if err := r.publish("news", event, a.conn.ID()); err != nil {
				t.Fatal(err)
			}
			a.expect()
			b.expect(event)
		}
	})
}

func TestSubscribeMistakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.connect()
		c.subscribe("news")
		c.expect(acknowledged)
		c.subscribe("news")
		c.expectError("null", "Existing subscription to channel news")
		c.unsubscribe("olds")
		c.expectError("null", "No current subscription to channel olds, or subscription in progress")
		for _, bad := range []struct{ name, say, text string }{
			{"no auth", `{"event":"pusher:subscribe","data":{"channel":"private-x"}}`, "Auth info required to subscribe to private-x"},
			{"wrong auth", `{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"app-key:00"}}`, "Invalid signature: Expected HMAC SHA256 hex digest of "},
			{"wrong name", `{"event":"pusher:subscribe","data":{"channel":"a b"}}`, "Invalid channel name"},
			{"other user's channel", `{"event":"pusher:subscribe","data":{"channel":"#server-to-user-1"}}`, "#server-to-user-1"},
			{"no channel data", `{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":"app-key:00"}}`, "channel_data"},
		} {
			c.say("%s", bad.say)
			r.settle()
			events := c.take()
			if len(events) != 2 || events[0].Event != "pusher:error" || events[1].Event != refused {
				t.Fatalf("%s: got %v", bad.name, events)
			}
			if !strings.Contains(string(events[0].Data), bad.text) {
				t.Errorf("%s: got %s, want %q", bad.name, events[0].Data, bad.text)
			}
		}
		c.expectOpen()
		if found, err := r.hub.Channels(t.Context(), r.app, ""); err != nil || len(found) != 1 {
			t.Errorf("channels %v, %v; want news only", found, err)
		}
	})
}

func TestCommandsInARow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, b := r.connect(), r.connect()
		b.subscribe("private-x")
		b.expect(acknowledged)
		a.subscribe("private-x")
		a.say(`{"event":"client-hi","channel":"private-x","data":"1"}`)
		a.unsubscribe("private-x")
		a.subscribe("private-x")
		a.expect(acknowledged, acknowledged)
		b.expect("client-hi")
		r.trigger("private-x", "hello")
		a.expect("hello")
	})
}

type roster struct {
	Presence struct {
		Count int
		IDs   []string
		Hash  map[string]json.RawMessage
	}
}

func readRoster(t *testing.T, e got) roster {
	t.Helper()
	var text string
	var r roster
	if err := json.Unmarshal(e.Data, &text); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPresenceCountsUsers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		const room = "presence-room"
		watcher := r.connect()
		watcher.enter(room, "watcher")
		watcher.expect(acknowledged)

		first, second := r.connect(), r.connect()
		first.subscribeSigned(room, `{"user_id":10,"user_info":{"n":1}}`)
		list := readRoster(t, first.expect(acknowledged)[0])
		if list.Presence.Count != 2 || len(list.Presence.IDs) != 2 || string(list.Presence.Hash["10"]) != `{"n":1}` {
			t.Errorf("roster %+v", list)
		}
		watcher.expect(added)
		second.subscribeSigned(room, `{"user_id":"10","user_info":{"n":2}}`)
		list = readRoster(t, second.expect(acknowledged)[0])
		if list.Presence.Count != 2 || string(list.Presence.Hash["10"]) != `{"n":2}` {
			t.Errorf("roster %+v, want the newer info", list)
		}
		first.expect()
		watcher.expect()
		first.conn.Gone(gone)
		watcher.expect()
		second.unsubscribe(room)
		gone := watcher.expect(removed)[0]
		if string(gone.Data) != `"{\"user_id\":\"10\"}"` {
			t.Errorf("got %s", gone.Data)
		}
		second.expect()
	})
}

func TestPresenceLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.MaxPresenceMembers, a.MaxPresenceMemberBytes = 2, 100 })
		const room = "presence-room"
		a, b, c := r.connect(), r.connect(), r.connect()
		a.enter(room, "a")
		a.expect(acknowledged)
		b.enter(room, "b")
		b.expect(acknowledged)
		a.expect(added)
		c.enter(room, "c")
		c.expect("pusher:error", refused)
		a.expect()
		c.enter(room, "a")
		c.expect(acknowledged)
		c.unsubscribe(room)
		b.conn.Gone(gone)
		a.expect(removed)
		c.enter(room, "c")
		c.expect(acknowledged)
		a.expect(added)
		c.enter("presence-other", strings.Repeat("x", 90))
		c.expect("pusher:error", refused)
		c.expectOpen()
	})
}

func TestClientEvents(t *testing.T) {
	for _, test := range []struct{ form, sent, want string }{
		{"string", `{"a":[1,"x"]}`, `"{\"a\":[1,\"x\"]}"`},
		{"string", `"text"`, `"text"`},
		{"string", `7`, `"7"`},
		{"raw", `{"a":[1,"x"]}`, `{"a":[1,"x"]}`},
		{"raw", `"text"`, `"text"`},
	} {
		t.Run(test.form+" "+test.sent, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, func(a *hub.App) { a.ClientEventData = hub.ClientEventData(test.form) })
				a, b := r.connect(), r.connect()
				a.enter("presence-x", "7")
				a.expect(acknowledged)
				b.enter("presence-x", "8")
				b.expect(acknowledged)
				a.expect(added)
				a.say(`{"event":"client-hi","channel":"presence-x","data":%s,"user_id":"forged","extra":1}`, test.sent)
				e := b.expect("client-hi")[0]
				if string(e.Data) != test.want || e.UserID != "7" || e.Channel != "presence-x" {
					t.Errorf("got %+v, want data %s from 7", e, test.want)
				}
				a.expect()
			})
		})
	}
}

func TestClientEventsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.MaxEventBytes = 50 })
		c, other := r.connect(), r.connect()
		for _, name := range []string{"public", "private-x"} {
			for _, who := range []*client{c, other} {
				who.subscribe(name)
				who.expect(acknowledged)
			}
		}
		for _, test := range []struct{ name, say string }{
			{"public", `{"event":"client-a","channel":"public","data":"1"}`},
			{"not subscribed", `{"event":"client-a","channel":"private-y","data":"1"}`},
			{"encrypted", `{"event":"client-a","channel":"private-encrypted-x","data":"1"}`},
			{"too large", `{"event":"client-a","channel":"private-x","data":"` + strings.Repeat("x", 60) + `"}`},
			{"long name", `{"event":"client-` + strings.Repeat("x", 200) + `","channel":"private-x","data":"1"}`},
			{"no channel", `{"event":"client-a","data":"1"}`},
			{"unknown event", `{"event":"other","channel":"private-x","data":"1"}`},
		} {
			c.say("%s", test.say)
			r.settle()
			if events := c.take(); len(events) != 1 || events[0].Event != "pusher:error" {
				t.Errorf("%s: got %v, want one error", test.name, events)
			}
			other.expect()
		}
		c.expectOpen()
	})
}

func TestClientEventsSwitchedOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.ClientEvents = false })
		c := r.connect()
		c.subscribe("private-x")
		c.expect(acknowledged)
		c.say(`{"event":"client-a","channel":"private-x","data":"1"}`)
		c.expectError("null", "client events")
	})
}

func TestClientEventRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, b := r.connect(), r.connect()
		for _, c := range []*client{a, b} {
			c.subscribe("private-x")
			c.expect(acknowledged)
		}
		burst := func(n int) {
			for range n {
				a.say(`{"event":"client-a","channel":"private-x","data":"1"}`)
			}
			r.settle()
		}
		burst(12)
		if n := len(b.take()); n != 10 {
			t.Errorf("%d events arrived, want 10", n)
		}
		if n := len(a.take()); n != 2 {
			t.Errorf("%d errors, want 2", n)
		}
		burst(1)
		a.expectError("4301", "Client event rejected due to rate limit")
		time.Sleep(time.Second)
		burst(10)
		if n := len(b.take()); n != 10 {
			t.Errorf("%d events arrived a second later, want 10", n)
		}
		a.expectOpen()
	})
}

func TestCacheChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		const name = "private-cache-x"
		a := r.connect()
		a.subscribe(name)
		a.expect(acknowledged, "pusher:cache_miss")
		r.trigger(name, "first")
		a.expect("first")
		if err := r.publish(name, "second", a.conn.ID()); err != nil {
			t.Fatal(err)
		}
		a.expect()
		a.say(`{"event":"client-x","channel":%q,"data":"1"}`, name)
		a.conn.Gone(gone)
		b := r.connect()
		b.subscribe(name)
		b.expect(acknowledged, "second")
		time.Sleep(r.app.CacheTTL - time.Second)
		c := r.connect()
		c.subscribe(name)
		c.expect(acknowledged, "second")
		time.Sleep(2 * time.Second)
		d := r.connect()
		d.subscribe(name)
		d.expect(acknowledged, "pusher:cache_miss")
	})
}

func TestManySubscriptionsOfOneConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.connect()
		const many = 100
		for i := range many {
			c.subscribe(fmt.Sprintf("c-%d", i))
		}
		r.settle()
		if n := len(c.take()); n != many {
			t.Fatalf("%d acknowledgements, want %d", n, many)
		}
		for i := range many {
			r.trigger(fmt.Sprintf("c-%d", i), "hello")
		}
		r.settle()
		if n := len(c.take()); n != many {
			t.Errorf("%d events, want %d", n, many)
		}
		for i := range many {
			c.unsubscribe(fmt.Sprintf("c-%d", i))
		}
		c.expect()
		if found, _ := r.hub.Channels(t.Context(), r.app, ""); len(found) != 0 {
			t.Errorf("%d channels left", len(found))
		}
	})
}
