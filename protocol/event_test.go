package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestFrames(t *testing.T) {
	room := []Member{{ID: "10", Info: []byte(`{"name":"A"}`)}, {ID: "11", Info: []byte(`{"name":"B"}`)}}
	tests := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"event", EventFrame("my-event", "my-channel", []byte(`"{\"message\":\"hello world\"}"`), ""),
			`{"event":"my-event","channel":"my-channel","data":"{\"message\":\"hello world\"}"}`},
		{"data byte for byte", EventFrame("e", "c", []byte(`"\u00e9\/\ud800 <é>"`), ""),
			`{"event":"e","channel":"c","data":"\u00e9\/\ud800 <é>"}`},
		{"client event", EventFrame("client-typing", "presence-room", []byte(`{"who":"A"}`), "10"),
			`{"event":"client-typing","channel":"presence-room","data":{"who":"A"},"user_id":"10"}`},
		{"event without data", EventFrame("e", "c", nil, ""), `{"event":"e","channel":"c","data":"{}"}`},
		{"names with escapes", EventFrame(`App\Events\"x"`, "#server-to-user-Zoë\"", []byte(`""`), "a\nb"),
			`{"event":"App\\Events\\\"x\"","channel":"#server-to-user-Zoë\"","data":"","user_id":"a\nb"}`},
		{"error", ErrorFrame(UnknownAppKey("23919cee3b1111731271")),
			`{"event":"pusher:error","data":{"code":4001,"message":"App key 23919cee3b1111731271 not in this cluster. Did you forget to specify the cluster?"}}`},
		{"error of one command", ErrorFrame(UnsupportedEvent("\"\xff")),
			`{"event":"pusher:error","data":{"code":null,"message":"Unsupported event received on socket: '\"` + "\uFFFD" + `'"}}`},
		{"established", EstablishedFrame("9248.3770520", 120),
			`{"event":"pusher:connection_established","data":"{\"socket_id\":\"9248.3770520\",\"activity_timeout\":120}"}`},
		{"pong", PongFrame(), `{"event":"pusher:pong","data":"{}"}`},
		{"succeeded", SucceededFrame("my-channel", nil),
			`{"event":"pusher_internal:subscription_succeeded","channel":"my-channel","data":"{}"}`},
		{"succeeded with members", SucceededFrame("presence-room", AppendRoster(nil, room)),
			`{"event":"pusher_internal:subscription_succeeded","channel":"presence-room","data":"{\"presence\":{\"count\":2,\"ids\":[\"10\",\"11\"],\"hash\":{\"10\":{\"name\":\"A\"},\"11\":{\"name\":\"B\"}}}}"}`},
		{"cache miss", CacheMissFrame("cache-x"), `{"event":"pusher:cache_miss","channel":"cache-x","data":"{}"}`},
		{"member added", MemberAddedFrame("presence-room", "11", []byte(`{"name":"B"}`)),
			`{"event":"pusher_internal:member_added","channel":"presence-room","data":"{\"user_id\":\"11\",\"user_info\":{\"name\":\"B\"}}"}`},
		{"member added without info", MemberAddedFrame("presence-room", "11", nil),
			`{"event":"pusher_internal:member_added","channel":"presence-room","data":"{\"user_id\":\"11\"}"}`},
		{"member removed", MemberRemovedFrame("presence-room", "11"),
			`{"event":"pusher_internal:member_removed","channel":"presence-room","data":"{\"user_id\":\"11\"}"}`},
		{"subscription error", SubscriptionErrorFrame("private-x", AuthRequired("private-x")),
			`{"event":"pusher_internal:subscription_error","channel":"private-x","data":"{\"type\":\"AuthError\",\"error\":\"Auth info required to subscribe to private-x\",\"status\":401}"}`},
		{"subscription error over a limit", SubscriptionErrorFrame("presence-x", PresenceFull("presence-x", 2)),
			`{"event":"pusher_internal:subscription_error","channel":"presence-x","data":"{\"type\":\"LimitReached\",\"error\":\"Presence channel presence-x has reached its maximum number of members (2)\",\"status\":4100}"}`},
		{"subscription error of a request", SubscriptionErrorFrame(`a"b`, InvalidChannelName(`a"b`)),
			`{"event":"pusher_internal:subscription_error","channel":"a\"b","data":"{\"type\":\"RequestError\",\"error\":\"Invalid channel name: a\\\"b\",\"status\":400}"}`},
		{"subscription count", SubscriptionCountFrame("my-channel", 3),
			`{"event":"pusher_internal:subscription_count","channel":"my-channel","data":"{\"subscription_count\":3}"}`},
		{"signin success", SigninSuccessFrame([]byte(`{"id":"12345"}`)),
			`{"event":"pusher:signin_success","data":"{\"user_data\":\"{\\\"id\\\":\\\"12345\\\"}\"}"}`},
		{"watchlist", WatchlistFrame([]WatchlistEvent{{"online", []string{"u2"}}, {"offline", []string{"u3", "u4"}}}),
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"u2\"]},{\"name\":\"offline\",\"user_ids\":[\"u3\",\"u4\"]}]}"}`},
		{"empty watchlist", WatchlistFrame([]WatchlistEvent{{"online", nil}}),
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[]}]}"}`},
		{"nothing to watch", WatchlistFrame(nil),
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[]}"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload := PayloadOf(tt.frame)
			if string(payload) != tt.want {
				t.Errorf("got  %s\nwant %s", payload, tt.want)
			}
			if !json.Valid(payload) {
				t.Error("payload is no JSON")
			}
			if len(tt.frame) != cap(tt.frame) {
				t.Errorf("frame has %d bytes in %d: its size was not known", len(tt.frame), cap(tt.frame))
			}
		})
	}
}

