package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// call makes a signed request with an app's credentials.
func (r *rig) call(app *hub.App, method, path, body string, params map[string]string) (int, string) {
	r.t.Helper()
	query := protocol.SignRequest(method, path, params, []byte(body), app.Key, app.Secret, time.Now())
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.addr+path+"?"+query, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSuffix(string(text), "\n")
}

func (r *rig) expectCall(method, path, body string, params map[string]string, status int, want string) {
	r.t.Helper()
	gotStatus, got := r.call(r.app, method, path, body, params)
	if gotStatus != status || got != want {
		r.t.Errorf("%s %s %v: got %d %s, want %d %s", method, path, params, gotStatus, got, status, want)
	}
}

func TestAPI(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect()
	c.subscribe("news")
	c.subscribe("cache-x") // its miss comes later
	c.expect("pusher:cache_miss")

	r.expectCall("POST", "/apps/1/events", `{"name":"e","channels":["news"],"data":"{\"a\":1}"}`, nil, 200, `{}`)
	c.expect("e")
	r.expectCall("POST", "/apps/1/events",
		`{"name":"e","channels":["news","presence-x"],"data":"","info":"subscription_count,user_count"}`, nil,
		200, `{"channels":{"news":{"subscription_count":1},"presence-x":{"user_count":0}}}`)
	c.expect("e")
	r.expectCall("POST", "/apps/1/events", `{"name":"e","channel":"news","data":"x","socket_id":"`+c.id+`"}`, nil, 200, `{}`)
	r.expectCall("POST", "/apps/1/batch_events",
		`{"batch":[{"name":"b1","channel":"news","data":"x"},{"name":"b2","channel":"news","data":"x","info":"subscription_count"}]}`, nil,
		200, `{"batch":[{},{"subscription_count":1}]}`)
	c.expect("b1")
	c.expect("b2")
	r.expectCall("POST", "/apps/1/batch_events", `{"batch":[{"name":"b3","channel":"cache-x","data":"kept"}]}`, nil, 200, `{}`)
	c.expect("b3")

	r.expectCall("GET", "/apps/1/channels", "", nil, 200, `{"channels":{"cache-x":{},"news":{}}}`)
	r.expectCall("GET", "/apps/1/channels", "", map[string]string{"filter_by_prefix": "x"}, 200, `{"channels":{}}`)
	r.expectCall("GET", "/apps/1/channels", "", map[string]string{"info": "user_count"}, 400,
		"user_count may only be requested for presence channels - please supply filter_by_prefix beginning with presence-")
	r.expectCall("GET", "/apps/1/channels/news", "", map[string]string{"info": "subscription_count"}, 200, `{"occupied":true,"subscription_count":1}`)
	r.expectCall("GET", "/apps/1/channels/nothing", "", nil, 200, `{"occupied":false}`)
	r.expectCall("GET", "/apps/1/channels/news", "", map[string]string{"info": "user_count"}, 400,
		"Cannot retrieve the user count unless the channel is a presence channel")
	r.expectCall("GET", "/apps/1/channels/news", "", map[string]string{"info": "does-not-exist"}, 400,
		"info should be a comma separated list of attributes")
	r.expectCall("GET", "/apps/1/channels/cache-y", "", map[string]string{"info": "cache"}, 200, `{"occupied":false,"cache":null}`)
	if _, got := r.call(r.app, "GET", "/apps/1/channels/cache-x", "", map[string]string{"info": "cache"}); !strings.HasPrefix(got, `{"occupied":true,"cache":{"data":"kept","ttl":1`) {
		t.Errorf("got %s", got)
	}
	r.expectCall("GET", "/apps/1/channels/presence-x/users", "", nil, 200, `{"users":[]}`)
	r.expectCall("GET", "/apps/1/channels/presence-x/users", "", map[string]string{"info": "x"}, 400,
		"The following query string parameters are extraneous: info")
	r.expectCall("GET", "/apps/1/events", "", nil, 405, "Only POST is supported here")
	r.expectCall("GET", "/apps/1/nothing", "", nil, 404, "Not found: /apps/1/nothing")
	r.expectCall("GET", "/apps/3/channels", "", nil, 404, `Unknown app id "3"`)
	r.expectCall("GET", "/apps/2/channels", "", nil, 401, "The auth_key does not belong to this app id")
}

