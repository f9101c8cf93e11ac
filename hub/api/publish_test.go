package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/hub/api"
	"channels/protocol"
)

const (
	key    = "app-key"
	secret = "app-secret"
)

// bus is a bus in memory whose publishes answer as a test wants.
type bus struct {
	*hub.Memory
	answer func(n int, channel string, done func(error)) // n publishes came before; nil = the Memory answers

	mu        sync.Mutex
	published []string // channels whose message has gone out
	calls     int
	once      map[hub.Part]bool // published already
}

func (b *bus) Publish(m hub.Message, done func(error)) {
	b.mu.Lock()
	n := b.calls
	b.calls++
	known := m.Once != nil && b.once[*m.Once]
	b.mu.Unlock()
	if known {
		done(nil)
		return
	}
	if b.answer == nil {
		b.deliver(m.Topic.Channel)
		b.Memory.Publish(m, done)
		return
	}
	b.answer(n, m.Topic.Channel, done)
}

func (b *bus) deliver(channel string) {
	b.mu.Lock()
	b.published = append(b.published, channel)
	b.mu.Unlock()
}

// failAfter publishes n messages and then answers err.
func (b *bus) failAfter(left int, err error) {
	b.answer = func(n int, channel string, done func(error)) {
		if n >= left {
			done(err)
			return
		}
		b.deliver(channel)
		done(nil)
	}
}

// blindState does not answer about channels.
type blindState struct{ hub.State }

func (blindState) ChannelInfos(context.Context, string, []string) ([]hub.ChannelInfo, error) {
	return nil, hub.ErrUnavailable
}

func (blindState) Channels(context.Context, string, string) ([]hub.ChannelInfo, error) {
	return nil, hub.ErrUnavailable
}

// rig is an API over a hub, without a server.
type rig struct {
	t   *testing.T
	bus *bus
	app *hub.App
	api *api.API
	log *bytes.Buffer
}

func newRig(t *testing.T, change func(*hub.App), state func(hub.State) hub.State) *rig {
	t.Helper()
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", key, secret
	if change != nil {
		change(&app)
	}
	memory := hub.NewMemory()
	b := &bus{Memory: memory}
	s := hub.State(memory)
	if state != nil {
		s = state(memory)
	}
	h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: b, State: s})
	t.Cleanup(func() { h.Close(); memory.Close() })
	log := new(bytes.Buffer)
	return &rig{t, b, h.AppByKey(key), api.New(api.Options{Hub: h, Log: slog.New(slog.NewTextHandler(log, nil))}), log}
}

func (r *rig) request(ctx context.Context, method, path, body string, params map[string]string) *httptest.ResponseRecorder {
	query := protocol.SignRequest(method, path, params, []byte(body), key, secret, time.Now())
	req := httptest.NewRequestWithContext(ctx, method, path+"?"+query, strings.NewReader(body))
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, req)
	return w
}

func (r *rig) post(path, body string) *httptest.ResponseRecorder {
	return r.request(r.t.Context(), "POST", path, body, nil)
}

func (r *rig) expect(w *httptest.ResponseRecorder, status int, want string) {
	r.t.Helper()
	if got := strings.TrimSuffix(w.Body.String(), "\n"); w.Code != status || got != want {
		r.t.Errorf("got %d %s, want %d %s", w.Code, got, status, want)
	}
}

// expectRefused wants this many events refused for this reason, and for no other.
func (r *rig) expectRefused(why api.Refusal, events uint64) {
	r.t.Helper()
	for reason, n := range r.api.Stats().Apps[r.app.ID].Refused {
		if want := map[bool]uint64{true: events}[reason == why]; n != want {
			r.t.Errorf("%d events refused as %s, want %d", n, reason, want)
		}
	}
}

func (r *rig) expectPublished(want ...string) {
	r.t.Helper()
	if got := strings.Join(r.bus.published, " "); got != strings.Join(want, " ") {
		r.t.Errorf("published %q, want %q", got, want)
	}
}

