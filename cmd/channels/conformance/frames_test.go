//go:build conformance

package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// expectRaw requires the exact bytes of the next frame.
func (c *client) expectRaw(want string) {
	c.t.Helper()
	if f := c.next(); f.Raw != want {
		c.t.Fatalf("next frame:\n got %s\nwant %s", f.Raw, want)
	}
}

// TestFrameBytes holds the frames that some SDK depends on to their bytes.
func TestFrameBytes(t *testing.T) {
	t.Parallel()
	s := start(t)

	c := dial(t, s, defaultPath)
	established := c.next()
	var outer struct {
		Data string `json:"data"`
	}
	var inner struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(established.Raw), &outer); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(outer.Data), &inner); err != nil {
		t.Fatal(err)
	}
	want := `{"event":"pusher:connection_established","data":"{\"socket_id\":\"` + inner.SocketID + `\",\"activity_timeout\":120}"}`
	if established.Raw != want {
		t.Errorf("first frame:\n got %s\nwant %s", established.Raw, want)
	}
	c.SocketID = inner.SocketID

	c.send(subscribeFrame("my-channel", "", ""))
	c.expectRaw(`{"event":"pusher_internal:subscription_succeeded","channel":"my-channel","data":"{}"}`)

	publish(t, s, "my-channel", "my-event", `{"message":"hello world"}`)
	c.expectRaw(`{"event":"my-event","channel":"my-channel","data":"{\"message\":\"hello world\"}"}`)

	c.send(`{"event": "pusher:ping"}`)
	c.expectRaw(`{"event":"pusher:pong","data":"{}"}`)

	c.send(subscribeFrame("cache-a", "", ""))
	c.expectRaw(`{"event":"pusher_internal:subscription_succeeded","channel":"cache-a","data":"{}"}`)
	c.expectRaw(`{"event":"pusher:cache_miss","channel":"cache-a","data":"{}"}`)

	c.send(subscribeFrame("my-channel", "", ""))
	c.expectRaw(`{"event":"pusher:error","data":{"code":null,"message":"Existing subscription to channel my-channel"}}`)
}

// TestPingData accepts every form of data that an SDK sends with a ping.
func TestPingData(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	for _, ping := range []string{
		`{"event":"pusher:ping"}`,
		`{"event":"pusher:ping","data":{}}`,
		`{"event":"pusher:ping","data":"{}"}`,
		`{"event":"pusher:ping","data":""}`,
		`{"event":"pusher:ping","data":null}`,
		` { "data" : [ ] , "event" : "pusher:ping" } `,
		`{"event":"pusher:p\u0069ng","unknown":[{"a":1}]}`,
	} {
		c.send(ping)
		c.expectData("pusher:pong", "", "{}")
	}
	c.send(`{"event":"pusher:pong","data":{}}`) // an answer to a ping that nobody sent
	c.answers()
}

// TestSubscribeDataAsString is what a lenient server takes.
func TestSubscribeDataAsString(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	c.send(`{"event":"pusher:subscribe","data":"{\"channel\":\"room\"}"}`)
	c.expectData("pusher_internal:subscription_succeeded", "room", "{}")
	c.send(`{"event":"pusher:unsubscribe","data":"{\"channel\":\"room\"}"}`)
	c.subscribe("room")
}

// TestPublishedDataIsUntouched sends data that a server must not look into.
func TestPublishedDataIsUntouched(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	c.subscribe(room)
	for _, data := range []string{
		"", " ", "{}", "null", "no JSON {", `{"a":1.0000000000000000001,"a":2}`, `"quoted"`, `back\slash`, "tab\tline\nnul\x00",
		"é 漢 😀 \u2028 \ufeff", "</script>&", strings.Repeat("x", 10240),
	} {
		publish(t, s, room, "as is", data)
		c.expectData("as is", room, data)
	}
}

// TestPublishedObject is what hosted documents as wrong and peers accept.
func TestPublishedObject(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	c.subscribe(room)
	for _, data := range []string{`{"a":1}`, `[1,2]`, `5`, `true`} {
		status, body := post(t, s, eventsPath, `{"name":"object","channel":"room","data":`+data+`}`)
		if status != 200 {
			t.Fatalf("data %s: got %d %q, want 200", data, status, body)
		}
		c.expectData("object", room, data)
	}
}

