package storetest

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/webhook"
)

// Transitions measures how fast channels are occupied and vacated with one batching endpoint
// that is told of it, until everything has arrived.
func Transitions(b *testing.B, n Node) {
	var arrived atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		var body struct{ Events []json.RawMessage }
		text, _ := io.ReadAll(q.Body)
		_ = json.Unmarshal(text, &body)
		arrived.Add(int64(len(body.Events)))
	}))
	defer receiver.Close()
	engine := webhook.Start(webhook.Options{
		Apps: []hub.App{{ID: "1", Key: "k", Secret: "s", Webhooks: []hub.Webhook{{
			URL: receiver.URL, Hooks: hub.HookOccupied | hub.HookVacated, Batch: true,
		}}}},
		Store: n.Store, Log: slog.New(slog.DiscardHandler), AllowPrivate: true,
	})
	defer engine.Close()
	const hooks = hub.HookOccupied | hub.HookVacated
	b.SetParallelism(32)
	b.ResetTimer()
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		done := make(chan error, 1)
		for pb.Next() {
			to := topic(fmt.Sprint("c-", next.Add(1)))
			n.State.Join(hub.Join{Topic: to, Subscribers: 1, Hooks: hooks}, func(_ hub.Joined, err error) { done <- err })
			if err := <-done; err != nil {
				b.Error(err)
			}
			n.State.Leave(hub.Leave{Topic: to, Hooks: hooks}, func(err error) { done <- err })
			if err := <-done; err != nil {
				b.Error(err)
			}
		}
	})
	for arrived.Load() < 2*int64(b.N) {
		time.Sleep(10 * time.Millisecond)
	}
	b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