// batchOf is a batch of an event for each of the channels.
func batchOf(info string, channels ...string) string {
	events := make([]string, len(channels))
	for i, name := range channels {
		events[i] = fmt.Sprintf(`{"name":"e","channel":%q,"data":"x","info":%q}`, name, info)
	}
	return `{"batch":[` + strings.Join(events, ",") + `]}`
}

const oneForThree = `{"name":"e","channels":["a","b","c"],"data":"x"}`

func TestUnknownOutcome(t *testing.T) {
	const event = "The outcome is unknown: the event may have reached some subscribers, who get it twice if you publish it again"
	const batch = "The outcome is unknown: some events of the batch may have reached subscribers, who get them twice if you publish the batch again"
	for name, tt := range map[string]struct {
		path, body, want string
		left             int   // publishes that go out
		err              error // of the others
		events           uint64
	}{
		"batch, partly published":      {"batch_events", batchOf("", "a", "b", "c", "d", "e"), batch, 3, hub.ErrUnavailable, 5},
		"event, on some channels only": {"events", oneForThree, event, 2, hub.ErrUnavailable, 1},
		"event, answer lost":           {"events", oneForThree, event, 0, fmt.Errorf("no answer"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.bus.failAfter(tt.left, tt.err)
			w := r.post("/apps/1/"+tt.path, tt.body)
			r.expect(w, 503, tt.want)
			if w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			r.expectRefused(api.RefusedUnknown, tt.events)
			r.expectPublished([]string{"a", "b", "c"}[:tt.left]...)
			if r.log.Len() > 0 {
				t.Errorf("logged %s", r.log)
			}
		})
	}
}

// TestNotPublished holds that these words are true.
func TestNotPublished(t *testing.T) {
	for name, tt := range map[string]struct {
		path, body string
		events     uint64
	}{
		"batch": {"batch_events", batchOf("subscription_count", "a", "b"), 2},
		"event": {"events", oneForThree, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.bus.failAfter(0, fmt.Errorf("%w: for a test", hub.ErrUnavailable))
			w := r.post("/apps/1/"+tt.path, tt.body)
			if w.Code != 503 || !strings.HasPrefix(w.Body.String(), "Not published: ") || w.Header().Get("Retry-After") == "" {
				t.Errorf("got %d %s, want 503 Not published", w.Code, w.Body)
			}
			r.expectRefused(api.RefusedUnavailable, tt.events)
			r.expectPublished()
		})
	}
}

// stuckSocket is a client whose worker hangs until it is released.
type stuckSocket struct{ release chan struct{} }

func (s stuckSocket) Send([][]byte) hub.Backlog           { <-s.release; return hub.Clear }
func (stuckSocket) Backlog() hub.Backlog                  { return hub.Clear }
func (stuckSocket) Stalled() time.Duration                { return 0 }
func (stuckSocket) Deflates() bool                        { return false }
func (stuckSocket) Close(protocol.Fault, hub.CloseReason) {}

// TestOverloadIsNotPublished has a node that holds as much as it may.
func TestOverloadIsNotPublished(t *testing.T) {
	for name, tt := range map[string]struct {
		path, body string
		hangsUp    bool
		status     int
		want       string
		why        api.Refusal
		events     uint64
	}{
		"event":     {"events", oneForThree, false, 503, "Not published: " + hub.ErrOverloaded.Error(), api.RefusedOverload, 1},
		"batch":     {"batch_events", batchOf("", "a", "b"), false, 503, "Not published: " + hub.ErrOverloaded.Error(), api.RefusedOverload, 2},
		"hanged up": {"events", oneForThree, true, 499, "Not published: the client closed the request", api.RefusedCanceled, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := hub.DefaultApp()
				app.ID, app.Key, app.Secret = "1", key, secret
				b := &bus{Memory: hub.NewMemory()}
				defer b.Close()
				h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: b, State: b.Memory, Workers: 1, MailboxBytes: 1})
				defer h.Close()
				r := &rig{t: t, bus: b, app: h.AppByKey(key), api: api.New(api.Options{Hub: h}), log: new(bytes.Buffer)}
				socket := stuckSocket{make(chan struct{})}
				defer close(socket.release)
				c, err := h.Connect(r.app, socket)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				c.Receive([]byte(`{"event":"pusher:subscribe","data":{"channel":"a"}}`))
				ctx, hangUp := context.WithCancel(t.Context())
				defer hangUp()
				if tt.hangsUp {
					time.AfterFunc(100*time.Millisecond, hangUp)
				}
				start := time.Now()
				r.expect(r.request(ctx, "POST", "/apps/1/"+tt.path, tt.body, nil), tt.status, tt.want)
				if took := time.Since(start); took > time.Second {
					t.Errorf("answered after %v, want a second at most", took)
				}
				r.expectRefused(tt.why, tt.events)
				r.expectPublished()
			})
		})
	}
}