// TestLimitsThatPass sends exactly what is allowed.
func TestLimitsThatPass(t *testing.T) {
	t.Parallel()
	s := start(t)
	long := strings.Repeat("c", 200)
	c := connect(t, s)
	c.subscribe(room)
	c.subscribe(long)

	publish(t, s, long, strings.Repeat("n", 200), strings.Repeat("a", 10240))
	c.expectData(strings.Repeat("n", 200), long, strings.Repeat("a", 10240))

	hundred := []string{room}
	for i := range 99 {
		hundred = append(hundred, fmt.Sprint("channel-", i))
	}
	status, body := post(t, s, eventsPath, event{Name: "hundred", Channels: hundred, Data: "x"})
	if status != 200 || body != "{}" {
		t.Errorf("100 channels: got %d %q, want 200 {}", status, body)
	}
	c.expectData("hundred", room, "x")

	var batch struct {
		Batch []event `json:"batch"`
	}
	for i := range 10 {
		batch.Batch = append(batch.Batch, event{Name: "ten", Channel: room, Data: fmt.Sprint(i)})
	}
	status, body = post(t, s, batchPath, batch)
	if status != 200 || body != "{}" {
		t.Errorf("10 events: got %d %q, want 200 {}", status, body)
	}
	for i := range 10 {
		c.expectData("ten", room, fmt.Sprint(i))
	}

	status, body = post(t, s, eventsPath, event{Name: "twice", Channels: []string{room, room}, Data: "x"})
	if status != 200 || body != "{}" {
		t.Errorf("one channel twice: got %d %q, want 200 {}", status, body)
	}
	c.expectData("twice", room, "x")
	c.answers()
}

