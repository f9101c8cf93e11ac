//go:build conformance

package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// readLimit is the largest frame that the server takes with default settings,
// in bytes: the larger of 64 KiB and 6 × max_event_bytes + 4 KiB.
const readLimit = 64 << 10

// TestBadFrame sends each frame that is refused with a null code on an open
// connection that is in the room itself. It stays open and keeps its
// subscription.
func TestBadFrame(t *testing.T) {
	deep := strings.Repeat("[", 60_000)
	tests := []struct {
		name  string
		frame string
		want  string // message; "…" at the end: only its beginning
	}{
		{"malformed JSON", `{"event":`, "Invalid JSON…"},
		{"empty frame", ``, "Invalid JSON…"},
		{"two values", `{"event":"pusher:ping"}{"event":"pusher:ping"}`, "Invalid JSON…"},
		{"trailing comma", `{"event":"pusher:ping",}`, "Invalid JSON…"},
		{"control character in a string", "{\"event\":\"pusher:\x01ping\"}", "Invalid JSON…"},
		{"deep nesting, open", deep, "Invalid JSON…"},
		{"deep nesting, open, in data", `{"event":"pusher:subscribe","data":` + deep, "Invalid JSON…"},
		{"an array", `[]`, "…"},
		{"a string", `"pusher:ping"`, "…"},
		{"a number", `5`, "…"},
		{"null", `null`, "…"},
		{"no event", `{}`, "…"},
		{"no event but data", `{"data":{"channel":"room"}}`, "…"},
		{"event is null", `{"event":null}`, "…"},
		{"event is a number", `{"event":5}`, "…"},
		{"event is an object", `{"event":{"event":"pusher:ping"}}`, "…"},
		{"event is empty", `{"event":""}`, "…"},

		{"unknown pusher event", `{"event":"pusher:nonsense","data":{}}`, "Unsupported event received on socket: 'pusher:nonsense'"},
		{"unknown event", `{"event":"my-event","channel":"room","data":{}}`, "Unsupported event received on socket: 'my-event'"},
		{"forged internal event", `{"event":"pusher_internal:member_added","channel":"room","data":"{}"}`, "Unsupported event received on socket: 'pusher_internal:member_added'"},
		{"forged server event", `{"event":"pusher:connection_established","data":"{}"}`, "Unsupported event received on socket: 'pusher:connection_established'"},

		{"subscribe alone", `{"event":"pusher:subscribe"}`, "…"},
		{"subscribe, data is null", `{"event":"pusher:subscribe","data":null}`, "…"},
		{"subscribe, data is a number", `{"event":"pusher:subscribe","data":5}`, "…"},
		{"subscribe, data is an array", `{"event":"pusher:subscribe","data":["room"]}`, "…"},
		{"subscribe, data is a string that is no JSON", `{"event":"pusher:subscribe","data":"room"}`, "…"},
		{"subscribe, no channel", `{"event":"pusher:subscribe","data":{}}`, "…"},
		{"subscribe, channel is a number", `{"event":"pusher:subscribe","data":{"channel":5}}`, "…"},
		{"subscribe, channel is null", `{"event":"pusher:subscribe","data":{"channel":null}}`, "…"},
		{"subscribe, auth is a number", `{"event":"pusher:subscribe","data":{"channel":"private-a","auth":5}}`, "…"},
		{"subscribe, channel_data is an object", `{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"app-key:0","channel_data":{"user_id":"1"}}}`, "…"},
		{"subscribe again", `{"event":"pusher:subscribe","data":{"channel":"room"}}`, "Existing subscription to channel room"},
		{"private without auth", `{"event":"pusher:subscribe","data":{"channel":"private-a"}}`, "Auth info required to subscribe to private-a"},
		{"private with empty auth", `{"event":"pusher:subscribe","data":{"channel":"private-a","auth":""}}`, "Auth info required to subscribe to private-a"},
		{"private cache without auth", `{"event":"pusher:subscribe","data":{"channel":"private-cache-a"}}`, "Auth info required to subscribe to private-cache-a"},
		{"encrypted without auth", `{"event":"pusher:subscribe","data":{"channel":"private-encrypted-a"}}`, "Auth info required to subscribe to private-encrypted-a"},
		{"presence without auth", `{"event":"pusher:subscribe","data":{"channel":"presence-a","channel_data":"{\"user_id\":\"1\"}"}}`, "Auth info required to subscribe to presence-a"},
		{"auth without a colon", `{"event":"pusher:subscribe","data":{"channel":"private-a","auth":"app-key"}}`, "…"},
		{"auth of another key", `{"event":"pusher:subscribe","data":{"channel":"private-a","auth":"other-key:00"}}`, "…"},

		{"unsubscribe alone", `{"event":"pusher:unsubscribe"}`, "…"},
		{"unsubscribe, channel is a number", `{"event":"pusher:unsubscribe","data":{"channel":5}}`, "…"},
		{"unsubscribe from elsewhere", `{"event":"pusher:unsubscribe","data":{"channel":"elsewhere"}}`, "No current subscription to channel elsewhere, or subscription in progress"},

		{"client event without a channel", `{"event":"client-a","data":{}}`, "…"},
		{"client event, channel is a number", `{"event":"client-a","channel":5,"data":{}}`, "…"},
		{"client event on a public channel", `{"event":"client-a","channel":"room","data":{}}`, "…"},
		{"client event from outside the channel", `{"event":"client-a","channel":"private-a","data":{}}`, "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				c := connect(t, s)
				c.subscribe(room)
				c.subscribe("mine")
				c.send(tt.frame)
				c.expectRefusal(tt.want)
				c.settled()

				publish(t, s, "mine", "still", "here")
				c.expectData("still", "mine", "here")
			}, "CHANNELS_APP_CLIENT_EVENTS=true")
		})
	}
}