// TestFrameSizes passes every form of the length.
func TestFrameSizes(t *testing.T) {
	for size := range 300 {
		data := quoteText(strings.Repeat("é", size))
		if e, err := ParseEvent(PayloadOf(EventFrame("e", "c", data, ""))); err != nil || !bytes.Equal(e.Data, data) {
			t.Fatalf("data of %d bytes: got %d, %v", len(data), len(e.Data), err)
		}
	}
	data := quoteText(strings.Repeat("a", 65536))
	if e, err := ParseEvent(PayloadOf(EventFrame("e", "c", data, ""))); err != nil || !bytes.Equal(e.Data, data) {
		t.Fatalf("data of %d bytes: got %d, %v", len(data), len(e.Data), err)
	}
}

func quoteText(text string) []byte { return appendQuoted(nil, text) }

func TestFramesAllocateOnce(t *testing.T) {
	data, info := []byte(`"{\"message\":\"hello\"}"`), []byte(`{"name":"A"}`)
	roster := AppendRoster(nil, []Member{{ID: "1", Info: info}})
	fault := AuthRequired("private-a")
	tests := []struct {
		name   string
		encode func() []byte
		want   float64
	}{
		{"event", func() []byte { return EventFrame("my-event", "my-channel", data, "") }, 1},
		{"client event", func() []byte { return EventFrame("client-a", "presence-a", data, "10") }, 1},
		{"error", func() []byte { return ErrorFrame(fault) }, 1},
		{"established", func() []byte { return EstablishedFrame("1.1", 120) }, 1},
		{"pong", PongFrame, 0},
		{"ping", PingFrame, 0},
		{"succeeded", func() []byte { return SucceededFrame("a", nil) }, 1},
		{"succeeded with members", func() []byte { return SucceededFrame("presence-a", roster) }, 1},
		{"cache miss", func() []byte { return CacheMissFrame("cache-a") }, 1},
		{"member added", func() []byte { return MemberAddedFrame("presence-a", "1", info) }, 1},
		{"member removed", func() []byte { return MemberRemovedFrame("presence-a", "1") }, 1},
		{"subscription error", func() []byte { return SubscriptionErrorFrame("private-a", fault) }, 1},
		{"subscription count", func() []byte { return SubscriptionCountFrame("a", 3) }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, func() { tt.encode() }); got != tt.want {
				t.Errorf("got %v allocations, want %v", got, tt.want)
			}
		})
	}
}

func TestQuoteData(t *testing.T) {
	tests := []struct {
		name, raw, want string
	}{
		{"string", `"a\u00e9\/"`, `"a\u00e9\/"`},
		{"object", `{"who":"A\n"}`, `"{\"who\":\"A\\n\"}"`},
		{"array", `[1,2.50]`, `"[1,2.50]"`},
		{"number", `5`, `"5"`},
		{"true", `true`, `"true"`},
		{"white space inside", "{ \"a\":\t1 }", `"{ \"a\":\t1 }"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := QuoteData([]byte(tt.raw))
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			var text string
			if err := json.Unmarshal(got, &text); err != nil || tt.raw[0] != '"' && text != tt.raw {
				t.Errorf("%s holds %q, %v, want %q", got, text, err, tt.raw)
			}
		})
	}
}

func TestDataLen(t *testing.T) {
	tests := []struct {
		raw  string
		want int
	}{
		{`""`, 0},
		{`"abc"`, 3},
		{`"é"`, 2},
		{`"\u00e9\n"`, 3},
		{`"\ud83d\ude00"`, 4},
		{`"\ud83d"`, 3},
		{`{"a":"\n"}`, 10},
		{`12`, 2},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			if got := DataLen([]byte(tt.raw)); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestParseEvent(t *testing.T) {
	tests := []struct {
		name, payload string
		want          Event
	}{
		{"event", `{"event":"e","channel":"c","data":"x"}`, Event{Event: "e", Channel: "c", Data: []byte(`"x"`)}},
		{"object", `{"event":"e","data":{"a":1}}`, Event{Event: "e", Data: []byte(`{"a":1}`)}},
		{"no data", `{"event":"e"}`, Event{Event: "e"}},
		{"client event", `{"event":"client-a","channel":"c","data":"","user_id":"10"}`,
			Event{Event: "client-a", Channel: "c", Data: []byte(`""`), UserID: "10"}},
		{"escapes", `{"\u0065vent":"\u0061\"","data":"\n"}`, Event{Event: `a"`, Data: []byte(`"\n"`)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload := []byte(tt.payload)
			got, err := ParseEvent(payload)
			if err != nil {
				t.Fatal(err)
			}
			if got.Event != tt.want.Event || got.Channel != tt.want.Channel || got.UserID != tt.want.UserID || !bytes.Equal(got.Data, tt.want.Data) {
				t.Errorf("got %+v (data %s), want %+v", got, got.Data, tt.want)
			}
			if string(payload) != tt.payload {
				t.Errorf("payload was overwritten with %s", payload)
			}
		})
	}
}

