package chatapp

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkReconnect has 1,000 people in 20 rooms of 1,000, all live; then the
// realtime server is killed and started again. It reports how long it takes from
// there until all are live again, the processor time of chat and server,
// and how many answers were 5xx. Each person makes the requests that the page
// makes, when pusher-js would: at once, and then after a second.
func BenchmarkReconnect(b *testing.B) {
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		b.Run(database, func(b *testing.B) {
			for range b.N {
				benchReconnect(b, database)
			}
		})
	}
}

func benchReconnect(b *testing.B, database string) {
	const users, rooms = 1000, 20
	ctx, stop := context.WithCancel(context.Background())
	c, chat, members := newCrowd(b, database, TransportPush, users, rooms)
	var live atomic.Int64
	var retries atomic.Int64
	connectAll := func() {
		live.Store(0)
		var all sync.WaitGroup
		for _, u := range members {
			all.Go(func() {
				for ctx.Err() == nil {
					if u.connect(ctx) == nil {
						live.Add(1)
						return
					}
					retries.Add(1)
					wait(ctx, time.Second)
				}
			})
		}
		all.Wait()
	}
	connectAll()
	var hearing sync.WaitGroup
	for _, u := range members {
		hearing.Go(func() { u.hear(ctx) })
	}
	c.server.kill()
	hearing.Wait()
	c.server.start(b)
	c.requests.Store(0)
	c.failed.Store(0)
	retries.Store(0)
	before := cpuOf(b, chat.Process.Pid)
	began := time.Now()
	connectAll()
	took := time.Since(began)
	chatUsed, serverUsed := cpuOf(b, chat.Process.Pid)-before, cpuOf(b, c.server.process.Process.Pid)
	stop()
	if n := live.Load(); n != users {
		b.Fatalf("%d are live, want %d", n, users)
	}
	b.ReportMetric(took.Seconds(), "s-until-live")
	b.ReportMetric(chatUsed.Seconds(), "chat-CPU-s")
	b.ReportMetric(serverUsed.Seconds(), "server-CPU-s")
	b.ReportMetric(float64(c.failed.Load()), "5xx")
	b.ReportMetric(float64(retries.Load()), "retries")
	b.ReportMetric(float64(c.requests.Load()), "requests")
	b.ReportMetric(0, "ns/op")
}
