package fallback_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"channels/hub"
	"channels/hub/transport/fallback"
	"channels/protocol"
)

var disconnected = hub.End{Code: 1006, Reason: hub.Disconnected}

func TestStreaming(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		for name, want := range map[string]string{
			"Content-Type":                "application/javascript; charset=UTF-8",
			"Cache-Control":               "no-store, no-transform",
			"X-Accel-Buffering":           "no",
			"Access-Control-Allow-Origin": "*",
		} {
			if got := s.res.Header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		r.say(base, subscribeTo("news"))
		s.expectEvent("pusher_internal:subscription_succeeded")
		r.trigger("news", "hello", `{"a":"ä😀\n"}`)
		if got := s.expectEvent("hello"); got != `{"a":"ä😀\n"}` {
			t.Errorf("got %s", got)
		}
		r.say(base, `{"event":"pusher:ping","data":{}}`, `{"event":"pusher:ping"}`)
		s.expectEvent("pusher:pong")
		s.expectEvent("pusher:pong")
		s.close()
	})
}

func TestPolling(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		lines := r.poll(base + "xhr" + query)
		if len(lines) == 0 || lines[0] != "o" {
			t.Fatalf("got %q, want the open frame first", lines)
		}
		if len(lines) == 1 {
			lines = append(lines, r.poll(base+"xhr"+query)...)
		}
		if e := eventOf(t, lines[1]); e.Event != "pusher:connection_established" || len(lines) != 2 {
			t.Fatalf("got %q", lines)
		}
		r.say(base, subscribeTo("news"))
		if lines := r.poll(base + "xhr" + query); eventOf(t, lines[0]).Event != "pusher_internal:subscription_succeeded" {
			t.Fatalf("got %q", lines)
		}
		for i := range 3 { // between two polls
			r.trigger("news", fmt.Sprint("event-", i), "x")
		}
		synctest.Wait()
		lines = r.poll(base + "xhr" + query)
		if len(lines) != 3 || eventOf(t, lines[2]).Event != "event-2" {
			t.Fatalf("got %q, want three events", lines)
		}
		go func() { // while a poll waits
			time.Sleep(10 * time.Second)
			r.trigger("news", "late", "x")
		}()
		if lines := r.poll(base + "xhr" + query); len(lines) != 1 || eventOf(t, lines[0]).Event != "late" {
			t.Fatalf("got %q", lines)
		}
	})
}

// TestHeartbeats requires that an idle stream stays open for as long as its client
// answers heartbeats, each of which costs one request.
func TestHeartbeats(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		began := time.Now()
		for i := range 40 {
			s.expect("h")
			if got, want := time.Since(began), time.Duration(i+1)*25*time.Second; got != want {
				t.Fatalf("heartbeat %d after %v, want %v", i, got, want)
			}
			r.say(base) // as pusher-js does
		}
		r.say(base) // as pusher-js does that has heard nothing
		s.expect("h")
		r.say(base) // the answer to that
		synctest.Wait()
		r.trigger("news", "x", "x")
		r.say(base, `{"event":"pusher:ping"}`)
		s.expectEvent("pusher:pong") // and no heartbeat before it
		s.close()
	})
}

func TestHeartbeatOfPoll(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		r.openPoll(base)
		for range 20 {
			began := time.Now()
			lines := r.poll(base + "xhr" + query)
			if waited := time.Since(began); waited != 25*time.Second || !slices.Equal(lines, []string{"h"}) {
				t.Fatalf("got %q after %v, want a heartbeat after 25 s", lines, waited)
			}
		}
		r.say(base)
		r.say(base)
		if lines := r.poll(base + "xhr" + query); !slices.Equal(lines, []string{"h"}) {
			t.Fatalf("got %q, want one heartbeat", lines)
		}
	})
}

// openPoll opens a polling session.
func (r *rig) openPoll(base string) {
	r.t.Helper()
	for n := 0; n < 2; {
		n += len(r.poll(base + "xhr" + query))
	}
}