func TestTerminateOverREST(t *testing.T) {
	for name, path := range map[string]string{
		"documented":      "/apps/1/users/ann%20o/terminate_connections",
		"as python sends": "/users/ann%20o/terminate_connections",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c, other := r.connect(), r.connect()
			for who, id := range map[*client]string{c: "ann o", other: "bob"} {
				userData := fmt.Sprintf(`{"id":%q}`, id)
				who.say(fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`,
					protocol.UserAuth(key, secret, who.id, userData), userData))
				who.expect("pusher:signin_success")
			}
			query := protocol.SignRequest("POST", strings.ReplaceAll(path, "%20", " "), nil, []byte("{}"), key, secret, time.Now())
			resp, err := http.Post("http://"+r.addr+path+"?"+query, "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(text) != "{}" {
				t.Errorf("got %d %s", resp.StatusCode, text)
			}
			c.expect("pusher:error")
			c.expectClose(protocol.CodeUnauthorized, "You got disconnected by the app.")
			other.subscribe("news")
		})
	}
}

func TestDisabledApp(t *testing.T) {
	r := newRig(t, func(a *hub.App) { a.Disabled = true })
	c := r.dial("/app/app-key?protocol=7")
	c.expect("pusher:error")
	c.expectClose(protocol.CodeAppDisabled, "Application disabled")
	r.expectCall("GET", "/apps/1/channels", "", nil, 403, "Application disabled")
}

func TestForceTLS(t *testing.T) {
	r := newRig(t, func(a *hub.App) { a.ForceTLS = true })
	c := r.dial("/app/app-key?protocol=7")
	c.expect("pusher:error")
	c.expectClose(protocol.CodeTLSOnly, "Application only accepts SSL connections, reconnect using wss://")
}

// TestAppsAreApart has two apps with the same channels and users.
func TestAppsAreApart(t *testing.T) {
	r := newRig(t, nil)
	other := r.hub.AppByID("2")
	mine := r.connect()
	theirs := r.dial("/app/other-key?protocol=7")
	theirs.expect("pusher:connection_established")
	mine.subscribe("news")
	theirs.subscribe("news")

	r.expectCall("POST", "/apps/1/events", `{"name":"mine","channels":["news"],"data":"x"}`, nil, 200, `{}`)
	if status, got := r.call(other, "POST", "/apps/2/events", `{"name":"theirs","channels":["news"],"data":"x"}`, nil); status != 200 {
		t.Fatalf("got %d %s", status, got)
	}
	mine.expect("mine")
	theirs.expect("theirs")
	if _, got := r.call(other, "GET", "/apps/2/channels/news", "", map[string]string{"info": "subscription_count"}); got != `{"occupied":true,"subscription_count":1}` {
		t.Errorf("got %s", got)
	}
	// The signature of one app is worth nothing in the other.
	auth := protocol.ChannelAuth(key, secret, mine.id, "private-x", "")
	theirs.say(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"private-x","auth":%q}}`, auth))
	theirs.expect("pusher:error")
}

func TestTooLargeBody(t *testing.T) {
	r := newRig(t, nil)
	body := `{"name":"e","channels":["news"],"data":"` + strings.Repeat("x", 2<<20) + `"}`
	status, got := r.call(r.app, "POST", "/apps/1/events", body, nil)
	if status != 413 || !strings.Contains(got, "The request body exceeds the allowed maximum") {
		t.Errorf("got %d %s", status, got)
	}
}

func TestNoFallback(t *testing.T) {
	r := newRig(t, nil)
	for method, status := range map[string]int{"OPTIONS": 204, "POST": 404} {
		req, err := http.NewRequest(method, "http://"+r.addr+"/pusher/app/app-key/1/abc/xhr_streaming?protocol=7", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != status || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: got %d %s, want %d for any origin", method, resp.StatusCode, text, status)
		}
	}
}

func TestRefusingNewSockets(t *testing.T) {
	r := newRig(t, nil)
	there := r.connect()
	r.front.CloseToSockets()
	late := r.dial("/app/app-key?protocol=7")
	late.expect("pusher:error")
	late.expectClose(protocol.CodeOverCapacity, "Over capacity")
	there.subscribe("news")
}
