package hub_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

const (
	signedIn = "pusher:signin_success"
	watchers = "pusher_internal:watchlist_events"
)

// signIn signs in with the given user_data.
func (c *client) signIn(userData string) {
	c.say(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`,
		protocol.UserAuth(key, secret, c.conn.ID(), userData), userData)
}

func (c *client) signInAs(id string, watchlist ...string) {
	list, _ := json.Marshal(watchlist)
	if watchlist == nil {
		list = []byte("[]")
	}
	c.signIn(fmt.Sprintf(`{"id":%q,"watchlist":%s}`, id, list))
}

// news reads a watchlist event into "name:id" entries, sorted.
func news(t *testing.T, e got) []string {
	t.Helper()
	var text string
	var data struct {
		Events []struct {
			Name    string
			UserIDs []string `json:"user_ids"`
		}
	}
	if err := json.Unmarshal(e.Data, &text); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, event := range data.Events {
		for _, id := range event.UserIDs {
			all = append(all, event.Name+":"+id)
		}
	}
	slices.Sort(all)
	return all
}

func (c *client) expectNews(want ...string) {
	c.t.Helper()
	if got := news(c.t.(*testing.T), c.expect(watchers)[0]); !slices.Equal(got, want) {
		c.t.Errorf("got %v, want %v", got, want)
	}
}

func TestSignin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.connect()
		c.signIn(`{"id":"42","user_info":{"name":"Ann"},"more":1}`)
		want := `"{\"user_data\":\"{\\\"id\\\":\\\"42\\\",\\\"user_info\\\":{\\\"name\\\":\\\"Ann\\\"},\\\"more\\\":1}\"}"`
		if e := c.expect(signedIn)[0]; string(e.Data) != want || e.Channel != "" {
			t.Errorf("got %+v\nwant %s", e, want)
		}
		c.signInAs("42")
		c.expect(signedIn)
		c.signInAs("43")
		c.expectError("4009", "different user")
		c.expectOpen()
	})
}

func TestSigninMistakes(t *testing.T) {
	for name, test := range map[string]struct{ userData, text string }{
		"no id":            {`{}`, "id"},
		"empty id":         {`{"id":""}`, "id"},
		"numeric id":       {`{"id":42}`, "id must be a non-empty string"},
		"not an object":    {`[]`, "user_data"},
		"not JSON":         {`{`, "user_data"},
		"bad info":         {`{"id":"1","user_info":"x"}`, "user_info"},
		"watchlist number": {`{"id":"1","watchlist":[1]}`, "watchlist"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, nil)
				c := r.connect()
				c.signIn(test.userData)
				c.expectError("4009", test.text)
				c.signInAs("1") // nothing has changed
				c.expect(signedIn)
			})
		})
	}
	t.Run("wrong signature", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.connect()
			c.say(`{"event":"pusher:signin","data":{"auth":"app-key:00","user_data":"{\"id\":\"1\"}"}}`)
			c.expectError("4009", "Invalid signature")
			c.say(`{"event":"pusher:signin","data":{"user_data":"{\"id\":\"1\"}"}}`)
			c.expect("pusher:error")
			c.subscribe("#server-to-user-1")
			c.expect("pusher:error", refused)
			c.expectOpen()
		})
	})
}

func TestServerToUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, tab, b := r.connect(), r.connect(), r.connect()
		for c, id := range map[*client]string{a: "a", tab: "a", b: "b"} {
			c.signInAs(id)
			c.expect(signedIn)
			c.subscribe("#server-to-user-" + id)
			c.expect(acknowledged)
		}
		b.subscribe("#server-to-user-a")
		b.expect("pusher:error", refused)
		r.trigger("#server-to-user-a", "hello")
		a.expect("hello")
		tab.expect("hello")
		b.expect()
		if found, err := r.hub.Channels(t.Context(), r.app, ""); err != nil || len(found) != 0 {
			t.Errorf("listed %v, %v", found, err)
		}
	})
}

func TestPresenceOfTheSignedIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		const room = "presence-room"
		c := r.connect()
		c.subscribe(room)
		c.expect("pusher:error", refused)
		c.signIn(`{"id":"42","user_info":{"name":"Ann"}}`)
		c.expect(signedIn)
		c.subscribe(room)
		list := readRoster(t, c.expect(acknowledged)[0])
		if list.Presence.Count != 1 || string(list.Presence.Hash["42"]) != `{"name":"Ann"}` {
			t.Errorf("roster %+v", list)
		}
		c.subscribeSigned("presence-other", `{"user_id":"7"}`)
		list = readRoster(t, c.expect(acknowledged)[0])
		if _, is := list.Presence.Hash["7"]; !is {
			t.Errorf("roster %+v, want channel_data to win", list)
		}
	})
}

func TestTerminate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, tab, present, b := r.connect(), r.connect(), r.connect(), r.connect()
		a.signInAs("a")
		tab.signInAs("a")
		b.signInAs("b", "a")
		present.enter("presence-room", "a")
		r.settle()
		if err := r.hub.Terminate(t.Context(), r.app, "a"); err != nil {
			t.Fatal(err)
		}
		a.expectClosed(protocol.CodeUnauthorized)
		tab.expectClosed(protocol.CodeUnauthorized)
		b.expectOpen()
		present.expectOpen()
		if a.closed.Message != "You got disconnected by the app." {
			t.Errorf("closed with %q", a.closed.Message)
		}
		if err := r.hub.Terminate(t.Context(), r.app, "nobody"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWatchlist(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		b := r.connect()
		b.signInAs("b")
		b.expect(signedIn)
		a := r.connect()
		a.signInAs("a", "b", "c", "c")
		r.settle()
		events := a.take()
		if len(events) != 2 || events[0].Event != signedIn {
			t.Fatalf("got %v, want the success first", events)
		}
		if got := news(t, events[1]); !slices.Equal(got, []string{"offline:c", "online:b"}) {
			t.Errorf("got %v", got)
		}
		if events[1].Channel != "" {
			t.Errorf("on channel %s", events[1].Channel)
		}

		c, tab := r.connect(), r.connect()
		c.signInAs("c")
		tab.signInAs("c")
		time.Sleep(200 * time.Millisecond)
		a.expectNews("online:c")

		tab.conn.Gone(gone) // one of two
		time.Sleep(5 * time.Second)
		a.expect()

		b.conn.Gone(gone) // and back within the grace
		time.Sleep(time.Second)
		again := r.connect()
		again.signInAs("b")
		time.Sleep(5 * time.Second)
		a.expect()

		c.conn.Gone(gone)
		again.conn.Gone(gone)
		time.Sleep(2 * time.Second)
		a.expect()
		time.Sleep(2 * time.Second)
		a.expectNews("offline:b", "offline:c")
		a.conn.Gone(gone)
		r.settle()
	})
}

func TestWatchingOneself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a := r.connect()
		a.signInAs("a", "a")
		r.settle()
		events := a.take()
		if len(events) != 2 || !slices.Equal(news(t, events[1]), []string{"online:a"}) {
			t.Errorf("got %v", events)
		}
	})
}

func TestWatchlistLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		var ids []string
		for i := range 101 {
			ids = append(ids, fmt.Sprint("u", i))
		}
		c := r.connect()
		c.signInAs("me", ids...)
		events := c.expect(signedIn, "pusher:error", watchers)
		if !strings.Contains(string(events[1].Data), `"code":4302`) {
			t.Errorf("got %s", events[1].Data)
		}
		if n := len(news(t, events[2])); n != 100 {
			t.Errorf("news of %d users, want 100", n)
		}
	})
}

func TestWatchlistsSwitchedOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.Watchlists = false })
		c := r.connect()
		c.signInAs("a", "b")
		c.expect(signedIn)
	})
}

func TestManyComeAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		var ids []string
		want := map[string]bool{}
		for i := range 50 {
			ids = append(ids, fmt.Sprint("u", i))
			want["online:"+ids[i]] = true
		}
		c := r.connect()
		c.signInAs("me", ids...)
		c.expect(signedIn, watchers)
		for _, id := range ids {
			r.connect().signInAs(id)
		}
		time.Sleep(time.Second)
		if got, want := news(t, c.expect(watchers)[0]), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestSubscriptionCount(t *testing.T) {
	const counted = "pusher_internal:subscription_count"
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.SubscriptionCountEvents = true })
		a, b := r.connect(), r.connect()
		a.subscribe("news")
		a.expect(acknowledged, counted)
		b.subscribe("news")
		if e := b.expect(acknowledged, counted)[1]; string(e.Data) != `"{\"subscription_count\":2}"` || e.Channel != "news" {
			t.Errorf("got %+v", e)
		}
		a.expect(counted)
		b.unsubscribe("news")
		if e := a.expect(counted)[0]; string(e.Data) != `"{\"subscription_count\":1}"` {
			t.Errorf("got %+v", e)
		}
		b.enter("presence-room", "b")
		b.expect(acknowledged)
		b.signInAs("b")
		b.expect(signedIn)
	})
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.SubscriptionCountEvents = true })
		first := r.connect()
		first.subscribe("news")
		var rest []*client
		for range 150 {
			c := r.connect()
			c.subscribe("news")
			rest = append(rest, c)
		}
		r.settle()
		if n := len(first.take()); n != 1+100 { // the acknowledgement, one for each up to 100, and none yet
			t.Errorf("%d events, want 101", n)
		}
		time.Sleep(6 * time.Second)
		if e := first.expect(counted)[0]; string(e.Data) != `"{\"subscription_count\":151}"` {
			t.Errorf("got %+v", e)
		}
		time.Sleep(20 * time.Second)
		first.expect()
		rest[0].unsubscribe("news")
		first.expect(counted)
		rest[1].unsubscribe("news")
		first.expect()
	})
}

func TestAuthorizedConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.AuthorizedConnections, a.MaxConnections = true, 2 })
		idle, signer, subscriber := r.connect(), r.connect(), r.connect()
		idle.subscribe("public")
		idle.expect(acknowledged)
		signer.signInAs("a")
		signer.expect(signedIn)
		subscriber.subscribe("private-x")
		subscriber.expect(acknowledged)
		subscriber.unsubscribe("private-x")
		tooMany := r.connect()
		tooMany.subscribe("private-x")
		tooMany.expectClosed(protocol.CodeOverQuota)
		time.Sleep(29 * time.Second)
		idle.expectOpen()
		time.Sleep(8 * time.Second)
		idle.expectClosed(protocol.CodeUnauthorized)
		if idle.closed.Message != "Connection not authorized within timeout" {
			t.Errorf("closed with %q", idle.closed.Message)
		}
		signer.expectOpen()
		subscriber.expectOpen()
		signer.conn.Gone(gone)
		r.settle()
		next := r.connect()
		next.subscribe("private-x")
		next.expect(acknowledged)
		next.expectOpen()
	})
}

// TestAPreparedConnectionCannotSignIn: a connection that was open when its user's
// connections were terminated cannot sign in as that user afterwards, though its
// signature is good. Another connection can, and so can other users on this one.
func TestAPreparedConnectionCannotSignIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		prepared, bystander := r.connect(), r.connect()
		time.Sleep(time.Second)
		if err := r.hub.Terminate(t.Context(), r.app, "alice"); err != nil {
			t.Fatal(err)
		}
		r.settle()
		prepared.expectOpen()
		time.Sleep(time.Minute)
		prepared.signInAs("alice")
		r.settle()
		prepared.expectClosed(protocol.CodeUnauthorized)
		bystander.signInAs("bob")
		bystander.expect(signedIn)
		fresh := r.connect()
		fresh.signInAs("alice")
		fresh.expect(signedIn)
	})
}

// TestAnOldConnectionSignsInAnew: what was terminated is remembered for a day, so
// a connection that has been open for longer has to be opened again.
func TestAnOldConnectionSignsInAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		early, old := r.connect(), r.connect()
		early.signInAs("alice")
		early.expect(signedIn)
		if err := r.hub.Terminate(t.Context(), r.app, "bob"); err != nil {
			t.Fatal(err)
		}
		for range 24 * 60 {
			time.Sleep(time.Minute)
			early.conn.Touch()
			old.conn.Touch()
		}
		early.signInAs("alice") // confirmed again
		early.expect(signedIn)
		old.signInAs("bob")
		r.settle()
		old.expectClosed(protocol.CodeReconnect)
	})
}
