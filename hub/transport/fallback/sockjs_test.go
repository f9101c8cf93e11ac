package fallback_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
)

const sockJS = "http://server/pusher/123/abcdefgh/"

func (r *rig) get(url string) *stream {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Origin", "https://shop.example")
	return r.do(req, cancel)
}

func TestSockJS(t *testing.T) {
	for _, kind := range []string{"xhr_streaming", "xhr", "eventsource"} {
		t.Run(kind, func(t *testing.T) {
			run(t, nil, func(t *testing.T, r *rig) {
				poll := func() (line string) {
					s := r.stream
					if kind == "eventsource" {
						s = r.get
					}
					response := s(sockJS + kind)
					defer response.close()
					for {
						line, err := response.line()
						if err != nil {
							t.Fatal(err)
						}
						line = strings.TrimPrefix(strings.TrimSpace(line), "data: ")
						if line != "" && !strings.HasPrefix(line, "h") {
							return line
						}
					}
				}
				if line := poll(); line != "o" {
					t.Fatalf("got %q, want the open frame", line)
				}
				r.say(sockJS, `{"path":"/app/app-key?protocol=7&client=js"}`, subscribeTo("news"))
				synctest.Wait()
				if e := eventOf(t, poll()); e.Event != "pusher:connection_established" {
					t.Fatalf("got %s", e.Event)
				}
				if kind != "xhr" {
					return // the stream that was aborted may have had more
				}
				r.trigger("news", "hello", "100%")
				synctest.Wait()
				if e := eventOf(t, poll()); e.Event != "hello" {
					t.Fatalf("got %s", e.Event)
				}
			})
		})
	}
}

func TestSockJSFirstMessages(t *testing.T) {
	for message, want := range map[string]string{
		`{"path":"/app/nobody?protocol=7"}`: `c[4001,"App key nobody not in this cluster. Did you forget to specify the cluster?"]`,
		`{"path":"/other"}`:                 `c[4005,"Path not found"]`,
		`{"path":7}`:                        `c[4005,"Path not found"]`,
		`nonsense`:                          `c[4005,"Path not found"]`,
		subscribeTo("news"):                 `c[4005,"Path not found"]`,
	} {
		t.Run(message, func(t *testing.T) {
			run(t, nil, func(t *testing.T, r *rig) {
				r.poll(sockJS + "xhr")
				r.say(sockJS, message, subscribeTo("news"))
				lines := r.poll(sockJS + "xhr")
				if last := lines[len(lines)-1]; last != want {
					t.Errorf("got %q, want %q", last, want)
				}
				if n := r.over.Sessions(); n != 0 {
					t.Errorf("%d sessions are left", n)
				}
			})
		})
	}
}

// TestSockJSWithoutApp polls and never says which app it wants.
func TestSockJSWithoutApp(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		r.poll(sockJS + "xhr")
		began := time.Now()
		lines := r.poll(sockJS + "xhr")
		if last := lines[len(lines)-1]; last != `c[4005,"Path not found"]` || time.Since(began) != 25*time.Second {
			t.Errorf("got %q after %v", last, time.Since(began))
		}
		r.expectEnds(hub.End{Code: 4005, Reason: hub.Refused}, 1)
	})
}

func TestSockJSEvents(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s := r.get(sockJS + "eventsource")
		if got := s.res.Header.Get("Content-Type"); got != "text/event-stream; charset=UTF-8" {
			t.Errorf("Content-Type: got %q", got)
		}
		if got := s.res.Header.Get("Access-Control-Allow-Origin"); got != "https://shop.example" {
			t.Errorf("Access-Control-Allow-Origin: got %q", got)
		}
		s.expect("\r")
		s.expect("data: o")
		s.expect("")
		r.say(sockJS, `{"path":"/app/app-key?protocol=7&client=js"}`)
		_, _ = s.line()
		s.expect("")
		r.say(sockJS, subscribeTo("news"))
		_, _ = s.line()
		s.expect("")
		r.trigger("news", "hello", "100%")
		s.expect(`data: a["{\"event\":\"hello\",\"channel\":\"news\",\"data\":\"100%25\"}"]`)
		s.expect("")
		s.close()
	})
}

func TestSockJSInfo(t *testing.T) {
	run(t, nil, func(t *testing.T, r *rig) {
		s := r.get("http://server/pusher/info?t=1")
		line, _ := s.lines.ReadString('}')
		if !strings.HasPrefix(line, `{"websocket":false,"origins":["*:*"],"cookie_needed":false,"entropy":`) {
			t.Errorf("got %s", fmt.Sprint(line))
		}
		s.close()
	})
}
