package protocol

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	tests := []struct {
		name, frame string
		want        Command
	}{
		{
			"subscribe to a public channel, as pusher-js does",
			`{"event":"pusher:subscribe","data":{"auth":"","channel":"my-channel"}}`,
			Command{Type: Subscribe, Channel: b("my-channel"), Auth: b("")},
		},
		{
			"subscribe to a private channel",
			`{"event":"pusher:subscribe","data":{"auth":"KEY:HEXSIG","channel":"private-foobar"}}`,
			Command{Type: Subscribe, Channel: b("private-foobar"), Auth: b("KEY:HEXSIG")},
		},
		{
			"subscribe to a presence channel",
			`{"event":"pusher:subscribe","data":{"auth":"KEY:HEXSIG","channel_data":"{\"user_id\":\"10\",\"user_info\":{\"name\":\"A\"}}","channel":"presence-foobar"}}`,
			Command{Type: Subscribe, Channel: b("presence-foobar"), Auth: b("KEY:HEXSIG"),
				ChannelData: b(`{"user_id":"10","user_info":{"name":"A"}}`)},
		},
		{
			"data before event, white space, unknown fields",
			" { \"data\" : { \"shared_secret\" : [ { } ] , \"channel\" : \"a\" } , \"x\" : [ 1 , { } ] , \"event\" : \"pusher:subscribe\" } ",
			Command{Type: Subscribe, Channel: b("a")},
		},
		{
			"data in a string",
			`{"event":"pusher:subscribe","data":"{\"channel\":\"presence-a\",\"auth\":\"k:s\",\"channel_data\":\"{\\\"user_id\\\":\\\"1\\\"}\"}"}`,
			Command{Type: Subscribe, Channel: b("presence-a"), Auth: b("k:s"),
				ChannelData: b(`{"user_id":"1"}`)},
		},
		{
			"null is as good as absent",
			`{"event":"pusher:subscribe","channel":null,"data":{"channel":"a","auth":null,"channel_data":null}}`,
			Command{Type: Subscribe, Channel: b("a")},
		},
		{
			"the last of two",
			`{"event":"pusher:ping","event":"pusher:unsubscribe","data":5,"data":{"channel":"a","channel":"b"}}`,
			Command{Type: Unsubscribe, Channel: b("b")},
		},
		{
			"escapes in names and values",
			`{"\u0065vent":"pusher\u003asubscribe","data":{"ch\u0061nnel":"\u0061\u00e9"}}`,
			Command{Type: Subscribe, Channel: b("aé")},
		},
		{
			"unsubscribe",
			`{"event":"pusher:unsubscribe","data":{"channel":"my-channel"}}`,
			Command{Type: Unsubscribe, Channel: b("my-channel")},
		},
		{"ping of pusher-js", `{"event":"pusher:ping","data":{}}`, Command{Type: Ping}},
		{"ping of java", `{"event": "pusher:ping"}`, Command{Type: Ping}},
		{"ping, object in a string", `{"event":"pusher:ping","data":"{}"}`, Command{Type: Ping}},
		{"ping, empty string", `{"event":"pusher:ping","data":""}`, Command{Type: Ping}},
		{"ping, null", `{"event":"pusher:ping","data":null}`, Command{Type: Ping}},
		{"pong", `{"event":"pusher:pong","data":{}}`, Command{Type: Pong}},
		{
			"signin",
			`{"event":"pusher:signin","data":{"auth":"KEY:HEXSIG","user_data":"{\"id\":\"12345\"}"}}`,
			Command{Type: Signin, Auth: b("KEY:HEXSIG"), UserData: b(`{"id":"12345"}`)},
		},
		{
			"client event with an object",
			`{"event":"client-typing","channel":"presence-room","data":{"who":"\u0041", "n":[1]},"user_id":5}`,
			Command{Type: ClientEvent, Channel: b("presence-room"), Data: b(`{"who":"\u0041", "n":[1]}`)},
		},
		{
			"client event with a string",
			`{"event":"client-typing","channel":"private-a","data":"{\"who\":\"A\"}"}`,
			Command{Type: ClientEvent, Channel: b("private-a"), Data: b(`"{\"who\":\"A\"}"`)},
		},
		{
			"client event without data",
			`{"event":"client-a","channel":"private-a"}`,
			Command{Type: ClientEvent, Channel: b("private-a")},
		},
		{
			"client event with null",
			`{"event":"client-a","channel":"private-a","data":null}`,
			Command{Type: ClientEvent, Channel: b("private-a")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode([]byte(tt.frame))
			if err != nil {
				t.Fatalf("%s: %v", tt.frame, err)
			}
			compareCommands(t, got, tt.want)
		})
	}
}