// TestSilentStream reads and says nothing.
func TestSilentStream(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		for {
			line, err := s.line()
			if err != nil {
				t.Fatal(err)
			}
			if line == "h" {
				continue
			}
			if e := eventOf(t, line); e.Event != "pusher:error" {
				t.Fatalf("got %s", line)
			}
			break
		}
		s.expect(`c[4201,"Pong reply not received"]`)
		s.expectEnd()
		r.expectEnds(hub.End{Code: 4201, Reason: hub.Silent}, 1)
		if status, _ := r.post(base+"xhr_send", "[]"); status != http.StatusNotFound {
			t.Errorf("send after the end: got %d, want 404", status)
		}
	})
}

// TestRollover counts as pusher-js does: the response ends with the first frame
// after which there is more than 256 KiB, and the next one goes on.
func TestRollover(t *testing.T) {
	for _, kind := range []string{"xhr_streaming", "xhr"} {
		for name, text := range map[string]string{"ascii": "abcdefgh", "two bytes": "äöüß", "pairs": "😀🎉"} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				run(t, nil, func(t *testing.T, r *rig) { testRollover(t, r, kind, text) })
			})
		}
	}
}

func testRollover(t *testing.T, r *rig, kind, text string) {
	const events = 400
	r.openPoll(base)
	r.say(base, subscribeTo("news"))
	r.poll(base + "xhr" + query)
	s := r.stream(base + kind + query)
	published := make(chan struct{})
	go func() {
		defer close(published)
		for i := range events {
			r.trigger("news", fmt.Sprint("event-", i), strings.Repeat(text, 2000/protocol.UTF16Len([]byte(text))+i%7))
		}
	}()
	responses, units := 1, 0
	for next := 0; next < events; {
		line, err := s.line()
		if err == io.EOF {
			if kind == "xhr_streaming" && units <= 256<<10 {
				t.Fatalf("a response ended after %d units", units)
			}
			s.close()
			responses++
			s, units = r.stream(base+kind+query), 0
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if units > 256<<10 {
			t.Fatalf("a frame behind %d units, which pusher-js drops", units)
		}
		units += len(utf16.Encode([]rune(line))) + 1
		if strings.HasPrefix(line, "h") {
			continue
		}
		if e := eventOf(t, line); e.Event != fmt.Sprint("event-", next) {
			t.Fatalf("got %s, want event-%d", e.Event, next)
		}
		next++
	}
	<-published
	s.close()
	if responses < 3 {
		t.Errorf("%d responses, want more for the test to mean something", responses)
	}
}

func TestCloseWhileNobodyPolls(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		r.openPoll(base)
		r.drain(t)
		synctest.Wait()
		if status, _ := r.post(base+"xhr_send", "[]"); status != http.StatusNotFound {
			t.Errorf("send: got %d, want 404", status)
		}
		lines := r.poll(base + "xhr" + query)
		if len(lines) != 2 || lines[1] != `c[4200,"Generic reconnect immediately"]` {
			t.Fatalf("got %q, want an error and a close frame", lines)
		}
		if n := r.over.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

func (r *rig) drain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.hub.Drain(ctx, protocol.Reconnect(), 0); err != nil {
		t.Error(err)
	}
}

func TestCloseNobodyFetches(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		r.openPoll(base)
		r.drain(t)
		synctest.Wait()
		time.Sleep(fallback.CloseGrace - 200*time.Millisecond)
		if n := r.over.Sessions(); n != 1 {
			t.Fatalf("%d sessions before the grace is over, want 1", n)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if n := r.over.Sessions(); n != 0 {
			t.Errorf("%d sessions after it", n)
		}
		r.expectEnds(hub.End{Code: 4200, Reason: hub.Draining}, 1)
	})
}

func TestCloseOfStream(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		drained := make(chan struct{})
		go func() { r.drain(t); close(drained) }()
		s.expectEvent("pusher:error")
		s.expect(`c[4200,"Generic reconnect immediately"]`)
		s.expectEnd()
		<-drained
	})
}

func TestAbsence(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		r.openPoll(base)
		time.Sleep(4 * time.Second)
		r.say(base, subscribeTo("news")) // counts as well
		time.Sleep(4900 * time.Millisecond)
		r.expectEnds(disconnected, 0)
		time.Sleep(200 * time.Millisecond)
		r.expectEnds(disconnected, 1)
		if n := r.hub.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		lines := r.poll(base + "xhr" + query)
		if lines[0] != "o" { // which ends the connection of a pusher-js that knows the session
			t.Errorf("got %q, want a new session", lines)
		}
	})
}