// TestAnswers holds the bodies of the REST API to what SDKs parse.
func TestAnswers(t *testing.T) {
	t.Parallel()
	s := start(t)

	const all, one = "/apps/1/channels", "/apps/1/channels/"
	check := func(what, path string, query map[string]string, want string) {
		t.Helper()
		status, body := get(t, s, path, query)
		if status != 200 {
			t.Errorf("%s: got %d %q, want 200", what, status, body)
			return
		}
		sameJSON(t, what, body, want)
	}
	info := func(attributes string) map[string]string { return map[string]string{"info": attributes} }

	check("no channels", all, nil, `{"channels":{}}`)
	check("unknown channel", one+"nowhere", nil, `{"occupied":false}`)
	check("no users", one+"presence-nowhere/users", nil, `{"users":[]}`)

	a, b := connect(t, s), connect(t, s)
	a.subscribe("public")
	b.subscribe("public")
	a.subscribe("cache-c")
	a.expect("pusher:cache_miss", "cache-c")
	a.subscribePresence("presence-p", `{"user_id":12345678901234567890,"user_info":{}}`)
	b.subscribePresence("presence-p", `{"user_id":"12345678901234567890"}`)

	check("all", all, nil, `{"channels":{"public":{},"cache-c":{},"presence-p":{}}}`)
	check("prefix", all, map[string]string{"filter_by_prefix": "pu"}, `{"channels":{"public":{}}}`)
	check("prefix of nothing", all, map[string]string{"filter_by_prefix": "zzz"}, `{"channels":{}}`)
	check("user_count", all, map[string]string{"filter_by_prefix": "presence-", "info": "user_count"}, `{"channels":{"presence-p":{"user_count":1}}}`)
	check("one", one+"public", nil, `{"occupied":true}`)
	check("subscription_count", one+"public", info("subscription_count"), `{"occupied":true,"subscription_count":2}`)
	check("presence", one+"presence-p", info("user_count"), `{"occupied":true,"user_count":1}`)
	check("subscription_count of presence", one+"presence-p", info("subscription_count"), `{"occupied":true,"subscription_count":2}`)
	check("both counts of presence", one+"presence-p", info("user_count,subscription_count"), `{"occupied":true,"user_count":1,"subscription_count":2}`)
	check("both counts of all presence channels", all, map[string]string{"filter_by_prefix": "presence-", "info": "user_count,subscription_count"},
		`{"channels":{"presence-p":{"user_count":1,"subscription_count":2}}}`)
	check("users", one+"presence-p/users", nil, `{"users":[{"id":"12345678901234567890"}]}`)
	check("empty cache", one+"cache-c", info("cache"), `{"occupied":true,"cache":null}`)

	publish(t, s, "cache-c", "cached", "first")
	a.expectData("cached", "cache-c", "first")
	_, body := get(t, s, one+"cache-c", info("cache"))
	var answer struct {
		Cache struct {
			Data string `json:"data"`
			TTL  int    `json:"ttl"`
		} `json:"cache"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("cache: %v: %s", err, body)
	}
	if answer.Cache.Data != "first" || answer.Cache.TTL < 1790 || answer.Cache.TTL > 1800 {
		t.Errorf("cache: got %s, want data first and a ttl of at most 1800 s", body)
	}

	status, body := post(t, s, eventsPath, event{Name: "e", Channels: []string{"public", "presence-p", "nowhere"}, Data: "x", Info: "user_count,subscription_count"})
	if status != 200 {
		t.Fatalf("trigger with info: got %d %q", status, body)
	}
	var counts struct {
		Channels map[string]map[string]int `json:"channels"`
	}
	if err := json.Unmarshal([]byte(body), &counts); err != nil {
		t.Fatal(err)
	}
	if got := counts.Channels["public"]; got["subscription_count"] != 2 || len(got) != 1 {
		t.Errorf("info of public: got %s", body)
	}
	if got := counts.Channels["presence-p"]; got["user_count"] != 1 || got["subscription_count"] != 2 || len(got) != 2 {
		t.Errorf("info of presence-p: got %s", body)
	}
	if got, ok := counts.Channels["nowhere"]; !ok || got["subscription_count"] != 0 {
		t.Errorf("info of nowhere: got %s", body)
	}
}

// TestChannelKinds requires the longest prefix, with its dash.
func TestChannelKinds(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	for _, public := range []string{"privatefoo", "presencefoo", "cachefoo", "xprivate-y", "my-cache-x", "Private-x", "private", "cache"} {
		c.subscribe(public)
		c.answers() // and no cache_miss
	}
	for _, private := range []string{"private-", "private-x", "private-encrypted-x", "private-cachefoo"} {
		c.subscribePrivate(private)
		c.answers()
	}
	for _, cached := range []string{"private-cache-x", "private-encrypted-cache-x"} {
		c.subscribePrivate(cached)
		c.expectData("pusher:cache_miss", cached, "{}")
	}
	c.subscribePresence("presence-cache-x", `{"user_id":"1"}`)
	c.expectData("pusher:cache_miss", "presence-cache-x", "{}")
}

// TestPresenceRoster covers what pusher-js does not show: the frames.
func TestPresenceRoster(t *testing.T) {
	t.Parallel()
	s := start(t)
	const channel = "presence-room"
	first, tab, second := connect(t, s), connect(t, s), connect(t, s)

	r := first.subscribePresence(channel, `{"user_id":10,"user_info":{"name":"A"}}`)
	expectRoster(t, r, map[string]string{"10": `{"name":"A"}`})

	r = second.subscribePresence(channel, `{"user_id":"b"}`)
	expectRoster(t, r, map[string]string{"10": `{"name":"A"}`, "b": `{}`})
	var added map[string]json.RawMessage
	first.expect("pusher_internal:member_added", channel).into(t, &added)
	if string(added["user_id"]) != `"b"` {
		t.Errorf("member_added: got %s, want user_id b", added)
	}

	// A second tab of the same user: its info replaces, nothing is announced.
	r = tab.subscribePresence(channel, `{"user_id":10,"user_info":{"name":"A2"}}`)
	expectRoster(t, r, map[string]string{"10": `{"name":"A2"}`, "b": `{}`})
	first.unsubscribe(channel)
	first.answers()
	publish(t, s, channel, "fence", "1")
	second.expectData("fence", channel, "1")
	tab.expectData("fence", channel, "1")

	if err := tab.conn.CloseNow(); err != nil {
		t.Logf("close: %v", err)
	}
	second.expectData("pusher_internal:member_removed", channel, `{"user_id":"10"}`)
}

func expectRoster(t testing.TB, got roster, want map[string]string) {
	t.Helper()
	ids := slices.Sorted(slices.Values(got.Presence.IDs))
	for id, info := range want {
		if !slices.Contains(ids, id) {
			t.Errorf("ids: got %v, want %s among them", ids, id)
		}
		if hash := string(got.Presence.Hash[id]); hash != info {
			t.Errorf("hash of %s: got %s, want %s", id, hash, info)
		}
	}
	if got.Presence.Count != len(want) || len(ids) != len(want) || len(got.Presence.Hash) != len(want) {
		t.Errorf("roster: got %+v, want %d members", got.Presence, len(want))
	}
}

func TestPresenceLimit(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_APP_MAX_PRESENCE_MEMBERS=2")
	const channel = "presence-full"
	var members []*client
	for i := range 2 {
		c := connect(t, s)
		c.subscribePresence(channel, fmt.Sprintf(`{"user_id":"%d"}`, i))
		members = append(members, c)
	}
	members[0].expect("pusher_internal:member_added", channel)

	late := connect(t, s)
	data := `{"user_id":"late"}`
	late.send(subscribeFrame(channel, late.auth(channel, data), data))
	late.expectRefusal("…")
	late.expect("pusher_internal:subscription_error", channel)
	late.answers()

	// A second tab of a member is nobody new.
	connect(t, s).subscribePresence(channel, `{"user_id":"0"}`)
	publish(t, s, channel, "fence", "1")
	for _, member := range members {
		member.expectData("fence", channel, "1")
	}
}

// TestClientEvent holds what is relayed to the sender's event, channel and
// data, and to the user id that was signed.
func TestClientEvent(t *testing.T) {
	t.Parallel()
	s := start(t)
	const channel = "presence-room"
	sender, receiver, outsider := connect(t, s), connect(t, s), connect(t, s)
	sender.subscribePresence(channel, `{"user_id":10}`)
	receiver.subscribePresence(channel, `{"user_id":11}`)
	sender.expect("pusher_internal:member_added", channel)
	outsider.subscribe(room)

	for _, tt := range []struct{ data, want string }{
		{`{"who":"A"}`, `{"who":"A"}`},
		{`"{\"who\":\"A\"}"`, `{"who":"A"}`},
		{`"text"`, `text`},
		{`[1,2.50]`, `[1,2.50]`},
		{`5`, `5`},
		{`true`, `true`},
	} {
		sender.send(`{"event":"client-typing","channel":"presence-room","data":` + tt.data + `,"user_id":"99","socket_id":"1.1"}`)
		receiver.expectRaw(`{"event":"client-typing","channel":"presence-room","data":` + quote(tt.want) + `,"user_id":"10"}`)
	}
	sender.answers()
	outsider.answers()
}

// TestClientEventRaw passes the type of data through when the app says so.
func TestClientEventRaw(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_APP_CLIENT_EVENT_DATA=raw")
	sender, receiver := connect(t, s), connect(t, s)
	sender.subscribePrivate("private-a")
	receiver.subscribePrivate("private-a")
	sender.send(`{"event":"client-typing","channel":"private-a","data":{"who":"A"}}`)
	receiver.expectRaw(`{"event":"client-typing","channel":"private-a","data":{"who":"A"}}`)
}

func TestClientEventsOff(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_APP_CLIENT_EVENTS=false")
	sender, receiver := connect(t, s), connect(t, s)
	sender.subscribePrivate("private-a")
	receiver.subscribePrivate("private-a")
	sender.send(`{"event":"client-typing","channel":"private-a","data":{}}`)
	sender.expectRefusal("…")
	publish(t, s, "private-a", "fence", "1")
	receiver.expectData("fence", "private-a", "1")
}

// TestClientEventRate sends one burst: ten are relayed, the rest is refused.
func TestClientEventRate(t *testing.T) {
	t.Parallel()
	s := start(t)
	sender, receiver := connect(t, s), connect(t, s)
	sender.subscribePrivate("private-a")
	receiver.subscribePrivate("private-a")
	const burst = 40
	for range burst {
		sender.send(`{"event":"client-typing","channel":"private-a","data":"x"}`)
	}
	sender.send(`{"event":"pusher:ping"}`)
	refused := 0
	for f := sender.next(); f.Event != "pusher:pong"; f = sender.next() {
		e := f.protocolError(t)
		if e.Code == nil || *e.Code != 4301 || e.Message != "Client event rejected due to rate limit" {
			t.Fatalf("over the rate: got %v, want 4301", e)
		}
		refused++
	}
	publish(t, s, "private-a", "fence", "1")
	relayed := 0
	for f := receiver.next(); f.Event != "fence"; f = receiver.next() {
		relayed++
	}
	if relayed < 10 || relayed > 20 || relayed+refused != burst {
		t.Errorf("of %d at once: %d relayed and %d refused, want 10 relayed and the rest refused", burst, relayed, refused)
	}
}

// TestClientEventTooLarge measures a string as the REST API does: its bytes
// without the quotes.
func TestClientEventTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t)
	sender, receiver := connect(t, s), connect(t, s)
	sender.subscribePrivate("private-a")
	receiver.subscribePrivate("private-a")
	sender.send(`{"event":"client-big","channel":"private-a","data":` + quote(strings.Repeat("a", 10241)) + `}`)
	sender.expectRefusal("…")
	sender.send(`{"event":"client-fits","channel":"private-a","data":` + quote(strings.Repeat("a", 10240)) + `}`)
	receiver.expectData("client-fits", "private-a", strings.Repeat("a", 10240))
}

// TestCache covers what is kept: the last event of the REST API, for as long
// as the channel's name lives, without client events.
func TestCache(t *testing.T) {
	t.Parallel()
	s := start(t)
	const channel = "private-cache-news"
	publish(t, s, channel, "old", "1")
	publish(t, s, channel, "new", "2")

	first := connect(t, s)
	first.subscribePrivate(channel)
	first.expectRaw(`{"event":"new","channel":"private-cache-news","data":"2"}`)

	second := connect(t, s)
	second.subscribePrivate(channel)
	second.expectData("new", channel, "2")
	second.send(`{"event":"client-note","channel":"private-cache-news","data":"x"}`)
	first.expectData("client-note", channel, "x")

	// The excluded socket misses the event, the cache does not.
	status, body := post(t, s, eventsPath, event{Name: "excluding", Channels: []string{channel}, Data: "3", SocketID: first.SocketID})
	if status != 200 {
		t.Fatalf("publish: got %d %q", status, body)
	}
	second.expectData("excluding", channel, "3")
	first.unsubscribe(channel)
	first.subscribePrivate(channel)
	first.expectData("excluding", channel, "3")
}

// TestSubscriptionCount is the event that an app can switch on.
func TestSubscriptionCount(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_APP_SUBSCRIPTION_COUNT_EVENTS=true")
	a, b := connect(t, s), connect(t, s)
	a.subscribe(room)
	a.expectData("pusher_internal:subscription_count", room, `{"subscription_count":1}`)
	b.subscribe(room)
	b.expectData("pusher_internal:subscription_count", room, `{"subscription_count":2}`)
	a.expectData("pusher_internal:subscription_count", room, `{"subscription_count":2}`)
	b.unsubscribe(room)
	a.expectData("pusher_internal:subscription_count", room, `{"subscription_count":1}`)
	b.answers()
}

// TestConnectionLimit closes the connection that is one too many with 4004.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_APP_MAX_CONNECTIONS=2")
	first, second := connect(t, s), connect(t, s)
	third := dial(t, s, defaultPath)
	third.expectErrorCode(4004, "Application is over connection quota")
	third.expectClose(4004, "Application is over connection quota")
	second.answers()

	if err := first.conn.CloseNow(); err != nil {
		t.Logf("close: %v", err)
	}
	eventually(t, "a place for another connection", func() (string, bool) {
		c := dial(t, s, defaultPath)
		f := c.next()
		return f.Raw, f.Event == "pusher:connection_established"
	})
}

// TestOrderOfOneChannel publishes from several places at once: every
// subscriber sees the same order.
func TestOrderOfOneChannel(t *testing.T) {
	t.Parallel()
	s := start(t)
	var subscribers []*client
	for range 5 {
		c := connect(t, s)
		c.subscribe(room)
		subscribers = append(subscribers, c)
	}
	const publishers, events = 4, 25
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for i := range events {
				publish(t, s, room, "e", fmt.Sprintf("%d/%d", p, i))
			}
		})
	}
	publishing.Wait()
	var want []string
	for i, c := range subscribers {
		var got []string
		for range publishers * events {
			got = append(got, c.expect("e", room).text(t))
		}
		if i == 0 {
			want = got
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("subscriber %d saw another order than subscriber 0:\n got %v\nwant %v", i, got, want)
		}
	}
}