func compareCommands(t *testing.T, got, want Command) {
	t.Helper()
	if got.Type != want.Type {
		t.Errorf("got type %d, want %d", got.Type, want.Type)
	}
	for _, field := range []struct {
		name      string
		got, want []byte
	}{
		{"channel", got.Channel, want.Channel},
		{"auth", got.Auth, want.Auth},
		{"channel_data", got.ChannelData, want.ChannelData},
		{"user_data", got.UserData, want.UserData},
		{"data", got.Data, want.Data},
	} {
		if !bytes.Equal(field.got, field.want) {
			t.Errorf("%s: got %q, want %q", field.name, field.got, field.want)
		}
	}
	if got.Data == nil != (want.Data == nil) {
		t.Errorf("data: got nil %t, want nil %t", got.Data == nil, want.Data == nil)
	}
}

func TestDecodeFaults(t *testing.T) {
	deep := strings.Repeat("[", 60_000)
	tests := []struct {
		name, frame, want string
	}{
		{"empty", ``, "Invalid JSON"},
		{"malformed", `{"event":`, "Invalid JSON"},
		{"two values", `{"event":"pusher:ping"}{"event":"pusher:ping"}`, "Invalid JSON"},
		{"trailing comma", `{"event":"pusher:ping",}`, "Invalid JSON"},
		{"control character", "{\"event\":\"pusher:\x01ping\"}", "Invalid JSON"},
		{"half an escape", `{"event":"\`, "Invalid JSON"},
		{"malformed array", `[1,]`, "Invalid JSON"},
		{"invalid UTF-8", "{\"event\":\"pusher:ping\",\"data\":\"\xff\"}", "Invalid JSON: not UTF-8"},
		{"surrogate as UTF-8", "{\"event\":\"pusher:ping\",\"data\":\"\xed\xa0\x80\"}", "Invalid JSON: not UTF-8"},
		{"deep nesting", deep, "Invalid JSON: nested too deeply"},
		{"deep nesting in data", `{"event":"pusher:subscribe","data":` + deep, "Invalid JSON: nested too deeply"},
		{"array", `[]`, "Invalid JSON: an event is an object"},
		{"string", `"pusher:ping"`, "Invalid JSON: an event is an object"},
		{"null", `null`, "Invalid JSON: an event is an object"},
		{"no event", `{}`, "Missing event in message"},
		{"event is null", `{"event":null}`, "Missing event in message"},
		{"event is a number", `{"event":5}`, "Invalid event in message: it must be a string"},
		{"event is empty", `{"event":""}`, "Unsupported event received on socket: ''"},
		{"unknown event", `{"event":"pusher:nonsense"}`, "Unsupported event received on socket: 'pusher:nonsense'"},
		{"server's event", `{"event":"pusher_internal:member_added","data":"{}"}`, "Unsupported event received on socket: 'pusher_internal:member_added'"},
		{"upper case", `{"event":"Client-a","channel":"private-a"}`, "Unsupported event received on socket: 'Client-a'"},
		{"subscribe alone", `{"event":"pusher:subscribe"}`, "Missing data in pusher:subscribe"},
		{"data is null", `{"event":"pusher:subscribe","data":null}`, "Missing data in pusher:subscribe"},
		{"data is a number", `{"event":"pusher:subscribe","data":5}`, "Invalid data in pusher:subscribe: it must be an object"},
		{"data is an array", `{"event":"pusher:subscribe","data":["a"]}`, "Invalid data in pusher:subscribe: it must be an object"},
		{"data is a string of text", `{"event":"pusher:subscribe","data":"room"}`, "Invalid data in pusher:subscribe: it must be an object"},
		{"data is a string of more", `{"event":"pusher:subscribe","data":"{\"channel\":\"a\"} 1"}`, "Invalid data in pusher:subscribe: it must be an object"},
		{"data is a string of deep nesting", `{"event":"pusher:subscribe","data":"` + deep + `"}`, "Invalid data in pusher:subscribe: it must be an object"},
		{"data is an empty string", `{"event":"pusher:subscribe","data":""}`, "Invalid data in pusher:subscribe: it must be an object"},
		{"no channel", `{"event":"pusher:subscribe","data":{}}`, "Missing channel in pusher:subscribe"},
		{"channel is null", `{"event":"pusher:subscribe","data":{"channel":null}}`, "Missing channel in pusher:subscribe"},
		{"channel is a number", `{"event":"pusher:subscribe","data":{"channel":5}}`, "Invalid channel in pusher:subscribe: it must be a string"},
		{"auth is a number", `{"event":"pusher:subscribe","data":{"channel":"a","auth":5}}`, "Invalid auth in pusher:subscribe: it must be a string"},
		{"channel_data is an object", `{"event":"pusher:subscribe","data":{"channel":"a","channel_data":{}}}`, "Invalid channel_data in pusher:subscribe: it must be a string"},
		{"unsubscribe alone", `{"event":"pusher:unsubscribe"}`, "Missing data in pusher:unsubscribe"},
		{"unsubscribe, channel is true", `{"event":"pusher:unsubscribe","data":{"channel":true}}`, "Invalid channel in pusher:unsubscribe: it must be a string"},
		{"signin without auth", `{"event":"pusher:signin","data":{"user_data":"{}"}}`, "Missing auth in pusher:signin"},
		{"signin without user_data", `{"event":"pusher:signin","data":{"auth":"k:s"}}`, "Missing user_data in pusher:signin"},
		{"signin, user_data is an object", `{"event":"pusher:signin","data":{"auth":"k:s","user_data":{}}}`, "Invalid user_data in pusher:signin: it must be a string"},
		{"client event without a channel", `{"event":"client-a","data":{}}`, "Missing channel in client-a"},
		{"client event, channel is a number", `{"event":"client-a","channel":5}`, "Invalid channel in client-a: it must be a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.frame))
			var f Fault
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a Fault", err)
			}
			if f.Code != NoCode || f.Message != tt.want {
				t.Errorf("got %d %q, want null %q", f.Code, f.Message, tt.want)
			}
		})
	}
}

// TestDecodeUnknown needs the event of what is refused, for those who count.
func TestDecodeUnknown(t *testing.T) {
	cmd, err := Decode([]byte(`{"event":"my-event"}`))
	if err == nil || cmd.Type != Unknown || string(cmd.Event) != "my-event" {
		t.Errorf("got type %d, event %q, error %v, want Unknown, my-event and an error", cmd.Type, cmd.Event, err)
	}
}

const presenceSubscribe = `{"event":"pusher:subscribe","data":{"auth":"278d425bdf160c739803:afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c","channel_data":"{\"user_id\":10,\"user_info\":{\"name\":\"Mr. Pusher\"}}","channel":"presence-foobar"}}`

func TestDecodeAllocates(t *testing.T) {
	tests := []struct {
		name, frame string
	}{
		{"public", `{"event":"pusher:subscribe","data":{"auth":"","channel":"my-channel"}}`},
		{"presence", presenceSubscribe},
		{"in a string", `{"event":"pusher:subscribe","data":"{\"channel\":\"my-channel\"}"}`},
		{"unsubscribe", `{"event":"pusher:unsubscribe","data":{"channel":"my-channel"}}`},
		{"ping", `{"event":"pusher:ping","data":{}}`},
		{"client event", `{"event":"client-a-name-of-more-than-thirty-two-characters","channel":"private-a","data":{"a":[1,2]}}`},
		{"signin", `{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{\"id\":\"1\"}"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			buf := make([]byte, len(tt.frame))
			allocs := testing.AllocsPerRun(100, func() {
				copy(buf, tt.frame)
				if _, err := Decode(buf); err != nil {
					t.Fatal(err)
				}
			})
			if allocs != 0 {
				t.Errorf("%s: got %v allocations, want 0", tt.frame, allocs)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		presenceSubscribe, `{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}`, `{"event":"pusher:subscribe"}`,
		`{"event":"client-a","channel":"private-a","data":{"a":1}}`, `{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{}"}}`,
		`{"\u0065vent":"\ud83d\n"}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		again := bytes.Clone(frame)
		cmd, err := Decode(frame)
		if f := (Fault{}); err != nil && !errors.As(err, &f) {
			t.Fatalf("%q: got %T, want a Fault", again, err)
		}
		if _, err2 := Decode(bytes.Clone(again)); (err == nil) != (err2 == nil) {
			t.Fatalf("%q: first %v, then %v", again, err, err2)
		}
		if err == nil && cmd.Type == Unknown {
			t.Fatalf("%q: an unknown command and no error", again)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Fatalf("%q: message of %d bytes", again, len(err.Error()))
		}
		if cmd.Type == ClientEvent && err == nil && cmd.Data != nil {
			frame := EventFrame(string(cmd.Event), string(cmd.Channel), cmd.Data, "")
			if _, err := ParseEvent(PayloadOf(frame)); err != nil {
				t.Fatalf("%q: relayed as %q: %v", again, frame, err)
			}
		}
	})
}

func BenchmarkDecodeSubscribe(b *testing.B) {
	buf := make([]byte, len(presenceSubscribe))
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, presenceSubscribe)
		if _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
