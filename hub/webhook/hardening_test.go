package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
)

// successor takes over from a world's engine, with its store.
func (w *world) successor(t *testing.T, store Store, receivers hosts) {
	t.Helper()
	before := w.engine
	before.Close()
	before.sender = newSender(true, nil) // the end of the test closes it once more
	w.engine = &Engine{store: store, sender: newSender(true, nil), couriers: make(map[string]*running), log: before.log}
	w.engine.sender.client.Transport = receivers
	w.engine.SetApps([]hub.App{*w.app})
	t.Cleanup(w.engine.Close)
}

// TestTakenOverTwice: what a taken-over delivery has told is known to the owner after that,
// too, while another endpoint is still to be told.
func TestTakenOverTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken, hanging atomic.Bool
		broken.Store(true)
		bad := &receiver{answer: func(request, int) (int, time.Duration) {
			if broken.Load() {
				return 503, 0
			}
			return 200, 0
		}}
		slow := &receiver{answer: func(request, int) (int, time.Duration) {
			if hanging.Load() {
				return 500, time.Second
			}
			return 200, 0
		}}
		receivers := hosts{"bad": bad, "slow": slow}
		w := begin(t, receivers, hub.Webhook{URL: "http://bad/", Hooks: allHooks, Batch: true}, hub.Webhook{URL: "http://slow/", Hooks: allHooks, Batch: true})
		w.clientEvent("private-a", 0)
		pass(time.Second) // bad holds its channel now
		hanging.Store(true)
		w.clientEvent("private-a", 1)
		pass(500 * time.Millisecond)
		hanging.Store(false)
		w.successor(t, w.store, receivers)
		pass(10 * time.Second)
		if err := inOrder(slow.taken(), "private-a", 2); err != nil {
			t.Fatal(err)
		}
		broken.Store(false)
		w.successor(t, w.store, receivers)
		pass(time.Minute)
		if err := inOrder(slow.taken(), "private-a", 2); err != nil {
			t.Error("slow:", err)
		}
		if err := inOrder(bad.taken(), "private-a", 2); err != nil {
			t.Error("bad:", err)
		}
		if _, told, _ := w.store.Parcels(t.Context(), "1"); len(told) > 0 {
			t.Errorf("%v is kept for ever", told)
		}
	})
}

// forgetful is a store that does half of a commit, fails, and then returns everything again
// that was not removed.
type forgetful struct {
	*Memory
	fails atomic.Int32
	again atomic.Bool
}

func (f *forgetful) Commit(ctx context.Context, app string, c Change) error {
	if len(c.Remove) > 0 && f.fails.Add(-1) >= 0 {
		_ = f.Memory.Commit(ctx, app, Change{Take: c.Take})
		f.again.Store(true)
		return errors.New("out of reach")
	}
	return f.Memory.Commit(ctx, app, c)
}

func (f *forgetful) Occurrences(ctx context.Context, app string, fromStart bool) ([]hub.Occurrence, error) {
	return f.Memory.Occurrences(ctx, app, f.again.Swap(false) || fromStart)
}

// TestHalfACommit: what a store returns again is not told again.
func TestHalfACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		w := begin(t, hosts{"r": r}, hub.Webhook{URL: "http://r/", Hooks: allHooks, Batch: true})
		store := &forgetful{Memory: w.store}
		store.fails.Store(3)
		w.successor(t, store, hosts{"r": r})
		for i := range 30 {
			w.clientEvent("private-a", i)
		}
		pass(10 * time.Second)
		if err := inOrder(r.taken(), "private-a", 30); err != nil {
			t.Error(err)
		}
		if store.fails.Load() >= 0 {
			t.Error("no commit has failed")
		}
	})
}

// TestHungChannelsDelayNobody: an endpoint that does not answer for many channels is told of
// another one within seconds.
func TestHungChannelsDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(q request, _ int) (int, time.Duration) {
			if slices.ContainsFunc(q.events, func(e event) bool { return strings.HasPrefix(e.Channel, "private-hung") }) {
				return 200, time.Hour
			}
			return 200, 0
		}}
		w := begin(t, hosts{"r": r}, hub.Webhook{URL: "http://r/", Hooks: allHooks})
		for i := range 100 {
			w.clientEvent(fmt.Sprint("private-hung-", i), 0)
		}
		pass(3 * time.Minute)
		for i := range 10 {
			w.clientEvent("private-a", i)
			pass(5 * time.Second)
			if err := inOrder(r.taken(), "private-a", i+1); err != nil {
				t.Error(err)
			}
		}
		if r.most > maxInFlight {
			t.Errorf("%d requests at a time", r.most)
		}
	})
}

// TestRetriesAreBounded: deliveries that wait for another try count, too.
func TestRetriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(request, int) (int, time.Duration) { return 500, 0 }}
		w := begin(t, hosts{"r": r}, hub.Webhook{URL: "http://r/", Hooks: allHooks})
		data := []byte(`"` + strings.Repeat("x", 100_000) + `"`)
		for i := range 1000 {
			w.occur(hub.Occurrence{Kind: hub.HookClientEvent, Topic: hub.Topic{Channel: fmt.Sprint("private-", i)}, Event: "client-e", Data: data})
			pass(50 * time.Millisecond)
		}
		pass(2 * time.Second)
		s := w.engine.Stats()["1"]
		if s.WaitingBytes > MaxBytes || s.WaitingBytes < MaxBytes/2 || s.GivenUp == 0 {
			t.Errorf("%d bytes wait, %d were given up, %d dropped", s.WaitingBytes, s.GivenUp, s.Dropped)
		}
	})
}