// TestBatchIsPublishedTogether has a bus that answers nobody before it has all.
func TestBatchIsPublishedTogether(t *testing.T) {
	r := newRig(t, nil, nil)
	var waiting []func(error)
	r.bus.answer = func(n int, channel string, done func(error)) {
		r.bus.deliver(channel)
		if waiting = append(waiting, done); len(waiting) == 5 {
			for _, done := range waiting {
				go done(nil)
			}
		}
	}
	r.expect(r.post("/apps/1/batch_events", batchOf("", "a", "b", "c", "d", "e")), 200, "{}")
	r.expectPublished("a", "b", "c", "d", "e")
}

func TestEventRateOfBatches(t *testing.T) {
	r := newRig(t, func(a *hub.App) { a.EventsPerSecond = 2; a.MaxBatch = 4 }, nil)
	r.expect(r.post("/apps/1/batch_events", batchOf("", "a", "b", "c", "d")), 200, "{}")
	w := r.post("/apps/1/batch_events", batchOf("", "e", "f", "g"))
	r.expect(w, 429, "Event rate limit exceeded: this app may publish 2 events per second, try again in a moment")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.expectRefused(api.RefusedRate, 3)
	r.expectPublished("a", "b", "c", "d")
}

// TestInfoFailsAfterPublishing leaves the attributes out of a success.
func TestInfoFailsAfterPublishing(t *testing.T) {
	r := newRig(t, nil, func(s hub.State) hub.State { return blindState{s} })
	r.expect(r.post("/apps/1/events", `{"name":"e","channels":["a","presence-b"],"data":"x","info":"subscription_count,user_count"}`),
		200, `{"channels":{"a":{},"presence-b":{}}}`)
	r.expect(r.post("/apps/1/batch_events", batchOf("subscription_count", "c", "d")), 200, `{"batch":[{},{}]}`)
	r.expectPublished("a", "presence-b", "c", "d")
	if n := r.api.Stats().Apps[r.app.ID].FailedInfos; n != 2 {
		t.Errorf("%d failed lookups counted, want 2", n)
	}
	r.expectRefused("", 0)
}

// askedState counts its calls.
type askedState struct {
	hub.State
	calls, names int
}

func (s *askedState) ChannelInfos(ctx context.Context, app string, names []string) ([]hub.ChannelInfo, error) {
	s.calls++
	s.names += len(names)
	return s.State.ChannelInfos(ctx, app, names)
}