// TestTextThatIsNotUTF8 is refused before it is read as JSON: RFC 6455 has the
// connection closed with 1007.
func TestTextThatIsNotUTF8(t *testing.T) {
	tests := []struct {
		name  string
		frame string
	}{
		{"in data", "{\"event\":\"pusher:ping\",\"data\":\"\xff\"}"},
		{"in the event", "{\"event\":\"client-\xc3\x28\",\"channel\":\"room\",\"data\":{}}"},
		{"in the channel", "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"\xc0\x80\"}}"},
		{"a surrogate", "{\"event\":\"pusher:ping\",\"data\":\"\xed\xa0\x80\"}"},
		{"behind JSON", "{\"event\":\"pusher:ping\"}\xff"},
		{"at the end of what is no JSON", "{\"event\":\xf0\x9f"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				c := connect(t, s)
				c.subscribe(room)
				c.send(tt.frame)
				c.expectClose(1007, "")
				awaitSubscribers(t, s, room, 1)
			})
		})
	}
}

// settled requires that the connection answers and has nothing more to say
// than the note that follows a refused subscription.
func (c *client) settled() {
	c.t.Helper()
	c.send(`{"event":"pusher:ping","data":{}}`)
	f := c.next()
	if f.Event == "pusher_internal:subscription_error" {
		f = c.next()
	}
	if f.Event != "pusher:pong" {
		c.t.Fatalf("after the refusal: got %s, want only the answer to a ping", f.Raw)
	}
}

// TestInvalidChannelName requires that no such channel comes into being.
func TestInvalidChannelName(t *testing.T) {
	tests := []struct {
		name, channel string
	}{
		{"empty", ""},
		{"space", "my channel"},
		{"slash", "a/b"},
		{"colon", "a:b"},
		{"hash", "#room"},
		{"hash inside", "ro#om"},
		{"quote", `a"b`},
		{"not ASCII", "caf\u00e9"},
		{"NUL", "a\x00b"},
		{"newline", "room\n"},
		{"201 characters", strings.Repeat("a", 201)},
		{"user channel without a user", "#server-to-user-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				c := connect(t, s)
				c.send(subscribeFrame(tt.channel, "", ""))
				c.expectRefusal("…")
				c.settled()
				status, body := get(t, s, "/apps/1/channels", nil)
				if status != 200 {
					t.Fatalf("GET channels: got %d %q", status, body)
				}
				sameJSON(t, "occupied channels", body, `{"channels":{"room":{}}}`)
			})
		})
	}
}

