package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
)

// receiver is an endpoint without a network, for time that does not pass by itself.
type receiver struct {
	mu       sync.Mutex
	requests []request
	inFlight int
	most     int                                           // requests at a time
	answer   func(r request, try int) (int, time.Duration) // status, after some time
	tries    map[string]int                                // by delivery
}

type request struct {
	delivery string
	body     string
	at       time.Time
	status   int
	events   []event
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	text, _ := io.ReadAll(q.Body)
	got := request{delivery: q.Header.Get(deliveryHeader), body: string(text), at: time.Now()}
	var body struct{ Events []event }
	_ = json.Unmarshal(text, &body)
	got.events = body.Events
	r.mu.Lock()
	if r.tries == nil {
		r.tries = map[string]int{}
	}
	r.tries[got.delivery]++
	try := r.tries[got.delivery]
	r.inFlight++
	r.most = max(r.most, r.inFlight)
	r.mu.Unlock()
	status, wait := http.StatusOK, time.Duration(0)
	if r.answer != nil {
		status, wait = r.answer(got, try)
	}
	select {
	case <-time.After(wait):
	case <-q.Context().Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight--
	got.status = status
	r.requests = append(r.requests, got)
	w.WriteHeader(status)
}

// taken are the events that were answered 2xx, in the order of the answers.
func (r *receiver) taken() (events []event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.requests {
		if q.status/100 == 2 {
			events = append(events, q.events...)
		}
	}
	return events
}

// hosts are receivers by their host.
type hosts map[string]*receiver

func (h hosts) RoundTrip(q *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h[q.URL.Host].ServeHTTP(w, q)
	if err := q.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// brokenReceiver answers one status until it is not broken any more, and then another.
func brokenReceiver(status, then int) (*receiver, *atomic.Bool) {
	broken := new(atomic.Bool)
	broken.Store(true)
	return &receiver{answer: func(request, int) (int, time.Duration) {
		if broken.Load() {
			return status, 0
		}
		return then, 0
	}}, broken
}

const allHooks = hub.HookOccupied | hub.HookVacated | hub.HookMemberAdded | hub.HookMemberRemoved | hub.HookClientEvent | hub.HookCacheMiss | hub.HookCount

// world is an engine whose endpoints are receivers.
type world struct {
	engine *Engine
	store  *Memory
	app    *hub.App
}

func begin(t *testing.T, receivers hosts, webhooks ...hub.Webhook) *world {
	t.Helper()
	apps := []hub.App{{ID: "1", Key: "key", Secret: "secret", Webhooks: webhooks}}
	store := NewMemory()
	e := &Engine{store: store, sender: newSender(true, nil), couriers: make(map[string]*running), log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	e.sender.client.Transport = receivers
	e.SetApps(apps)
	t.Cleanup(e.Close)
	return &world{e, store, &apps[0]}
}

func (w *world) occur(o hub.Occurrence) {
	o.Topic.App, o.At = "1", time.Now()
	w.store.Note(o)
}

func (w *world) clientEvent(channel string, n int) {
	w.occur(hub.Occurrence{Kind: hub.HookClientEvent, Topic: hub.Topic{Channel: channel}, Event: fmt.Sprint("client-", n), Data: []byte(`"x"`)})
}

// pass lets time pass, and waits for what happens in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// inOrder says what is missing of so many client events of a channel, or out of order.
func inOrder(events []event, channel string, count int) error {
	next := 0
	for _, e := range events {
		if e.Channel != channel {
			continue
		}
		if e.Event != fmt.Sprint("client-", next) {
			return fmt.Errorf("%s: %s came in place of number %d", channel, e.Event, next)
		}
		next++
	}
	if next != count {
		return fmt.Errorf("%s: %d of %d events came", channel, next, count)
	}
	return nil
}

// TestBatches: up to 20 events in a request, after 250 ms at most; without batches one.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many, single := &receiver{}, &receiver{}
		w := begin(t, hosts{"many": many, "single": single},
			hub.Webhook{URL: "http://many/", Hooks: allHooks, Batch: true}, hub.Webhook{URL: "http://single/", Hooks: allHooks})
		began := time.Now()
		for i := range 45 {
			w.clientEvent(fmt.Sprint("private-", i), 0)
		}
		pass(time.Second)
		var sizes []int
		for _, q := range many.requests {
			sizes = append(sizes, len(q.events))
			if wait := q.at.Sub(began); wait > batchWait+2*gather {
				t.Errorf("a request was made after %v", wait)
			}
		}
		if !slices.Equal(sizes, []int{20, 20, 5}) {
			t.Errorf("requests of %v events", sizes)
		}
		if len(single.requests) != 45 || len(single.requests[0].events) != 1 {
			t.Errorf("%d requests without batches", len(single.requests))
		}
	})
}

