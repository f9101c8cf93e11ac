//go:build conformance

package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pusher/pusher-http-go/v5"
)

// masterKey encrypts the events of private-encrypted channels.
const masterKey = "ZUhQVldIZzduRkdZVkJzS2pPRkRYV1JyaWJJUjJiMGI="

// sdk gives the unmodified Go SDK, pointed at the server.
func sdk(s *server) *pusher.Client {
	return &pusher.Client{
		AppID:                     appID,
		Key:                       appKey,
		Secret:                    appSecret,
		Host:                      s.Addr,
		EncryptionMasterKeyBase64: masterKey,
	}
}

// must is for calls of the SDK that have to work.
func must[T any](t testing.TB, what string) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return value
	}
}

func ok(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// authBody is what a browser posts to the customer's auth endpoint.
func authBody(c *client, channel string) []byte {
	return []byte(url.Values{"socket_id": {c.SocketID}, "channel_name": {channel}}.Encode())
}

// subscribeSigned joins with what an auth endpoint answered.
func (c *client) subscribeSigned(channel string, answer []byte) frame {
	c.t.Helper()
	var signed struct {
		Auth        string `json:"auth"`
		ChannelData string `json:"channel_data"`
	}
	if err := json.Unmarshal(answer, &signed); err != nil {
		c.t.Fatalf("auth answer: %v: %s", err, answer)
	}
	c.send(subscribeFrame(channel, signed.Auth, signed.ChannelData))
	return c.expect("pusher_internal:subscription_succeeded", channel)
}

func TestGoSDKTrigger(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	a, b := connect(t, s), connect(t, s)
	for _, c := range []*client{a, b} {
		c.subscribe("one")
		c.subscribe("two")
	}
	both := func(event, channel, data string) {
		t.Helper()
		a.expectData(event, channel, data)
		b.expectData(event, channel, data)
	}

	ok(t, "Trigger", api.Trigger("one", "my-event", map[string]string{"message": "hello world"}))
	both("my-event", "one", `{"message":"hello world"}`)
	ok(t, "Trigger with a string", api.Trigger("one", "my-event", "as is"))
	both("my-event", "one", "as is")
	ok(t, "Trigger with bytes", api.Trigger("one", `App\Events\X`, []byte("bytes & + % =")))
	both(`App\Events\X`, "one", "bytes & + % =")

	ok(t, "TriggerMulti", api.TriggerMulti([]string{"one", "two"}, "multi", "x"))
	both("multi", "one", "x")
	both("multi", "two", "x")

	//nolint:staticcheck // deprecated, and still in use out there
	ok(t, "TriggerExclusive", api.TriggerExclusive("one", "exclusive", "x", a.SocketID))
	b.expectData("exclusive", "one", "x")
	//nolint:staticcheck // deprecated, and still in use out there
	ok(t, "TriggerMultiExclusive", api.TriggerMultiExclusive([]string{"one", "two"}, "exclusive", "x", a.SocketID))
	b.expectData("exclusive", "one", "x")
	b.expectData("exclusive", "two", "x")
	a.answers()

	unknown := "1.1"
	must[*pusher.TriggerChannelsList](t, "socket_id of nobody")(
		api.TriggerWithParams("one", "nobody", "x", pusher.TriggerParams{SocketID: &unknown}))
	both("nobody", "one", "x")
}

func TestGoSDKTriggerWithParams(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	a, b := connect(t, s), connect(t, s)
	a.subscribe("public")
	b.subscribe("public")
	a.subscribePresence("presence-room", `{"user_id":"a"}`)

	info := "user_count,subscription_count"
	got := must[*pusher.TriggerChannelsList](t, "TriggerMultiWithParams")(api.TriggerMultiWithParams(
		[]string{"public", "presence-room"}, "counted", "x", pusher.TriggerParams{Info: &info, SocketID: &b.SocketID}))
	a.expectData("counted", "public", "x")
	a.expectData("counted", "presence-room", "x")
	b.answers()
	public, presence := got.Channels["public"], got.Channels["presence-room"]
	if public.SubscriptionCount == nil || *public.SubscriptionCount != 2 || public.UserCount != nil {
		t.Errorf("public: got %+v, want 2 subscriptions and no user_count", public)
	}
	if presence.UserCount == nil || *presence.UserCount != 1 || presence.SubscriptionCount == nil || *presence.SubscriptionCount != 1 {
		t.Errorf("presence-room: got %+v, want 1 user and 1 subscription", presence)
	}

	got = must[*pusher.TriggerChannelsList](t, "TriggerWithParams")(
		api.TriggerWithParams("public", "plain", "x", pusher.TriggerParams{}))
	if len(got.Channels) != 0 {
		t.Errorf("without info: got %v, want nothing", got.Channels)
	}
}

func TestGoSDKTriggerBatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	a, b := connect(t, s), connect(t, s)
	for _, c := range []*client{a, b} {
		c.subscribe("one")
		c.subscribe("two")
	}

	got := must[*pusher.TriggerBatchChannelsList](t, "TriggerBatch")(api.TriggerBatch([]pusher.Event{
		{Channel: "one", Name: "first", Data: "1"},
		{Channel: "two", Name: "second", Data: map[string]int{"n": 2}, SocketID: &a.SocketID},
	}))
	if len(got.Batch) != 0 {
		t.Errorf("without info: got %v, want nothing", got.Batch)
	}
	a.expectData("first", "one", "1")
	b.expectData("first", "one", "1")
	b.expectData("second", "two", `{"n":2}`)
	a.answers()

	info := "subscription_count"
	got = must[*pusher.TriggerBatchChannelsList](t, "TriggerBatch with info")(api.TriggerBatch([]pusher.Event{
		{Channel: "one", Name: "counted", Data: "x", Info: &info},
		{Channel: "two", Name: "plain", Data: "x"},
	}))
	if len(got.Batch) != 2 || got.Batch[0].SubscriptionCount == nil || *got.Batch[0].SubscriptionCount != 2 || got.Batch[1].SubscriptionCount != nil {
		t.Errorf("with info: got %+v, want [{2} {}]", got.Batch)
	}
	a.expectData("counted", "one", "x")
	a.expectData("plain", "two", "x")

	eleven := make([]pusher.Event, 11)
	for i := range eleven {
		eleven[i] = pusher.Event{Channel: "one", Name: "many", Data: "x"}
	}
	if _, err := api.TriggerBatch(eleven); err == nil || !strings.HasPrefix(err.Error(), "Status Code: 400 - ") {
		t.Errorf("11 events: got %v, want a 400", err)
	}
	a.answers()
}

