package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
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
		200, `{"channels":{"news":{"subscription_count":1},"presence-x":{"user_count":0,"subscription_count":0}}}`)
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

// TestSubscriptionCountOfPresence asks for the number of a presence channel's
// connections, alone and beside user_count, as some SDKs do.
func TestSubscriptionCountOfPresence(t *testing.T) {
	r := newRig(t, nil)
	for range 3 { // connections of one user
		c := r.connect()
		const data = `{"user_id":"ann"}`
		c.say(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":%q,"channel_data":%q}}`,
			protocol.ChannelAuth(key, secret, c.id, "presence-x", data), data))
		c.expect("pusher_internal:subscription_succeeded")
	}
	r.connect().subscribe("news")
	for info, want := range map[string]string{
		"subscription_count":            `"subscription_count":3`,
		"user_count,subscription_count": `"user_count":1,"subscription_count":3`,
		"subscription_count,user_count": `"user_count":1,"subscription_count":3`,
	} {
		asked := map[string]string{"info": info}
		r.expectCall("GET", "/apps/1/channels/presence-x", "", asked, 200, `{"occupied":true,`+want+`}`)
		asked = map[string]string{"info": info, "filter_by_prefix": "presence-"}
		r.expectCall("GET", "/apps/1/channels", "", asked, 200, `{"channels":{"presence-x":{`+want+`}}}`)
		r.expectCall("POST", "/apps/1/events", `{"name":"e","channels":["presence-x"],"data":"x","info":"`+info+`"}`, nil,
			200, `{"channels":{"presence-x":{`+want+`}}}`)
		r.expectCall("POST", "/apps/1/batch_events",
			`{"batch":[{"name":"e","channel":"presence-x","data":"x","info":"`+info+`"},{"name":"e","channel":"news","data":"x","info":"`+info+`"},{"name":"e","channel":"presence-x","data":"x"}]}`, nil,
			200, `{"batch":[{`+want+`},{"subscription_count":1},{}]}`)
	}
	r.expectCall("GET", "/apps/1/channels", "", map[string]string{"info": "subscription_count"}, 200,
		`{"channels":{"news":{"subscription_count":1},"presence-x":{"subscription_count":3}}}`)
}

// TestAppIDs calls apps whose ids are escaped in a path.
func TestAppIDs(t *testing.T) {
	for _, id := range []string{"größe", "50%", "a+b", "a%2Fb", "a@b"} {
		t.Run(id, func(t *testing.T) {
			r := newRig(t, func(a *hub.App) { a.ID = id })
			path, escaped := "/apps/"+id+"/channels", "/apps/"+url.PathEscape(id)+"/channels"
			for _, signed := range []string{path, escaped} {
				query := protocol.SignRequest("GET", signed, nil, nil, key, secret, time.Now())
				resp, err := http.Get("http://" + r.addr + escaped + "?" + query)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != 200 || string(text) != `{"channels":{}}` {
					t.Errorf("%s signed as %s: got %d %s", escaped, signed, resp.StatusCode, text)
				}
			}
		})
	}
}

// TestBodiesOfStrangers sends large bodies that stop one byte short: they are
// answered without them, and take no memory.
func TestBodiesOfStrangers(t *testing.T) {
	const requests, size = 100, 673 << 10
	good := protocol.SignRequest("POST", "/apps/1/events", nil, []byte("{}"), key, secret, time.Now())
	for name, query := range map[string]string{
		"unsigned":         "auth_key=app-key",
		"wrongly signed":   good + "0",
		"of no app":        strings.Replace(good, "app-key", "nobody", 1),
		"without a digest": protocol.SignRequest("POST", "/apps/1/events", nil, nil, key, secret, time.Now()),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			body := strings.Repeat("x", size-1)
			head := fmt.Sprintf("POST /apps/1/events?%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", query, size)
			before := heapInUse()
			done := make(chan error, requests)
			for range requests {
				conn, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				go func() { // an error of these writes means that the server has hung up already
					_, _ = io.WriteString(conn, head)
					_, _ = io.WriteString(conn, body)
				}()
				go func() { done <- expectStatus(conn, http.StatusUnauthorized) }()
			}
			for range requests {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			if grown := heapInUse() - before; grown > 4<<20 {
				t.Errorf("the heap grew by %d KiB for %d requests", grown>>10, requests)
			}
		})
	}
}

// expectStatus reads the head of an answer.
func expectStatus(conn net.Conn, want int) error {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("got %s, want %d", resp.Status, want)
	}
	return nil
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRefusedBodyIsCutOff sends a body that nobody wants and never ends.
func TestRefusedBodyIsCutOff(t *testing.T) {
	for name, length := range map[string]string{"small": "Content-Length: 1000", "large": "Content-Length: 600000", "unknown": "Transfer-Encoding: chunked"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := hub.DefaultApp()
				app.ID, app.Key, app.Secret = "1", key, secret
				memory := hub.NewMemory()
				defer memory.Close()
				h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory})
				defer h.Close()
				front, carrier, _ := assemble(h, options{})
				defer carrier.Close()
				web := front.HTTPServer()
				near, far := net.Pipe()
				go func() { _ = web.Serve(&oneConn{conn: far, done: make(chan struct{})}) }()
				defer web.Close()
				go func() {
					_, _ = io.WriteString(near, "POST /apps/1/events?auth_key=app-key HTTP/1.1\r\nHost: x\r\n"+length+"\r\n\r\n")
				}()
				start := time.Now()
				if err := expectStatus(near, http.StatusUnauthorized); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("answered after %v, want at once", took)
				}
				_, _ = io.Copy(io.Discard, near)
				if took := time.Since(start); took > 6*time.Second {
					t.Errorf("the connection was closed after %v", took)
				}
			})
		})
	}
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