// TestOrderOverRetries: an endpoint that refuses at random gets every event, each channel
// in order, with at most eight requests at a time; a repeat is the same in every byte.
func TestOrderOverRetries(t *testing.T) {
	for _, batch := range []bool{true, false} {
		t.Run(fmt.Sprint("batch ", batch), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: func(q request, try int) (int, time.Duration) {
					return []int{200, 500, 301, 200, 404}[(int(q.delivery[len(q.delivery)-1])+try)%5], 50 * time.Millisecond
				}}
				w := begin(t, hosts{"r": r}, hub.Webhook{URL: "http://r/", Hooks: allHooks, Batch: batch})
				for i := range 30 {
					for c := range 20 {
						w.clientEvent(fmt.Sprint("private-", c), i)
					}
					time.Sleep(30 * time.Millisecond)
				}
				pass(30 * time.Minute)
				for c := range 20 {
					if err := inOrder(r.taken(), fmt.Sprint("private-", c), 30); err != nil {
						t.Error(err)
					}
				}
				if r.most > maxInFlight {
					t.Errorf("%d requests at a time", r.most)
				}
				bodies := map[string]string{}
				for _, q := range r.requests {
					if before, again := bodies[q.delivery]; again && before != q.body {
						t.Errorf("delivery %s: %s, and then %s", q.delivery, before, q.body)
					}
					bodies[q.delivery] = q.body
				}
				if len(bodies) == len(r.requests) {
					t.Error("nothing was repeated: the test proves nothing")
				}
			})
		})
	}
}

// TestBackoff: pauses between tries grow and differ; after five minutes a delivery is
// given up, and can be replayed.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, broken := brokenReceiver(500, 204)
		w := begin(t, hosts{"r": r}, hub.Webhook{URL: "http://r/", Hooks: allHooks, Batch: true})
		began := time.Now()
		w.clientEvent("private-a", 0)
		pass(10 * time.Minute)
		var pauses []time.Duration
		for i := 1; i < len(r.requests); i++ {
			pauses = append(pauses, r.requests[i].at.Sub(r.requests[i-1].at))
		}
		if n := len(pauses); n < 6 || n > 20 || pauses[0] > 2*time.Second || pauses[4] < 8*time.Second || slices.Max(pauses) > mostPause*3/2+time.Second {
			t.Errorf("pauses %v", pauses)
		}
		last := r.requests[len(r.requests)-1].at.Sub(began)
		if last < lifetime || last > lifetime+2*mostPause {
			t.Errorf("the last try was after %v", last)
		}
		failed, err := w.engine.Failed(t.Context(), w.app)
		if err != nil || len(failed) != 1 || failed[0].Reason != "the endpoint answered 500" {
			t.Fatalf("given up: %+v, %v", failed, err)
		}
		broken.Store(false)
		if n, err := w.engine.Replay(t.Context(), w.app, failed[0].ID); n != 1 || err != nil {
			t.Fatalf("replayed %d, %v", n, err)
		}
		pass(5 * time.Second)
		got := r.requests[len(r.requests)-1]
		if got.status != 204 || got.delivery != failed[0].ID || len(got.events) != 1 {
			t.Errorf("replayed: %+v", got)
		}
		if s := w.engine.Stats()["1"]; s.Waiting != 0 || s.WaitingBytes != 0 || s.GivenUp != 1 || s.Delivered != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestADeadEndpointDelaysNobody: neither another endpoint, nor channels that it has