// TestAbsenceAfterMuch gives slow clients the time to take a long answer.
func TestAbsenceAfterMuch(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		r.openPoll(base)
		r.say(base, subscribeTo("news"))
		r.poll(base + "xhr" + query)
		for range 20 {
			r.trigger("news", "e", strings.Repeat("x", 10_000))
		}
		synctest.Wait()
		if lines := r.poll(base + "xhr" + query); len(lines) != 20 {
			t.Fatalf("got %d events", len(lines))
		}
		time.Sleep(16 * time.Second)
		r.expectEnds(disconnected, 0)
		time.Sleep(4 * time.Second)
		r.expectEnds(disconnected, 1)
	})
}

func TestAbortedStream(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		time.Sleep(10 * time.Second)
		s.close()
		time.Sleep(900 * time.Millisecond)
		r.expectEnds(disconnected, 0)
		time.Sleep(200 * time.Millisecond)
		r.expectEnds(disconnected, 1)
	})
}

// TestNewerStreamWins requires that the older of two ends with a close frame, and
// that nothing is lost in between.
func TestNewerStreamWins(t *testing.T) {
	for _, older := range []string{"xhr_streaming", "xhr"} {
		t.Run(older, func(t *testing.T) {
			run(t, nil, func(t *testing.T, r *rig) {
				r.openPoll(base)
				r.say(base, subscribeTo("news"))
				r.poll(base + "xhr" + query)
				ended := make(chan []string)
				go func() { ended <- r.poll(base + older + query) }()
				synctest.Wait()
				newer := r.stream(base + "xhr_streaming" + query)
				newer.expectPrelude()
				lines := <-ended
				if last := lines[len(lines)-1]; last != `c[2010,"Another connection still open"]` {
					t.Errorf("the older got %q", last)
				}
				r.trigger("news", "one", "1")
				newer.expectEvent("one")
				newer.close()
			})
		})
	}
}

// TestOlderStreamIsStuck has an older stream whose client does not read.
func TestOlderStreamIsStuck(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		r.openPoll(base)
		r.say(base, subscribeTo("news"))
		r.poll(base + "xhr" + query)
		older := r.stream(base + "xhr_streaming" + query)
		const events = 200
		for i := range events {
			r.trigger("news", fmt.Sprint("event-", i), strings.Repeat("x", 1000))
		}
		synctest.Wait()
		newer := r.stream(base + "xhr_streaming" + query)
		newer.expectPrelude()
		first, next := -1, 0 // what the older has been given is lost with it
		for next < events {
			line, err := newer.line()
			if err != nil {
				t.Fatal(err)
			}
			name := eventOf(t, line).Event
			if first < 0 {
				_, _ = fmt.Sscanf(name, "event-%d", &first)
				next = first
			}
			if want := fmt.Sprint("event-", next); name != want {
				t.Fatalf("got %s, want %s", name, want)
			}
			next++
		}
		if first > 50 {
			t.Errorf("the first event was number %d", first)
		}
		older.close()
		newer.close()
	})
}

// TestUnwrittenPoll has a client that goes before it reads the answer; the events
// are kept for the next poll.
func TestUnwrittenPoll(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		r.openPoll(base)
		r.say(base, subscribeTo("news"))
		r.poll(base + "xhr" + query)
		conn, err := r.client.Transport.(*http.Transport).DialContext(context.Background(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "POST %sxhr%s HTTP/1.1\r\nHost: server\r\nContent-Length: 0\r\n\r\n", strings.TrimPrefix(base, "http://server"), query)
		synctest.Wait()
		for i := range 3 {
			r.trigger("news", fmt.Sprint("event-", i), "x")
		}
		synctest.Wait() // it is being written
		_ = conn.Close()
		synctest.Wait()
		lines := r.poll(base + "xhr" + query)
		if len(lines) != 3 || eventOf(t, lines[0]).Event != "event-0" {
			t.Fatalf("got %q, want all three events", lines)
		}
	})
}