func TestInvalidChannelNameText(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	c.send(subscribeFrame("my channel", "", ""))
	c.expectRefusal("Invalid channel name: my channel")
	c.settled()
}

// TestBadSignature needs the socket id in what it sends.
func TestBadSignature(t *testing.T) {
	const member = `{"user_id":"1","user_info":{"name":"A"}}`
	wrong := strings.Repeat("0", 64)
	tests := []struct {
		name    string
		channel string
		data    string
		auth    func(c *client) string
	}{
		{"private", "private-a", "", func(*client) string { return appKey + ":" + wrong }},
		{"encrypted", "private-encrypted-a", "", func(*client) string { return appKey + ":" + wrong }},
		{"presence", "presence-a", member, func(*client) string { return appKey + ":" + wrong }},
		{"another channel's", "private-a", "", func(c *client) string { return c.auth("private-b", "") }},
		{"another member's", "presence-a", member, func(c *client) string { return c.auth("presence-a", `{"user_id":"2"}`) }},
		{"another secret's", "private-a", "", func(c *client) string { return appKey + ":" + sign("guess", c.SocketID+":private-a") }},
		{"upper case", "private-a", "", func(c *client) string {
			return appKey + ":" + strings.ToUpper(sign(appSecret, c.SocketID+":private-a"))
		}},
		{"another socket's", "private-a", "", func(c *client) string { return appKey + ":" + sign(appSecret, "1.1:private-a") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				c := connect(t, s)
				c.subscribe(room)
				c.subscribe("mine")
				auth := tt.auth(c)
				c.send(subscribeFrame(tt.channel, auth, tt.data))
				signed := c.SocketID + ":" + tt.channel
				if tt.data != "" {
					signed += ":" + tt.data
				}
				c.expectRefusal("Invalid signature: Expected HMAC SHA256 hex digest of " + signed + ", but got …")
				c.settled()

				// A late answer of the auth endpoint is followed by a right one.
				if tt.data == "" {
					c.subscribePrivate(tt.channel)
				} else {
					c.subscribePresence(tt.channel, tt.data)
				}
				publish(t, s, "mine", "still", "here")
				c.expectData("still", "mine", "here")
			})
		})
	}
}

// TestBadMember signs what is no member.
func TestBadMember(t *testing.T) {
	const notAHash = "user_info supplied to presence subscription is invalid - if supplied it must be a type of hash"
	tests := []struct {
		name, data, want string
	}{
		{"no channel_data", "", "presence-channel is a presence channel and subscription must include channel_data"},
		{"no JSON", "member", "…"},
		{"an array", `["1"]`, "…"},
		{"null", `null`, "…"},
		{"no user_id", `{}`, "…"},
		{"empty user_id", `{"user_id":""}`, "…"},
		{"null user_id", `{"user_id":null}`, "…"},
		{"user_id is an object", `{"user_id":{}}`, "…"},
		{"user_id is true", `{"user_id":true}`, "…"},
		{"user_id of 129 characters", `{"user_id":"` + strings.Repeat("a", 129) + `"}`, "…"},
		{"user_info is a string", `{"user_id":"1","user_info":"A"}`, notAHash},
		{"user_info is an array", `{"user_id":"1","user_info":["A"]}`, notAHash},
		{"user_info is a number", `{"user_id":"1","user_info":5}`, notAHash},
		{"user_info too large", `{"user_id":"1","user_info":{"a":"` + strings.Repeat("a", 2000) + `"}}`, "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				witness := connect(t, s)
				witness.subscribePresence("presence-channel", `{"user_id":"w"}`)
				c := connect(t, s)
				c.send(subscribeFrame("presence-channel", c.auth("presence-channel", tt.data), tt.data))
				c.expectRefusal(tt.want)
				c.settled()

				publish(t, s, "presence-channel", "fence", "1")
				witness.expectData("fence", "presence-channel", "1")
			})
		})
	}
}