// nothing of.
func TestADeadEndpointDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &receiver{answer: func(request, int) (int, time.Duration) { return 200, time.Hour }}
		picky := &receiver{answer: func(q request, _ int) (int, time.Duration) {
			if slices.ContainsFunc(q.events, func(e event) bool { return e.Channel == "private-bad" }) {
				return 500, 0
			}
			return 200, 0
		}}
		live := &receiver{}
		w := begin(t, hosts{"dead": dead, "picky": picky, "live": live},
			hub.Webhook{URL: "http://dead/", Hooks: allHooks}, hub.Webhook{URL: "http://picky/", Hooks: allHooks, Batch: true},
			hub.Webhook{URL: "http://live/", Hooks: allHooks, Batch: true})
		w.clientEvent("private-bad", 0)
		pass(time.Second)
		for i := range 100 {
			w.clientEvent("private-a", i)
			w.clientEvent("private-bad", i+1)
		}
		pass(3 * time.Second)
		if err := inOrder(live.taken(), "private-a", 100); err != nil {
			t.Error("live:", err)
		}
		if err := inOrder(live.taken(), "private-bad", 101); err != nil {
			t.Error("live:", err)
		}
		if err := inOrder(picky.taken(), "private-a", 100); err != nil {
			t.Error("picky:", err)
		}
		pass(20 * time.Minute)
		failed, err := w.engine.Failed(t.Context(), w.app)
		events := 0
		for _, f := range failed {
			var body struct{ Events []event }
			_ = json.Unmarshal(f.Body, &body)
			events += len(body.Events)
		}
		if want := 201 + 101; err != nil || events != want {
			t.Errorf("%d events were given up, want %d: %v", events, want, err)
		}
		if s := w.engine.Stats()["1"]; s.Waiting != 0 || s.WaitingBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPrefix: an endpoint is told of its kinds and channels only.
func TestPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		w := begin(t, hosts{"r": r}, hub.Webhook{URL: "http://r/", Hooks: hub.HookOccupied, ChannelPrefix: "private-"})
		w.occur(hub.Occurrence{Kind: hub.HookOccupied, Topic: hub.Topic{Channel: "public"}})
		w.occur(hub.Occurrence{Kind: hub.HookOccupied, Topic: hub.Topic{Channel: "private-a"}})
		w.occur(hub.Occurrence{Kind: hub.HookVacated, Topic: hub.Topic{Channel: "private-a"}})
		pass(time.Second)
		if got := r.taken(); len(got) != 1 || got[0].Channel != "private-a" || got[0].Name != "channel_occupied" {
			t.Errorf("%+v", got)
		}
	})
}

// TestTakeOver: another owner sends again what was under way, in the same form, and tells
// nobody twice who was told.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, broken := brokenReceiver(503, 200)
		good := &receiver{}
		receivers := hosts{"bad": bad, "good": good}
		webhooks := []hub.Webhook{{URL: "http://bad/", Hooks: allHooks, Batch: true}, {URL: "http://good/", Hooks: allHooks, Batch: true}}
		w := begin(t, receivers, webhooks...)
		for i := range 50 {
			w.clientEvent("private-a", i)
		}
		pass(5 * time.Second)
		sent := len(good.taken())
		broken.Store(false)
		w.successor(t, w.store, receivers)
		pass(time.Minute)
		if err := inOrder(bad.taken(), "private-a", 50); err != nil {
			t.Error(err)
		}
		if err := inOrder(good.taken(), "private-a", 50); err != nil || sent != 50 {
			t.Errorf("%v; %d were sent before", err, sent)
		}
		first := bad.requests[0]
		if bad.tries[first.delivery] < 3 {
			t.Errorf("the first delivery was tried %d times", bad.tries[first.delivery])
		}
	})
}

// TestBounded: when nothing arrives, what waits is bounded, and what is given up is
// listed.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(request, int) (int, time.Duration) { return 500, 0 }}
		w := begin(t, hosts{"r": r}, hub.Webhook{URL: "http://r/", Hooks: allHooks, Batch: true})
		data := []byte(`"` + string(make([]byte, 10_000)) + `"`)
		for i := range data[1 : len(data)-1] {
			data[i+1] = 'x'
		}
		for range 10_000 {
			w.occur(hub.Occurrence{Kind: hub.HookClientEvent, Topic: hub.Topic{Channel: "private-a"}, Event: "client-e", Data: data})
		}
		pass(20 * time.Second)
		s := w.engine.Stats()["1"]
		if s.WaitingBytes > MaxBytes || s.Dropped+s.GivenUp == 0 {
			t.Errorf("%d bytes wait, %d dropped, %d given up", s.WaitingBytes, s.Dropped, s.GivenUp)
		}
	})
}