// TestBudgetUsedByOthers has other transports use up the node's budget: a client that
// does not read is one too many with little in its own queue.
func TestBudgetUsedByOthers(t *testing.T) {
	const bytes = 64 << 10
	budget := hub.NewQueueBudget(bytes)
	run(t, func(_ *hub.App, o *fallback.Options) { o.Budget = budget }, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		r.say(base, subscribeTo("news"))
		s.expectEvent("pusher_internal:subscription_succeeded")
		budget.Add(bytes)
		defer budget.Add(-bytes)
		for range 2000 {
			_ = r.tryTrigger("news", "e", "small")
			if r.hub.Connections() == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		r.expectEnds(hub.End{Code: 4100, Reason: hub.SlowConsumer}, 1)
		if own := budget.Used() - bytes; own > bytes {
			t.Errorf("%d bytes were queued for it", own)
		}
		time.Sleep(time.Minute) // longer than the grace and than a write may take
		s.close()
	})
}

// TestStreamThatStopsReading is closed as a slow consumer, and what is queued for
// it stays bounded.
func TestStreamThatStopsReading(t *testing.T) {
	run(t, func(_ *hub.App, o *fallback.Options) { o.QueueBytes = 64 << 10 }, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		r.say(base, subscribeTo("news"))
		s.expectEvent("pusher_internal:subscription_succeeded")
		var most int64
		for range 2000 {
			_ = r.tryTrigger("news", "e", strings.Repeat("x", 5000))
			most = max(most, r.budget.Used())
			if r.hub.Connections() == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		r.expectEnds(hub.End{Code: 4100, Reason: hub.SlowConsumer}, 1)
		if most > 1<<20 {
			t.Errorf("%d bytes were queued", most)
		}
		time.Sleep(time.Minute) // longer than the grace and than a write may take
		synctest.Wait()
		if n := r.over.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		s.close()
	})
}

func TestBadBodies(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		for _, body := range []string{``, `{}`, `"a"`, `null`, `[1]`, `["{}"`, `[{"event":"pusher:ping"}]`, "[\"\xff\"]",
			`["{\"event\":\"pusher:ping\"}",1]`} {
			if status, text := r.post(base+"xhr_send", body); status != http.StatusBadRequest || !strings.Contains(text, "array of strings") {
				t.Errorf("%s: got %d %q, want 400", body, status, text)
			}
		}
		r.say(base, `nonsense`, ``, `{"event":"pusher:ping"}`)
		s.expectEvent("pusher:error")
		s.expectEvent("pusher:error")
		s.expectEvent("pusher:pong")
		s.close()
	})
}

func TestTooLargeMessages(t *testing.T) {
	for name, body := range map[string]string{
		"message": `["` + strings.Repeat("x", 70<<10) + `"]`,
		"body":    `["` + strings.Repeat("x", 300<<10) + `"]`,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, func(t *testing.T, r *rig) {
				s, _ := r.open(base + "xhr_streaming" + query)
				if status, _ := r.post(base+"xhr_send", body); status != http.StatusRequestEntityTooLarge {
					t.Errorf("got %d, want 413", status)
				}
				s.expect(`c[1009,"Message too large"]`)
				s.expectEnd()
				r.expectEnds(hub.End{Code: 1009, Reason: hub.TooLarge}, 1)
			})
		})
	}
}

func TestUnknownAndForeignSessions(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s, id := r.open(base + "xhr_streaming" + query)
		foreign := strings.Replace(base, "app-key", "other-key", 1)
		for _, url := range []string{
			"http://server/pusher/app/app-key/123/abcdefgi/", "http://server/pusher/app/app-key/124/abcdefgh/", foreign,
		} {
			if status, _ := r.post(url+"xhr_send", `["{}"]`); status != http.StatusNotFound {
				t.Errorf("%s: got %d, want 404", url, status)
			}
		}
		other, otherID := r.open(foreign + "xhr_streaming" + query)
		if id == otherID {
			t.Error("two apps share a session")
		}
		other.close()
		s.close()
	})
}

func TestRefusals(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		unknown := "http://server/pusher/app/nobody/123/abcdefgh/"
		want := []string{"o", `a["{\"event\":\"pusher:error\",\"data\":{\"code\":4001,\"message\":\"App key nobody not in this cluster. Did you forget to specify the cluster?\"}}"]`,
			`c[4001,"App key nobody not in this cluster. Did you forget to specify the cluster?"]`}
		if got := r.poll(unknown + "xhr" + query); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := r.poll(unknown + "xhr_streaming" + query); !slices.Equal(got[1:], want) {
			t.Errorf("got %q, want %q behind a prelude", got[1:], want)
		}
		r.expectEnds(hub.End{Code: 4001, Reason: hub.Refused}, 2)
		if n := r.over.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		r.crowded = true
		if status, _ := r.post(base+"xhr"+query, ""); status != http.StatusTooManyRequests {
			t.Errorf("too many new clients: got %d, want 429", status)
		}
	})
}

