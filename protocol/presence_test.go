package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseChannelData(t *testing.T) {
	tests := []struct {
		name, raw, id, info string
	}{
		{"string", `{"user_id":"10","user_info":{"name":"A"}}`, "10", `{"name":"A"}`},
		{"number", `{"user_id":10,"user_info":{"name":"Mr. Pusher"}}`, "10", `{"name":"Mr. Pusher"}`},
		{"number beyond 2^53", `{"user_id":9007199254740993}`, "9007199254740993", ""},
		{"number as it is written", `{"user_id":1.50e1}`, "1.50e1", ""},
		{"negative number", `{"user_id":-0}`, "-0", ""},
		{"info is null", `{"user_id":"a","user_info":null}`, "a", ""},
		{"info is empty", `{"user_id":"a","user_info":{}}`, "a", "{}"},
		{"info as it is written", `{"user_info": { "a" : 1.0 , "b":"\u00e9" } ,"user_id":"a"}`, "a", `{ "a" : 1.0 , "b":"\u00e9" }`},
		{"escapes", `{"user\u005fid":"a\"\u00e9"}`, `a"é`, ""},
		{"the last of two", `{"user_id":1,"user_id":"2"}`, "2", ""},
		{"unknown fields", `{"user_id":"a","more":[{}]}`, "a", ""},
		{"longest id", `{"user_id":"` + strings.Repeat("é", 128) + `"}`, strings.Repeat("é", 128), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := []byte(tt.raw)
			m, err := ParseChannelData(raw)
			if err != nil {
				t.Fatalf("%s: %v", tt.raw, err)
			}
			if string(raw) != tt.raw {
				t.Errorf("overwritten with %s", raw)
			}
			clear(raw) // the member must not share its bytes
			if m.ID != tt.id || string(m.Info) != tt.info {
				t.Errorf("got %q %s, want %q %s", m.ID, m.Info, tt.id, tt.info)
			}
		})
	}
}

func TestParseChannelDataFaults(t *testing.T) {
	tests := []struct {
		name, raw string
		want      Fault
	}{
		{"nothing", ``, BadChannelData()},
		{"text", `member`, BadChannelData()},
		{"array", `["1"]`, BadChannelData()},
		{"null", `null`, BadChannelData()},
		{"something behind it", `{"user_id":"1"} 1`, BadChannelData()},
		{"no UTF-8", "{\"user_id\":\"\xff\"}", BadChannelData()},
		{"deep nesting", `{"user_id":"1","a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, BadChannelData()},
		{"no user_id", `{}`, BadUserID()},
		{"user_id is empty", `{"user_id":""}`, BadUserID()},
		{"user_id is null", `{"user_id":null}`, BadUserID()},
		{"user_id is an object", `{"user_id":{}}`, BadUserID()},
		{"user_id is true", `{"user_id":true}`, BadUserID()},
		{"user_id too long", `{"user_id":"` + strings.Repeat("a", 129) + `"}`, UserIDTooLong(128)},
		{"number too long", `{"user_id":` + strings.Repeat("1", 129) + `}`, UserIDTooLong(128)},
		{"info is a string", `{"user_id":"1","user_info":"A"}`, BadUserInfo()},
		{"info is an array", `{"user_id":"1","user_info":["A"]}`, BadUserInfo()},
		{"info is a number", `{"user_id":"1","user_info":5}`, BadUserInfo()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if m, err := ParseChannelData([]byte(tt.raw)); err != tt.want {
				t.Errorf("%s: got %+v, %v, want %v", tt.raw, m, err, tt.want)
			}
		})
	}
}

func FuzzParseChannelData(f *testing.F) {
	f.Add([]byte(`{"user_id":10,"user_info":{"name":"\ud83d"}}`))
	f.Add([]byte(`{"user_id":"\n","user_info":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseChannelData(raw)
		if err != nil {
			if fault := (Fault{}); !errors.As(err, &fault) {
				t.Fatalf("%q: got %T, want a Fault", raw, err)
			}
			return
		}
		if m.ID == "" || m.Info != nil && !json.Valid(m.Info) {
			t.Fatalf("%q: got %q %q", raw, m.ID, m.Info)
		}
		e, err := ParseEvent(PayloadOf(MemberAddedFrame("presence-a", m.ID, m.Info)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := Unquote(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseChannelData(text)
		if err != nil || again.ID != m.ID || !bytes.Equal(again.Info, m.Info) {
			t.Fatalf("%q: told as %q: %+v, %v", raw, text, again, err)
		}
	})
}

func TestAppendRoster(t *testing.T) {
	tests := []struct {
		name    string
		members []Member
		want    string
	}{
		{"nobody", nil, `{"presence":{"count":0,"ids":[],"hash":{}}}`},
		{"one without info", []Member{{ID: "a"}}, `{"presence":{"count":1,"ids":["a"],"hash":{"a":{}}}}`},
		{"two", []Member{{ID: "10", Info: []byte(`{"name":"A"}`)}, {ID: `"`}},
			`{"presence":{"count":2,"ids":["10","\""],"hash":{"10":{"name":"A"},"\"":{}}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := AppendRoster([]byte("x"), tt.members); string(got) != "x"+tt.want {
				t.Errorf("got %s, want x%s", got, tt.want)
			}
		})
	}
}

func TestAppendRosterAllocatesOnce(t *testing.T) {
	var members []Member
	for i := range 100 {
		members = append(members, Member{ID: fmt.Sprint("user-", i), Info: []byte(`{"name":"A"}`)})
	}
	if got := testing.AllocsPerRun(100, func() { AppendRoster(nil, members) }); got != 1 {
		t.Errorf("got %v allocations, want 1", got)
	}
}
