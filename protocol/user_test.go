package protocol

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseUserData(t *testing.T) {
	tests := []struct {
		name, raw, id, info string
		watchlist           []string
	}{
		{"id alone", `{"id":"12345"}`, "12345", "", nil},
		{"everything", `{"id":"12345","user_info":{"name":"A"},"watchlist":["u2","u\u0033"],"more":1}`, "12345", `{"name":"A"}`, []string{"u2", "u3"}},
		{"nulls", `{"id":"a","user_info":null,"watchlist":null}`, "a", "", nil},
		{"empty watchlist", `{"id":"a","watchlist":[]}`, "a", "", []string{}},
		{"escapes", `{"id":"a\"\u00e9"}`, `a"é`, "", nil},
		{"longest id", `{"id":"` + strings.Repeat("é", 200) + `"}`, strings.Repeat("é", 200), "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := []byte(tt.raw)
			u, err := ParseUserData(raw)
			if err != nil {
				t.Fatalf("%s: %v", tt.raw, err)
			}
			clear(raw) // the user must not share its bytes
			if u.ID != tt.id || string(u.Info) != tt.info || !slices.Equal(u.Watchlist, tt.watchlist) {
				t.Errorf("got %+v (info %s), want %q %s %q", u, u.Info, tt.id, tt.info, tt.watchlist)
			}
			if !ValidChannel(ServerToUserChannel(u.ID)) {
				t.Errorf("user %q cannot have a channel", u.ID)
			}
		})
	}
}

func TestParseUserDataFaults(t *testing.T) {
	tests := []struct {
		name, raw, want string
	}{
		{"nothing", ``, "it must be a JSON object"},
		{"array", `[]`, "it must be a JSON object"},
		{"something behind it", `{"id":"1"}1`, "it must be a JSON object"},
		{"no UTF-8", "{\"id\":\"\xff\"}", "it must be a JSON object"},
		{"no id", `{}`, "id must be a non-empty string"},
		{"id is null", `{"id":null}`, "id must be a non-empty string"},
		{"id is empty", `{"id":""}`, "id must be a non-empty string"},
		{"id is a number", `{"id":12345}`, "id must be a non-empty string"},
		{"id too long", `{"id":"` + strings.Repeat("a", 201) + `"}`, "id must have at most 200 characters, none of them a control character"},
		{"id with a control character", `{"id":"a\n"}`, "id must have at most 200 characters, none of them a control character"},
		{"info is a string", `{"id":"1","user_info":"A"}`, "user_info must be an object"},
		{"watchlist is a string", `{"id":"1","watchlist":"u2"}`, "watchlist must be an array of strings"},
		{"watchlist holds a number", `{"id":"1","watchlist":["u2",3]}`, "watchlist must be an array of strings"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if u, err := ParseUserData([]byte(tt.raw)); err != BadUserData(tt.want) {
				t.Errorf("%s: got %+v, %v, want %v", tt.raw, u, err, BadUserData(tt.want))
			}
		})
	}
}

func FuzzParseUserData(f *testing.F) {
	f.Add([]byte(`{"id":"1","user_info":{},"watchlist":["\ud83d"]}`))
	f.Add([]byte(`{"id":1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, err := ParseUserData(raw)
		if err != nil {
			if fault := (Fault{}); !errors.As(err, &fault) {
				t.Fatalf("%q: got %T, want a Fault", raw, err)
			}
			return
		}
		if u.ID == "" || u.Info != nil && !json.Valid(u.Info) {
			t.Fatalf("%q: got %+v", raw, u)
		}
		if !json.Valid(PayloadOf(SigninSuccessFrame(raw))) {
			t.Fatalf("%q: acknowledged by no JSON", raw)
		}
	})
}