func TestConnectionQuota(t *testing.T) {
	run(t, func(a *hub.App, _ *fallback.Options) { a.MaxConnections = 1 }, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		second := strings.Replace(base, "123", "124", 1)
		got := r.poll(second + "xhr" + query)
		if len(got) != 3 || got[0] != "o" || got[2] != `c[4004,"Application is over connection quota"]` {
			t.Errorf("got %q", got)
		}
		if n := r.over.Sessions(); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
		s.close()
	})
}

func TestMethodsAndPreflight(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		for method, want := range map[string]int{
			http.MethodOptions: http.StatusNoContent, http.MethodGet: http.StatusMethodNotAllowed, http.MethodPut: http.StatusMethodNotAllowed,
		} {
			req, _ := http.NewRequestWithContext(context.Background(), method, base+"xhr_send", nil)
			res, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != want || res.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: got %d %v, want %d for every origin", method, res.StatusCode, res.Header, want)
			}
			if method == http.MethodOptions && (res.Header.Get("Access-Control-Max-Age") != "86400" ||
				!strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Content-Type")) {
				t.Errorf("preflight: got %v", res.Header)
			}
		}
		if n := r.over.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// TestSlowBody has one request that does not finish: those behind it are handled
// when its time is up.
func TestSlowBody(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s, _ := r.open(base + "xhr_streaming" + query)
		conn, err := r.client.Transport.(*http.Transport).DialContext(context.Background(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "POST %sxhr_send HTTP/1.1\r\nHost: server\r\nContent-Length: 10\r\n\r\n[", strings.TrimPrefix(base, "http://server"))
		synctest.Wait()
		began := time.Now()
		done := make(chan struct{})
		go func() { r.say(base, `{"event":"pusher:ping"}`); close(done) }()
		time.Sleep(29 * time.Second)
		_, _ = conn.Write([]byte(`"nonsen"]`))
		<-done
		if waited := time.Since(began); waited != 29*time.Second {
			t.Errorf("handled after %v", waited)
		}
		s.expect("h")
		s.expectEvent("pusher:error")
		s.expectEvent("pusher:pong")
		_ = conn.Close()
		s.close()
	})
}

func TestParsePath(t *testing.T) {
	for path, want := range map[string]fallback.Route{
		"/pusher/app/k/1/abcdefgh/xhr_streaming": {Key: "k", Session: "1/abcdefgh", Kind: fallback.Streaming},
		"/app/k/999/ABC-_123/xhr":                {Key: "k", Session: "999/ABC-_123", Kind: fallback.Polling},
		"/pusher/app/k/0/abcdefgh/xhr_send":      {Key: "k", Session: "0/abcdefgh", Kind: fallback.Sending},
		"/pusher/0/abcdefgh/eventsource":         {Session: "0/abcdefgh", Kind: fallback.EventSource},
		"/pusher/info":                           {Kind: fallback.Info},
	} {
		if got, ok := fallback.ParsePath(path); !ok || got != want {
			t.Errorf("%s: got %v, %t, want %v", path, got, ok, want)
		}
	}
	for _, path := range []string{
		"", "/", "/app/k", "/app//1/abcdefgh/xhr", "/app/k/1/abcdefg/xhr", "/app/k/1/abcdefgh/xhr/", "/app/k/1/abcdefgh/eventsource",
		"/app/k//abcdefgh/xhr", "/app/k/1/abc def/xhr", "/app/k/1/" + strings.Repeat("a", 65) + "/xhr", "/pusherapp/k/1/abcdefgh/xhr",
		"/info", "/0/abcdefgh/xhr", "/pusher/0/abcdefgh/websocket", "/pusher/app/k/0/abcdefgh/eventsource",
		"/app/k/" + strings.Repeat("1", 17) + "/abcdefgh/xhr", "/other/app/k/1/abcdefgh/xhr", "/app/k/1/../abcdefgh/xhr",
	} {
		if got, ok := fallback.ParsePath(path); ok {
			t.Errorf("%s: got %v", path, got)
		}
	}
}