// TestInfoIsLookedUpTogether asks once for all channels, and once for each of them.
func TestInfoIsLookedUpTogether(t *testing.T) {
	for name, tt := range map[string]struct {
		path, body, want string
		names            int
	}{
		"event": {"events", `{"name":"e","channels":["a","presence-b","c"],"data":"x","info":"subscription_count,user_count"}`,
			`{"channels":{"a":{"subscription_count":0},"c":{"subscription_count":0},"presence-b":{"user_count":0,"subscription_count":0}}}`, 3},
		"event, for users only": {"events", `{"name":"e","channels":["a","presence-b","c"],"data":"x","info":"user_count"}`,
			`{"channels":{"a":{},"c":{},"presence-b":{"user_count":0}}}`, 1},
		"batch of one channel": {"batch_events", batchOf("subscription_count", "a", "a", "a"),
			`{"batch":[{"subscription_count":0},{"subscription_count":0},{"subscription_count":0}]}`, 1},
		"nothing that applies": {"batch_events", batchOf("user_count", "a", "b"), `{"batch":[{},{}]}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var asked *askedState
			r := newRig(t, nil, func(s hub.State) hub.State {
				asked = &askedState{State: s}
				return asked
			})
			r.expect(r.post("/apps/1/"+tt.path, tt.body), 200, tt.want)
			if asked.calls > 1 || asked.names != tt.names {
				t.Errorf("%d lookups of %d channels, want at most one of %d", asked.calls, asked.names, tt.names)
			}
		})
	}
}

// TestQueriesWhileTheStateIsAway asks what only the State knows.
func TestQueriesWhileTheStateIsAway(t *testing.T) {
	r := newRig(t, nil, func(s hub.State) hub.State { return blindState{s} })
	for _, path := range []string{"/apps/1/channels", "/apps/1/channels/a"} {
		w := r.request(t.Context(), "GET", path, "", nil)
		r.expect(w, 503, "Try again later: "+hub.ErrUnavailable.Error())
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
}

// TestPublisherHangsUp is no error of the server.
func TestPublisherHangsUp(t *testing.T) {
	for name, body := range map[string]string{"events": oneForThree, "batch_events": batchOf("", "a", "b", "c")} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			ctx, hangUp := context.WithCancel(t.Context())
			r.bus.answer = func(n int, _ string, _ func(error)) {
				if n == 2 {
					hangUp()
				}
			}
			w := r.request(ctx, "POST", "/apps/1/"+name, body, nil)
			r.expect(w, 499, "The client closed the request: the outcome is unknown")
			r.expectRefused(api.RefusedCanceled, map[string]uint64{"events": 1, "batch_events": 3}[name])
			stats := r.api.Stats()
			if stats.Responses[499] != 1 || stats.Responses[500] != 0 || stats.Responses[503] != 0 {
				t.Errorf("responses %v, want one 499", stats.Responses)
			}
			if r.log.Len() > 0 {
				t.Errorf("logged %s", r.log)
			}
		})
	}
}

// TestBodyIsReadLast asks with bodies that must not be read.
func TestBodyIsReadLast(t *testing.T) {
	signed := protocol.SignRequest("POST", "/apps/1/events", nil, []byte("{}"), key, secret, time.Now())
	noDigest := protocol.SignRequest("POST", "/apps/1/events", nil, nil, key, secret, time.Now())
	for name, tt := range map[string]struct {
		query  string
		length int64
		read   int64 // bytes of the body, at most
		status int
		want   string
	}{
		"no key":          {"", 100, 0, 401, "Missing parameter: auth_key"},
		"unknown key":     {"auth_key=nobody", 100, 0, 401, "Unknown auth_key"},
		"no signature":    {"auth_key=" + key, 100, 0, 401, "Version required"},
		"wrong signature": {signed + "0", 100, 0, 401, "Invalid signature: "},
		"length over the limit": {signed, 1 << 30, 0, 413,
			"The request body exceeds the allowed maximum ("},
		"no digest":               {noDigest, 100, 1, 401, "Missing parameter: body_md5"},
		"no digest, no length":    {noDigest, -1, 1, 401, "Missing parameter: body_md5"},
		"no length":               {signed, -1, 1 << 20, 413, "The request body exceeds the allowed maximum ("},
		"another than was signed": {signed, 100, 1 << 10, 401, "Invalid body_md5: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			body := &counter{left: 2 << 20}
			if tt.length > 0 {
				body.left = tt.length
			}
			req := httptest.NewRequest(http.MethodPost, "/apps/1/events?"+tt.query, body)
			req.ContentLength = tt.length
			w := httptest.NewRecorder()
			r.api.ServeHTTP(w, req)
			if w.Code != tt.status || !strings.HasPrefix(w.Body.String(), tt.want) {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, tt.status, tt.want)
			}
			if body.read > tt.read {
				t.Errorf("%d bytes of the body were read, want at most %d", body.read, tt.read)
			}
			if w.Header().Get("Connection") != "close" {
				t.Error("the connection stays open though the body was not read")
			}
		})
	}
}

// counter is a body that counts what is read of it.
type counter struct{ left, read int64 }

func (c *counter) Read(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	if n == 0 {
		return 0, io.EOF
	}
	c.left -= n
	c.read += n
	return int(n), nil
}
