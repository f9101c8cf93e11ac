package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var hostedLimits = Limits{EventBytes: 10240, Channels: 100, Batch: 10}

func TestDecodeTrigger(t *testing.T) {
	kib10 := strings.Repeat("a", 10240)
	tests := []struct {
		name, body string
		want       Trigger
	}{
		{"channels", vectorBody, Trigger{Name: "foo", Channels: []string{"project-3"}, Data: []byte(`"{\"some\":\"data\"}"`)}},
		{"channel", `{"name":"foo","channel":"project-3","data":"x"}`, Trigger{Name: "foo", Channels: []string{"project-3"}, Data: []byte(`"x"`)}},
		{"everything", `{"channels":["a","presence-b"],"data":"x","info":"user_count,subscription_count","name":"foo","socket_id":"1.2"}`,
			Trigger{Name: "foo", Channels: []string{"a", "presence-b"}, Data: []byte(`"x"`), SocketID: "1.2", Info: UserCount | SubscriptionCount}},
		{"nulls", `{"name":"foo","channel":null,"channels":["a"],"data":"x","socket_id":null,"info":null}`,
			Trigger{Name: "foo", Channels: []string{"a"}, Data: []byte(`"x"`)}},
		{"unknown fields", `{"name":"foo","channel":"a","data":"x","more":{"a":[1]}}`, Trigger{Name: "foo", Channels: []string{"a"}, Data: []byte(`"x"`)}},
		{"each channel once", `{"name":"foo","channels":["a","b","a"],"data":"x"}`, Trigger{Name: "foo", Channels: []string{"a", "b"}, Data: []byte(`"x"`)}},
		{"data byte for byte", `{"name":"foo","channel":"a","data":"\u00e9\/\ud800 <é>"}`, Trigger{Name: "foo", Channels: []string{"a"}, Data: []byte(`"\u00e9\/\ud800 <é>"`)}},
		{"empty data", `{"name":"foo","channel":"a","data":""}`, Trigger{Name: "foo", Channels: []string{"a"}, Data: []byte(`""`)}},
		{"data is an object", `{"name":"foo","channel":"a","data":{"a": "\n"}}`, Trigger{Name: "foo", Channels: []string{"a"}, Data: []byte(`"{\"a\": \"\\n\"}"`)}},
		{"data is a number", `{"name":"foo","channel":"a","data":1.50}`, Trigger{Name: "foo", Channels: []string{"a"}, Data: []byte(`"1.50"`)}},
		{"data of the limit", `{"name":"foo","channel":"a","data":"` + kib10 + `"}`, Trigger{Name: "foo", Channels: []string{"a"}, Data: []byte(`"` + kib10 + `"`)}},
		{"data of the limit, escaped", `{"name":"foo","channel":"a","data":"` + strings.Repeat(`\u0061`, 10240) + `"}`,
			Trigger{Name: "foo", Channels: []string{"a"}, Data: []byte(`"` + strings.Repeat(`\u0061`, 10240) + `"`)}},
		{"event name of Laravel", `{"name":"App\\Events\\Shipped","channel":"a","data":"x"}`, Trigger{Name: `App\Events\Shipped`, Channels: []string{"a"}, Data: []byte(`"x"`)}},
		{"longest event name", `{"name":"` + strings.Repeat("é", 200) + `","channel":"a","data":"x"}`, Trigger{Name: strings.Repeat("é", 200), Channels: []string{"a"}, Data: []byte(`"x"`)}},
		{"event name like a reserved one", `{"name":"pusherX","channel":"a","data":"x"}`, Trigger{Name: "pusherX", Channels: []string{"a"}, Data: []byte(`"x"`)}},
		{"user", `{"name":"foo","channels":["#server-to-user-a b/1"],"data":"x"}`, Trigger{Name: "foo", Channels: []string{"#server-to-user-a b/1"}, Data: []byte(`"x"`)}},
		{"encrypted alone", `{"name":"foo","channels":["private-encrypted-a"],"data":"x"}`, Trigger{Name: "foo", Channels: []string{"private-encrypted-a"}, Data: []byte(`"x"`)}},
		{"encrypted alone, twice", `{"name":"foo","channels":["private-encrypted-a","private-encrypted-a"],"data":"x"}`, Trigger{Name: "foo", Channels: []string{"private-encrypted-a"}, Data: []byte(`"x"`)}},
		{"100 channels", `{"name":"foo","data":"x","channels":` + channelList(100) + `}`, Trigger{Name: "foo", Channels: channelNames(100), Data: []byte(`"x"`)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := []byte(tt.body)
			got, err := DecodeTrigger(body, hostedLimits)
			if err != nil {
				t.Fatal(err)
			}
			compareTriggers(t, got, tt.want)
			if string(body) != tt.body {
				t.Errorf("body was overwritten with %s", body)
			}
		})
	}
}

func channelNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("channel-", i))
	}
	return names
}

func channelList(n int) string {
	list, _ := json.Marshal(channelNames(n))
	return string(list)
}

func compareTriggers(t *testing.T, got, want Trigger) {
	t.Helper()
	if got.Name != want.Name || !slices.Equal(got.Channels, want.Channels) || !bytes.Equal(got.Data, want.Data) ||
		got.SocketID != want.SocketID || got.Info != want.Info {
		t.Errorf("got  %+v (data %s)\nwant %+v (data %s)", got, got.Data, want, want.Data)
	}
}

func TestDecodeTriggerRefuses(t *testing.T) {
	const tooLarge = "The data content of this event exceeds the allowed maximum (10240 bytes). See https://pusher.com/docs/channels/server_api/http-api#publishing-events for more info"
	kib10 := strings.Repeat("a", 10240)
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"nothing", ``, 400, "The body is invalid JSON: malformed"},
		{"malformed", `{"name":"a","channels":["room"],"data":"x"`, 400, "The body is invalid JSON: malformed"},
		{"no JSON", `name=a&channels=room`, 400, "The body is invalid JSON: malformed"},
		{"something behind it", vectorBody + vectorBody, 400, "The body is invalid JSON: malformed"},
		{"invalid UTF-8 in data", "{\"name\":\"a\",\"channel\":\"a\",\"data\":\"\xff\"}", 400, "The body is invalid JSON: not UTF-8"},
		{"invalid UTF-8 in the name", "{\"name\":\"\xff\",\"channel\":\"a\",\"data\":\"x\"}", 400, "The body is invalid JSON: not UTF-8"},
		{"deep nesting", strings.Repeat("[", 100_000), 400, "The body is invalid JSON: nested too deeply"},
		{"deep nesting in a field", `{"name":"a","more":` + strings.Repeat("[", 100_000), 400, "The body is invalid JSON: nested too deeply"},
		{"array", `[` + vectorBody + `]`, 400, "The body must hold a JSON object"},
		{"null", `null`, 400, "The body must hold a JSON object"},
		{"no name", `{"channel":"a","data":"x"}`, 400, "Missing parameter: name"},
		{"empty name", `{"name":"","channel":"a","data":"x"}`, 400, "Missing parameter: name"},
		{"name is a number", `{"name":5,"channel":"a","data":"x"}`, 400, "name must be a string"},
		{"name too long", `{"name":"` + strings.Repeat("n", 201) + `","channel":"a","data":"x"}`, 400, "The event name exceeds the allowed maximum (200 characters)"},
		{"reserved pusher:", `{"name":"pusher:error","channel":"a","data":"x"}`, 400, `The event name "pusher:error" is reserved: only Pusher can publish events with that prefix`},
		{"reserved pusher_internal:", `{"name":"pusher_internal:x","channel":"a","data":"x"}`, 400, `The event name "pusher_internal:x" is reserved: only Pusher can publish events with that prefix`},
		{"reserved, with an escape", `{"name":"pusher\u003ax","channel":"a","data":"x"}`, 400, `The event name "pusher:x" is reserved: only Pusher can publish events with that prefix`},
		{"no data", `{"name":"a","channel":"a"}`, 400, "Missing parameter: data"},
		{"data is null", `{"name":"a","channel":"a","data":null}`, 400, "Missing parameter: data"},
		{"no channel", `{"name":"a","data":"x"}`, 400, "Missing parameter: channels"},
		{"no channels", `{"name":"a","channels":[],"data":"x"}`, 400, "channels must name at least one channel"},
		{"channels is a string", `{"name":"a","channels":"room","data":"x"}`, 400, "channels must be an array of strings"},
		{"channels holds a number", `{"name":"a","channels":["room",5],"data":"x"}`, 400, "channels must be an array of strings"},
		{"channel is a number", `{"name":"a","channel":5,"data":"x"}`, 400, "channel must be a string"},
		{"101 channels", `{"name":"a","data":"x","channels":` + channelList(101) + `}`, 400, "The number of channels exceeds the allowed maximum (100)"},
		{"invalid channel", `{"name":"a","channels":["room","a b"],"data":"x"}`, 400, "Invalid channel name: a b"},
		{"empty channel", `{"name":"a","channels":["room",""],"data":"x"}`, 400, "Invalid channel name: "},
		{"invalid single channel", `{"name":"a","channel":"a:b","data":"x"}`, 400, "Invalid channel name: a:b"},
		{"reserved channel", `{"name":"a","channels":["#room"],"data":"x"}`, 400, "Invalid channel name: #room"},
		{"encrypted among others", `{"name":"a","channels":["room","private-encrypted-a"],"data":"x"}`, 400, "An event for an encrypted channel cannot be published to other channels as well"},
		{"socket_id is none", `{"name":"a","channel":"a","data":"x","socket_id":"123"}`, 400, `Invalid socket_id: "123"`},
		{"socket_id is empty", `{"name":"a","channel":"a","data":"x","socket_id":""}`, 400, `Invalid socket_id: ""`},
		{"socket_id with more", `{"name":"a","channel":"a","data":"x","socket_id":"1.2\n"}`, 400, `Invalid socket_id: "1.2\n"`},
		{"socket_id is a number", `{"name":"a","channel":"a","data":"x","socket_id":1.2}`, 400, "socket_id must be a string"},
		{"unknown attribute", `{"name":"a","channel":"a","data":"x","info":"does-not-exist"}`, 400, "info should be a comma separated list of attributes"},
		{"info is an array", `{"name":"a","channel":"a","data":"x","info":["user_count"]}`, 400, "info must be a string"},
		{"data too large", `{"name":"a","channel":"a","data":"` + kib10 + `a"}`, 413, tooLarge},
		{"data too large by bytes", `{"name":"a","channel":"a","data":"` + strings.Repeat("é", 5120) + `a"}`, 413, tooLarge},
		{"data too large, escaped", `{"name":"a","channel":"a","data":"` + strings.Repeat(`\n`, 10241) + `"}`, 413, tooLarge},
		{"object too large", `{"name":"a","channel":"a","data":["` + kib10 + `"]}`, 413, tooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeTrigger([]byte(tt.body), hostedLimits)
			if want := (RequestError{tt.status, tt.want}); err != want {
				t.Errorf("got %+v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestDecodeBatch(t *testing.T) {
	tests := []struct {
		name, body string
		want       []Trigger
	}{
		{"two", `{"batch":[{"name":"a","channel":"x","data":"1"},{"channel":"presence-y","name":"b","data":{},"socket_id":"1.2","info":"user_count"}]}`,
			[]Trigger{
				{Name: "a", Channels: []string{"x"}, Data: []byte(`"1"`)},
				{Name: "b", Channels: []string{"presence-y"}, Data: []byte(`"{}"`), SocketID: "1.2", Info: UserCount},
			}},
		{"ten", `{"more":1,"batch": [ ` + strings.Repeat(`{"name":"a","channel":"x","data":"1"} , `, 9) + `{"name":"a","channel":"x","data":"1"} ] }`,
			slices.Repeat([]Trigger{{Name: "a", Channels: []string{"x"}, Data: []byte(`"1"`)}}, 10)},
		{"none", `{"batch":[]}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			batch, err := DecodeBatch([]byte(tt.body), hostedLimits)
			got := batch.Events
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("got %d events, %v, want %d", len(got), err, len(tt.want))
			}
			for i := range got {
				compareTriggers(t, got[i], tt.want[i])
			}
		})
	}
}

func TestDecodeBatchRefuses(t *testing.T) {
	const good = `{"name":"a","channel":"x","data":"1"}`
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"malformed", `{"batch":[`, 400, "The body is invalid JSON: malformed"},
		{"invalid UTF-8", "{\"batch\":[{\"name\":\"\xff\"}]}", 400, "The body is invalid JSON: not UTF-8"},
		{"array", `[` + good + `]`, 400, "The body must hold a JSON object"},
		{"no batch", `{}`, 400, "batch must be an array of events"},
		{"batch is null", `{"batch":null}`, 400, "batch must be an array of events"},
		{"batch is an object", `{"batch":{}}`, 400, "batch must be an array of events"},
		{"batch holds a string", `{"batch":["x"]}`, 400, "Event 0 of the batch: The body must hold a JSON object"},
		{"11 events", `{"batch":[` + strings.Repeat(good+",", 10) + good + `]}`, 400, "The batch exceeds the allowed maximum (10 events)"},
		{"no channel", `{"batch":[` + good + `,{"name":"a","data":"x"}]}`, 400, "Event 1 of the batch: Missing parameter: channel"},
		{"channels", `{"batch":[{"name":"a","data":"x","channels":["x"]}]}`, 400, "Event 0 of the batch: Missing parameter: channel"},
		{"reserved name", `{"batch":[{"name":"pusher:a","data":"x","channel":"x"}]}`, 400, `Event 0 of the batch: The event name "pusher:a" is reserved: only Pusher can publish events with that prefix`},
		{"data too large", `{"batch":[{"name":"a","data":"` + strings.Repeat("a", 10241) + `","channel":"x"}]}`, 413,
			"The data content of this event exceeds the allowed maximum (10240 bytes). See https://pusher.com/docs/channels/server_api/http-api#publishing-events for more info"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			batch, err := DecodeBatch([]byte(tt.body), hostedLimits)
			got := batch.Events
			if want := (RequestError{tt.status, tt.want}); err != want {
				t.Errorf("got %d events, %v, want %v", len(got), err, want)
			}
		})
	}
}

func TestNoLimits(t *testing.T) {
	body := `{"name":"a","data":"` + strings.Repeat("a", 20_000) + `","channels":` + channelList(101) + `}`
	if got, err := DecodeTrigger([]byte(body), Limits{}); err != nil || len(got.Channels) != 101 {
		t.Errorf("got %d channels, %v, want 101", len(got.Channels), err)
	}
}

func TestParseInfo(t *testing.T) {
	tests := []struct {
		list string
		want Info
		ok   bool
	}{
		{"", 0, true},
		{"user_count", UserCount, true},
		{"subscription_count,user_count", UserCount | SubscriptionCount, true},
		{"user_count, cache", UserCount | CacheInfo, true},
		{"user_count,user_count", UserCount, true},
		{"does-not-exist", 0, false},
		{"user_count,", 0, false},
		{"User_Count", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.list, func(t *testing.T) {
			got, err := ParseInfo(tt.list)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("ParseInfo(%q): got %d, %v, want %d, ok %t", tt.list, got, err, tt.want, tt.ok)
			}
			if want := (RequestError{400, "info should be a comma separated list of attributes"}); err != nil && err != want {
				t.Errorf("ParseInfo(%q): got %v, want %v", tt.list, err, want)
			}
		})
	}
}

// TestTriggerAllocates holds the way of an event through this package to what
// has to be kept: the name, the channel, their list, the frame.
func TestTriggerAllocates(t *testing.T) {
	body := []byte(vectorBody)
	allocs := testing.AllocsPerRun(100, func() {
		trigger, err := DecodeTrigger(body, hostedLimits)
		if err != nil {
			t.Fatal(err)
		}
		EventFrame(trigger.Name, trigger.Channels[0], trigger.Data, "")
	})
	if allocs > 4 {
		t.Errorf("got %v allocations, want at most 4", allocs)
	}
}

func fuzzTriggers(f *testing.F) {
	for _, seed := range []string{
		vectorBody, `{"name":"a","channel":"b","data":{"c":"\ud83d"},"info":"user_count","socket_id":"1.2"}`, `[]`, ``,
		`{"batch":[{"name":"a","channel":"b","data":""},{"name":"\n","channel":"b","data":1}]}`, `{"batch":[1,2]}`,
	} {
		f.Add([]byte(seed))
	}
}

// checkTrigger requires an event that can be sent, and that its data is what
// encoding/json reads in the body.
func checkTrigger(t *testing.T, trigger Trigger, data any) {
	t.Helper()
	if len(trigger.Channels) == 0 || trigger.Name == "" {
		t.Fatalf("got %+v", trigger)
	}
	for _, name := range trigger.Channels {
		e, err := ParseEvent(PayloadOf(EventFrame(trigger.Name, name, trigger.Data, "")))
		if err != nil || e.Event != trigger.Name || e.Channel != name || !bytes.Equal(e.Data, trigger.Data) {
			t.Fatalf("%+v encoded: %+v, %v", trigger, e, err)
		}
	}
	text, err := Unquote(trigger.Data)
	if err != nil {
		t.Fatalf("data %q: %v", trigger.Data, err)
	}
	if want, ok := data.(string); ok && want != string(text) {
		t.Fatalf("data %q: got %q, want %q", trigger.Data, text, want)
	}
}

func checkRequestError(t *testing.T, body []byte, err error) {
	t.Helper()
	re := RequestError{}
	if !errors.As(err, &re) || re.Status != 400 && re.Status != 413 || re.Text == "" || len(re.Text) > 5000 {
		t.Fatalf("%q: got %v", body, err)
	}
}

func FuzzDecodeTrigger(f *testing.F) {
	fuzzTriggers(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		trigger, err := DecodeTrigger(body, hostedLimits)
		if err != nil {
			checkRequestError(t, body, err)
			return
		}
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatalf("%q was accepted: %v", body, err)
		}
		checkTrigger(t, trigger, m["data"])
	})
}

func FuzzDecodeBatch(f *testing.F) {
	fuzzTriggers(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := DecodeBatch(body, hostedLimits)
		triggers := batch.Events
		if err != nil {
			checkRequestError(t, body, err)
			return
		}
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatalf("%q was accepted: %v", body, err)
		}
		members := m["batch"].([]any)
		if len(members) != len(triggers) {
			t.Fatalf("%q: got %d events, want %d", body, len(triggers), len(members))
		}
		for i, trigger := range triggers {
			checkTrigger(t, trigger, members[i].(map[string]any)["data"])
		}
	})
}

func BenchmarkDecodeTrigger(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprint(size, " bytes"), func(b *testing.B) {
			body := []byte(`{"channels":["my-channel"],"data":"{\"message\":\"` + strings.Repeat("a", size) + `\"}","name":"my-event"}`)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeTrigger(body, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