func TestParseEventFaults(t *testing.T) {
	tests := []struct {
		name, payload, want string
	}{
		{"nothing", ``, "Invalid JSON"},
		{"array", `[]`, "Invalid JSON: an event is an object"},
		{"no UTF-8", "{\"event\":\"\xff\"}", "Invalid JSON: not UTF-8"},
		{"no event", `{"data":"x"}`, "Missing event in message"},
		{"event is a number", `{"event":1}`, "Invalid event in event: it must be a string"},
		{"channel is a number", `{"event":"e","channel":1}`, "Invalid channel in event: it must be a string"},
		{"user_id is a number", `{"event":"e","user_id":1}`, "Invalid user_id in event: it must be a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f Fault
			if _, err := ParseEvent([]byte(tt.payload)); !errors.As(err, &f) || f.Message != tt.want {
				t.Errorf("got %v, want Fault %q", err, tt.want)
			}
		})
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"event":"e","channel":"c","data":{"a":"\ud83d"},"user_id":"1"}`))
	f.Add([]byte(`{"\u0065vent":"\n"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		e, err := ParseEvent(payload)
		if !bytes.Equal(before, payload) {
			t.Fatalf("%q was overwritten with %q", before, payload)
		}
		if err != nil {
			return
		}
		again, err := ParseEvent(PayloadOf(EventFrame(e.Event, e.Channel, e.Data, e.UserID)))
		if err != nil {
			t.Fatalf("%q encoded again: %v", payload, err)
		}
		if again.Event != e.Event || again.Channel != e.Channel || again.UserID != e.UserID || e.Data != nil && !bytes.Equal(again.Data, e.Data) {
			t.Fatalf("%q: got %+v, want %+v", payload, again, e)
		}
	})
}

// FuzzFrames requires every frame to be JSON, whatever clients and applications
// say.
func FuzzFrames(f *testing.F) {
	f.Add("my-event", "my-channel", "text", 5)
	f.Add("\"\\\x00", "\xff", strings.Repeat("é\n", 100), -1)
	f.Fuzz(func(t *testing.T, event, channel, text string, n int) {
		info := []byte(`{"name":` + string(quoteText(text)) + `}`)
		members := []Member{{ID: event, Info: info}, {ID: "other " + event}}
		fault := Fault{Code: Code(n), Message: text}
		for name, frame := range map[string][]byte{
			"event":        EventFrame("my-"+event, channel, quoteText(text), text),
			"object":       EventFrame("my-"+event, channel, info, ""),
			"quoted":       EventFrame("my-"+event, channel, QuoteData(info), ""),
			"error":        ErrorFrame(fault),
			"established":  EstablishedFrame(text, n),
			"succeeded":    SucceededFrame(channel, AppendRoster(nil, members)),
			"miss":         CacheMissFrame(channel),
			"added":        MemberAddedFrame(channel, text, info),
			"removed":      MemberRemovedFrame(channel, text),
			"refused":      SubscriptionErrorFrame(channel, fault),
			"count":        SubscriptionCountFrame(channel, n),
			"signed in":    SigninSuccessFrame([]byte(text)),
			"watchlist":    WatchlistFrame([]WatchlistEvent{{event, []string{channel, text}}}),
			"user channel": EventFrame("my-"+event, serverToUser+text, nil, ""),
		} {
			checkFrame(t, name, frame)
		}
	})
}

func checkFrame(t *testing.T, name string, frame []byte) {
	t.Helper()
	e, err := ParseEvent(PayloadOf(frame))
	if err != nil || !json.Valid(PayloadOf(frame)) {
		t.Fatalf("%s: %q: %v", name, frame, err)
	}
	if len(frame) != cap(frame) {
		t.Fatalf("%s: %d bytes in %d", name, len(frame), cap(frame))
	}
	if !strings.HasPrefix(e.Event, "pusher") || e.Event == "pusher:error" {
		return
	}
	text, err := Unquote(e.Data)
	if err != nil || !json.Valid(text) {
		t.Fatalf("%s: data %q: %v", name, e.Data, err)
	}
}

func BenchmarkEventFrame(b *testing.B) {
	data := quoteText(`{"message":"` + strings.Repeat("hello ", 14) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		EventFrame("my-event", "my-channel", data, "")
	}
}

func BenchmarkQuoteData(b *testing.B) {
	raw := []byte(`{"message":"` + strings.Repeat("hello ", 14) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		QuoteData(raw)
	}
}