func TestBinaryFrame(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		c := connect(t, s)
		c.subscribe(room)
		c.write(websocket.MessageBinary, []byte(`{"event":"pusher:ping","data":{}}`))
		c.expectError()
		c.expectClose(1003, "")
	})
}

func TestFrameOfTheReadLimit(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		c := connect(t, s)
		c.send(pingOf(readLimit))
		c.expectData("pusher:pong", "", "{}")
	})
}

func TestFrameOverTheReadLimit(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		c := connect(t, s)
		c.subscribe(room)
		c.send(pingOf(readLimit + 1))
		c.expectClose(1009, "")
	})
}

func TestDeepNestingOverTheReadLimit(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		c := connect(t, s)
		c.send(strings.Repeat("[", 100_000))
		c.expectClose(1009, "")
	})
}

// TestDeepNestingUnderARaisedReadLimit lets the decoder see 100,000 levels.
func TestDeepNestingUnderARaisedReadLimit(t *testing.T) {
	const levels = 100_000
	open, closed := strings.Repeat("[", levels), strings.Repeat("]", levels)
	tests := []struct {
		name, frame string
	}{
		{"open", open},
		{"open in data", `{"event":"client-a","channel":"private-a","data":` + open},
		{"closed", open + closed},
		{"closed in data", `{"event":"pusher:subscribe","data":` + open + closed + `}`},
		{"objects", strings.Repeat(`{"event":`, levels/2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				c := connect(t, s)
				c.subscribePrivate("private-a")
				c.send(tt.frame)
				c.expectRefusal("…")
				c.settled()
			}, "CHANNELS_APP_MAX_EVENT_BYTES=200000")
		})
	}
}

// TestDeepClientEvent nests no deeper than people do: every level is relayed.
func TestDeepClientEvent(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		sender, receiver := connect(t, s), connect(t, s)
		sender.subscribePrivate("private-a")
		receiver.subscribePrivate("private-a")
		data := strings.Repeat("[", 100) + strings.Repeat("]", 100)
		sender.send(`{"event":"client-deep","channel":"private-a","data":` + data + `}`)
		receiver.expectData("client-deep", "private-a", data)
		sender.answers()
	})
}

// pingOf gives a ping of exactly n bytes.
func pingOf(n int) string {
	const begin, end = `{"event":"pusher:ping","data":"`, `"}`
	return begin + strings.Repeat("a", n-len(begin)-len(end)) + end
}

// TestSubscriptionsBeyondTheLimit subscribes to one channel more than a
// connection may have. That one is refused; the others stay, and a place that is
// given up can be taken.
func TestSubscriptionsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		limit    int
		settings []string
	}{
		{"the default of 300", 300, nil},
		{"a limit of 3", 3, []string{"CHANNELS_APP_MAX_CHANNELS_PER_CONNECTION=3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				c := connect(t, s)
				name := func(i int) string { return fmt.Sprint("mine-", i) }
				for i := range tt.limit {
					c.subscribe(name(i))
				}
				for _, beyond := range []string{name(tt.limit), "private-a", "presence-a"} {
					c.send(subscribeFrame(beyond, c.auth(beyond, ""), ""))
					c.expectRefusal("…")
					c.expect("pusher_internal:subscription_error", beyond)
				}
				c.answers()
				_, body := get(t, s, channelsPath, nil)
				if strings.Contains(body, quote(name(tt.limit))) || !strings.Contains(body, quote(name(tt.limit-1))) {
					t.Errorf("occupied channels: got %s, want %s among them, and not %s", body, name(tt.limit-1), name(tt.limit))
				}

				for _, i := range []int{0, tt.limit - 1} {
					publish(t, s, name(i), "still", "here")
					c.expectData("still", name(i), "here")
				}
				c.unsubscribe(name(0))
				c.subscribe(name(tt.limit))
				connect(t, s).subscribe(name(0)) // others have places of their own
			}, tt.settings...)
		})
	}
}
