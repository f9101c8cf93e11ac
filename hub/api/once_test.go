package api_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// postOnce publishes with an idempotency key in a header, or in the body where there is none.
func (r *rig) postOnce(path, body, header string) *httptest.ResponseRecorder {
	query := protocol.SignRequest("POST", path, nil, []byte(body), key, secret, time.Now())
	req := httptest.NewRequestWithContext(r.t.Context(), "POST", path+"?"+query, strings.NewReader(body))
	if header != "" {
		req.Header.Set("Idempotency-Key", header)
	}
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, req)
	return w
}

func TestPublishedOnce(t *testing.T) {
	r := newRig(t, nil, nil)
	const event = `{"name":"e","channels":["a","b"],"data":"x","info":"subscription_count"}`
	want := `{"channels":{"a":{"subscription_count":0},"b":{"subscription_count":0}}}`
	for range 3 {
		r.expect(r.postOnce("/apps/1/events", event, "k1"), 200, want)
	}
	r.expectPublished("a", "b")
	r.expect(r.postOnce("/apps/1/events", event, "k2"), 200, want)
	r.expectPublished("a", "b", "a", "b")
	r.expect(r.postOnce("/apps/1/events", `{"name":"e","channel":"a","data":"y"}`, "k1"),
		422, "This idempotency key was used with another body in the last five minutes")
	inBody := `{"name":"e","channel":"c","data":"x","idempotency_key":"k3"}`
	for range 2 {
		r.expect(r.postOnce("/apps/1/events", inBody, ""), 200, "{}")
	}
	for range 2 {
		r.expect(r.postOnce("/apps/1/batch_events", `{"batch":[{"name":"e","channel":"d","data":"x"}],"idempotency_key":"k4"}`, ""), 200, "{}")
	}
	r.expectPublished("a", "b", "a", "b", "c", "d")
	r.expect(r.postOnce("/apps/1/events", inBody, "k5"), 400, "The Idempotency-Key header and idempotency_key in the body differ")
	r.expect(r.postOnce("/apps/1/events", event, strings.Repeat("k", 256)), 400, "The idempotency key exceeds the allowed maximum (255 bytes)")
	r.expect(r.postOnce("/apps/1/events", `{"name":"e","channel":"c","data":"x","idempotency_key":5}`, ""), 400, "idempotency_key must be a string")
}

// TestRetryPublishesTheRest: of a request that was carried out in part, the same again
// publishes the parts that were not.
func TestRetryPublishesTheRest(t *testing.T) {
	r := newRig(t, nil, nil)
	failing := true
	r.bus.answer = func(n int, channel string, done func(error)) {
		if failing && channel != "a" {
			done(hub.ErrUnavailable)
			return
		}
		r.bus.deliver(channel)
		done(nil)
	}
	body := `{"name":"e","channels":["a","b","c"],"data":"x"}`
	if w := r.postOnce("/apps/1/events", body, "k"); w.Code != 503 || !strings.Contains(w.Body.String(), "unknown") {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	failing = false
	r.bus.once = make(map[hub.Part]bool)
	r.bus.once[partOf("k", body, 0)] = true // as a bus knows it, which has taken it
	r.expect(r.postOnce("/apps/1/events", body, "k"), 200, "{}")
	r.expectPublished("a", "b", "c")
	r.expect(r.postOnce("/apps/1/events", body, "k"), 200, "{}")
	r.expectPublished("a", "b", "c")
}

func partOf(key, body string, index int) hub.Part {
	return hub.Part{Key: hub.NewOnce(key, []byte(body)).Key, Index: index}
}

// TestTwins: requests with the same key that come together are carried out once.
func TestTwins(t *testing.T) {
	r := newRig(t, nil, nil)
	r.bus.answer = func(_ int, channel string, done func(error)) {
		r.bus.deliver(channel)
		time.AfterFunc(50*time.Millisecond, func() { done(nil) })
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			body := fmt.Sprintf(`{"name":"e","channel":"c-%d","data":"x"}`, i%2)
			if w := r.postOnce("/apps/1/events", body, fmt.Sprint("k", i%2)); w.Code != 200 {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if len(r.bus.published) != 2 {
		t.Errorf("published %v", r.bus.published)
	}
}

// TestTwinHangsUp: one that waits for another goes when its client does.
func TestTwinHangsUp(t *testing.T) {
	r := newRig(t, nil, nil)
	held := make(chan func(error), 1)
	r.bus.answer = func(_ int, _ string, done func(error)) { held <- done }
	body := `{"name":"e","channel":"c","data":"x","idempotency_key":"k"}`
	first := make(chan int, 1)
	go func() { first <- r.post("/apps/1/events", body).Code }()
	done := <-held
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w := r.request(ctx, "POST", "/apps/1/events", body, nil); w.Code != 499 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	done(nil)
	if code := <-first; code != 200 {
		t.Errorf("got %d", code)
	}
}