func TestGoSDKChannels(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	prefix, userCount, counts := "presence-", "user_count", "user_count,subscription_count"

	empty := must[*pusher.ChannelsList](t, "Channels of nobody")(api.Channels(pusher.ChannelsParams{}))
	if len(empty.Channels) != 0 {
		t.Errorf("no channels: got %v", empty.Channels)
	}

	a, b := connect(t, s), connect(t, s)
	a.subscribe("public")
	a.subscribePresence("presence-room", `{"user_id":"a"}`)
	b.subscribePresence("presence-room", `{"user_id":7}`)
	a.expect("pusher_internal:member_added", "presence-room")

	all := must[*pusher.ChannelsList](t, "Channels")(api.Channels(pusher.ChannelsParams{}))
	if names := slices.Sorted(maps.Keys(all.Channels)); !slices.Equal(names, []string{"presence-room", "public"}) {
		t.Errorf("all: got %v", names)
	}
	rooms := must[*pusher.ChannelsList](t, "Channels with a prefix")(
		api.Channels(pusher.ChannelsParams{FilterByPrefix: &prefix, Info: &userCount}))
	if got := rooms.Channels["presence-room"].UserCount; len(rooms.Channels) != 1 || got != 2 {
		t.Errorf("with a prefix: got %v, want presence-room with 2 users", rooms.Channels)
	}

	room := must[*pusher.Channel](t, "Channel")(api.Channel("presence-room", pusher.ChannelParams{Info: &userCount}))
	if !room.Occupied || room.UserCount != 2 {
		t.Errorf("presence-room: got %+v, want 2 users", room)
	}
	room = must[*pusher.Channel](t, "Channel")(api.Channel("presence-room", pusher.ChannelParams{Info: &counts}))
	if room.UserCount != 2 || room.SubscriptionCount != 2 {
		t.Errorf("presence-room: got %+v, want 2 users and 2 subscriptions", room)
	}
	subscriptions := "subscription_count"
	public := must[*pusher.Channel](t, "Channel")(api.Channel("public", pusher.ChannelParams{Info: &subscriptions}))
	if !public.Occupied || public.SubscriptionCount != 1 {
		t.Errorf("public: got %+v, want 1 subscription", public)
	}
	nowhere := must[*pusher.Channel](t, "Channel")(api.Channel("nowhere", pusher.ChannelParams{}))
	if nowhere.Occupied {
		t.Errorf("nowhere: got %+v, want it not occupied", nowhere)
	}
	if _, err := api.Channel("public", pusher.ChannelParams{Info: &counts}); err == nil ||
		!strings.Contains(err.Error(), "Cannot retrieve the user count unless the channel is a presence channel") {
		t.Errorf("user_count of public: got %v, want the hosted text", err)
	}

	users := must[*pusher.Users](t, "GetChannelUsers")(api.GetChannelUsers("presence-room"))
	var ids []string
	for _, user := range users.List {
		ids = append(ids, user.ID)
	}
	if slices.Sort(ids); !slices.Equal(ids, []string{"7", "a"}) {
		t.Errorf("users: got %v, want [7 a]", ids)
	}
	if _, err := api.GetChannelUsers("public"); err == nil || !strings.HasPrefix(err.Error(), "Status Code: 400 - ") {
		t.Errorf("users of public: got %v, want a 400", err)
	}
}

