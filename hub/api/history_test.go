package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"channels/hub"
)

// answeredPast is the answer about a channel's history, as a customer reads it.
type answeredPast struct {
	Events []struct {
		ID     string
		Event  string
		Data   string
		TimeMS int64  `json:"time_ms"`
		UserID string `json:"user_id"`
	}
	More, Complete bool
}

func (r *rig) past(params map[string]string) (p answeredPast) {
	r.t.Helper()
	w := r.request(r.t.Context(), http.MethodGet, "/apps/1/channels/news/events", "", params)
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		r.t.Fatalf("%d %s", w.Code, w.Body)
	}
	return p
}

// text is the events' names, and + if there are more.
func (p answeredPast) text() string {
	var all []string
	for _, e := range p.Events {
		all = append(all, e.Event)
	}
	return strings.Join(all, " ") + map[bool]string{true: "+"}[p.More]
}

func keepsNews(a *hub.App) {
	a.History.Events, a.History.Prefix = 5, "news"
}

func TestHistory(t *testing.T) {
	r := newRig(t, keepsNews, nil)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		r.expect(r.post("/apps/1/events", `{"name":"`+name+`","channel":"news","data":"{\"n\":1}"}`), 200, "{}")
	}
	all := r.past(nil)
	if got := all.text(); got != "b c d e f" || all.Complete {
		t.Errorf("got %q, complete %v", got, all.Complete)
	}
	first := all.Events[0]
	if age := time.Since(time.UnixMilli(first.TimeMS)); first.Data != `{"n":1}` || age < -time.Minute || age > time.Minute {
		t.Errorf("got %+v", first)
	}
	for _, test := range []struct {
		params map[string]string
		want   string
	}{
		{map[string]string{"limit": "2"}, "b c+"},
		{map[string]string{"limit": "2", "order": "desc"}, "f e+"},
		{map[string]string{"order": "asc", "after": all.Events[3].ID}, "f"},
	} {
		if got := r.past(test.params).text(); got != test.want {
			t.Errorf("%v: %q, want %q", test.params, got, test.want)
		}
	}
	if !r.past(map[string]string{"after": first.ID}).Complete {
		t.Error("nothing is missing behind the first that is there")
	}
	one := "/apps/1/channels/news/events/" + all.Events[1].ID
	r.expect(r.request(t.Context(), http.MethodDelete, one, "", nil), 200, `{"deleted":1}`)
	r.expect(r.request(t.Context(), http.MethodDelete, one, "", nil), 404, "The channel's history has no such event")
	if got := r.past(nil).text(); got != "b d e f" {
		t.Errorf("without one: %q", got)
	}
	r.expect(r.request(t.Context(), http.MethodDelete, "/apps/1/channels/news/events", "", nil), 200, `{"deleted":4}`)
	if got := r.past(nil).text(); got != "" {
		t.Errorf("without all: %q", got)
	}
}

func TestHistoryMistakes(t *testing.T) {
	r := newRig(t, keepsNews, nil)
	const path = "/apps/1/channels/news/events"
	for _, test := range []struct {
		method, path string
		params       map[string]string
		status       int
		want         string
	}{
		{"GET", "/apps/1/channels/other/events", nil, 400, "This channel has no history: the app's settings history.events and history.prefix say which channels have one"},
		{"GET", "/apps/1/channels/ne%20ws/events", nil, 400, "Invalid channel name: ne%20ws"},
		{"GET", path, map[string]string{"limit": "0"}, 400, "limit must be a number from 1 to 1000"},
		{"GET", path, map[string]string{"limit": "1001"}, 400, "limit must be a number from 1 to 1000"},
		{"GET", path, map[string]string{"limit": "ten"}, 400, "limit must be a number from 1 to 1000"},
		{"GET", path, map[string]string{"order": "up"}, 400, "order must be asc, oldest first, or desc, newest first"},
		{"GET", path, map[string]string{"after": "-1"}, 400, `Invalid event id "-1": it is the id of an event of the channel's history`},
		{"DELETE", path + "/x", nil, 400, `Invalid event id "x": it is the id of an event of the channel's history`},
		{"DELETE", path + "/99", nil, 404, "The channel's history has no such event"},
		{"POST", path, nil, 405, "Only GET and DELETE are supported here"},
		{"GET", path + "/5", nil, 405, "Only DELETE is supported here"},
	} {
		r.expect(r.request(t.Context(), test.method, test.path, "", test.params), test.status, test.want)
	}
}

// TestHistoryFull wants an event that there is no room for to be refused, and not to be
// taken for one whose fate is unknown.
func TestHistoryFull(t *testing.T) {
	r := newRig(t, func(a *hub.App) { keepsNews(a); a.History.Total = 10 }, nil)
	r.expect(r.post("/apps/1/events", `{"name":"e","channel":"news","data":"x"}`),
		503, "Not published: the app's histories take as many bytes as they may")
	r.expect(r.post("/apps/1/events", `{"name":"e","channel":"other","data":"x"}`), 200, "{}")
}
