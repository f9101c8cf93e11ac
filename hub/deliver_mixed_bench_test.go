package hub_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"channels/hub"
)

// BenchmarkDeliverMixed has events of ten channels come in turns to 200 sockets
// that subscribe to all of them: nothing can be handed over as it comes.
func BenchmarkDeliverMixed(b *testing.B) {
	const channels, sockets = 10, 200
	c := newCrowd(b, 0)
	count := new([8]atomic.Int64)
	c.counts = append(c.counts, count)
	for range sockets {
		conn, err := c.hub.Connect(c.app, discarding{frames: &count[0]})
		if err != nil {
			b.Fatal(err)
		}
		for i := range channels {
			receive(conn, fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"channel":"hot-%d"}}`, i))
		}
	}
	before := int64(sockets * (1 + channels))
	c.await(b, before)
	e := hub.Event{Name: "event", Data: []byte(`"` + strings.Repeat("x", 100) + `"`)}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		e.Channels = []string{fmt.Sprint("hot-", i%channels)}
		if err := c.hub.Trigger(context.Background(), c.app, e); err != nil {
			b.Fatal(err)
		}
	}
	c.await(b, before+int64(b.N)*sockets)
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sockets, "ns/delivery")
}