func TestGoSDKAuthorize(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	a := connect(t, s)

	for _, channel := range []string{"private-room", "private-encrypted-room", "private-cache-room"} {
		a.subscribeSigned(channel, must[[]byte](t, "AuthorizePrivateChannel")(api.AuthorizePrivateChannel(authBody(a, channel))))
	}
	a.expect("pusher:cache_miss", "private-cache-room")
}

func TestGoSDKAuthorizePresence(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	a, b := connect(t, s), connect(t, s)
	const channel = "presence-room"

	var r roster
	a.subscribeSigned(channel, must[[]byte](t, "AuthorizePresenceChannel")(
		api.AuthorizePresenceChannel(authBody(a, channel), pusher.MemberData{UserID: "a", UserInfo: map[string]string{"name": `É"<`}}))).into(t, &r)
	expectRoster(t, r, map[string]string{"a": string(r.Presence.Hash["a"])})
	sameJSON(t, "user_info", string(r.Presence.Hash["a"]), `{"name":"É\"<"}`)

	b.subscribeSigned(channel, must[[]byte](t, "AuthorizePresenceChannel")(
		api.AuthorizePresenceChannel(authBody(b, channel), pusher.MemberData{UserID: "b"})))
	a.expect("pusher_internal:member_added", channel)
}

// TestGoSDKUsers signs a user in and sends to it.
func TestGoSDKUsers(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	a := connect(t, s)
	answer := must[[]byte](t, "AuthenticateUser")(api.AuthenticateUser(
		[]byte(url.Values{"socket_id": {a.SocketID}}.Encode()), map[string]interface{}{"id": "ada"}))
	a.send(`{"event":"pusher:signin","data":` + string(answer) + `}`)
	var signedIn struct {
		UserData string `json:"user_data"`
	}
	a.expect("pusher:signin_success", "").into(t, &signedIn)
	sameJSON(t, "user_data", signedIn.UserData, `{"id":"ada"}`)
	a.subscribe("#server-to-user-ada")
	ok(t, "SendToUser", api.SendToUser("ada", "my-event", map[string]int{"n": 1}))
	a.expectData("my-event", "#server-to-user-ada", `{"n":1}`)
}

// TestGoSDKEncrypted sends to an encrypted channel: the server relays what it
// cannot read.
func TestGoSDKEncrypted(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	const channel = "private-encrypted-room"
	a := connect(t, s)
	a.subscribeSigned(channel, must[[]byte](t, "AuthorizePrivateChannel")(api.AuthorizePrivateChannel(authBody(a, channel))))
	ok(t, "Trigger", api.Trigger(channel, "secret", "the plain text"))
	var sealed struct{ Nonce, Ciphertext string }
	f := a.expect("secret", channel)
	f.into(t, &sealed)
	if sealed.Nonce == "" || sealed.Ciphertext == "" || strings.Contains(f.Raw, "plain") {
		t.Errorf("got %s, want nonce and ciphertext", f.Raw)
	}
}

func TestGoSDKErrors(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)

	wrong := sdk(s)
	wrong.Secret = "guess"
	if err := wrong.Trigger("one", "e", "x"); err == nil || !strings.HasPrefix(err.Error(), "Status Code: 401 - Invalid signature: ") {
		t.Errorf("wrong secret: got %v, want a 401 with its text", err)
	}
	nobody := sdk(s)
	nobody.Key = "nobody"
	if err := nobody.Trigger("one", "e", "x"); err == nil || !strings.HasPrefix(err.Error(), "Status Code: 401 - Unknown auth_key") {
		t.Errorf("unknown key: got %v, want a 401 with its text", err)
	}
	elsewhere := sdk(s)
	elsewhere.AppID = "2"
	if err := elsewhere.Trigger("one", "e", "x"); err == nil || !strings.HasPrefix(err.Error(), "Status Code: 404 - ") {
		t.Errorf("unknown app: got %v, want a 404", err)
	}
	if err := api.Trigger("one", "pusher:error", "x"); err == nil || !strings.HasPrefix(err.Error(), "Status Code: 400 - ") {
		t.Errorf("reserved name: got %v, want a 400", err)
	}

	api.OverrideMaxMessagePayloadKB = 100 // else the SDK refuses by itself
	if err := api.Trigger("one", "e", strings.Repeat("a", 10241)); err == nil || !strings.HasPrefix(err.Error(), "Status Code: 413 - ") {
		t.Errorf("10241 bytes: got %v, want a 413", err)
	}
	ok(t, "10240 bytes", api.Trigger("one", "e", strings.Repeat("a", 10240)))
}

// TestGoSDKFromURL is the other way to point the SDK at a server.
func TestGoSDKFromURL(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := must[*pusher.Client](t, "ClientFromURL")(
		pusher.ClientFromURL(fmt.Sprintf("http://%s:%s@%s/apps/%s", appKey, appSecret, s.Addr, appID)))
	a := connect(t, s)
	a.subscribe(room)
	ok(t, "Trigger", api.Trigger(room, "e", "x"))
	a.expectData("e", room, "x")
}
