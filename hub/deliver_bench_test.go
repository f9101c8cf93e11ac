package hub_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// discarding is a socket that takes everything, and writes as much as a kernel's
// call costs: nothing.
type discarding struct {
	frames   *atomic.Int64
	deflates bool
	_        [40]byte // not beside another's counter
}

func (d discarding) Send(frames [][]byte) hub.Backlog {
	d.frames.Add(int64(len(frames)))
	return hub.Clear
}

func (discarding) Backlog() hub.Backlog   { return hub.Clear }
func (discarding) Stalled() time.Duration { return 0 }
func (d discarding) Deflates() bool       { return d.deflates }

func (discarding) Close(protocol.Fault, hub.CloseReason) {}

// crowd is a hub with subscribers that discard, and what they got.
type crowd struct {
	hub    *hub.Hub
	app    *hub.App
	counts []*[8]atomic.Int64 // each in lines of the cache of its own

	deflating int // one of so many reads compressed events; 0 = none
}

// mailboxBytes bounds by how much publishers are ahead of each worker: some
// hundred events.
const mailboxBytes = 32 << 10

func newCrowd(tb testing.TB, sockets int) *crowd {
	tb.Helper()
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", "key", "secret"
	memory := hub.NewMemory()
	h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory, MailboxBytes: mailboxBytes * runtime.GOMAXPROCS(0)})
	tb.Cleanup(func() { h.Close(); memory.Close() })
	c := &crowd{hub: h, app: h.AppByID("1")}
	c.join(tb, sockets)
	return c
}

// join adds subscribers of the hot channel.
func (c *crowd) join(tb testing.TB, sockets int) {
	tb.Helper()
	before := c.total()
	for i := range sockets {
		count := new([8]atomic.Int64)
		c.counts = append(c.counts, count)
		conn, err := c.hub.Connect(c.app, discarding{frames: &count[0], deflates: c.deflating > 0 && i%c.deflating == 0})
		if err != nil {
			tb.Fatal(err)
		}
		receive(conn, []byte(`{"event":"pusher:subscribe","data":{"channel":"hot"}}`))
	}
	c.await(tb, before+2*int64(sockets)) // greeted and acknowledged
}

func (c *crowd) total() (n int64) {
	for _, count := range c.counts {
		n += count[0].Load()
	}
	return n
}

// await waits until so many frames were handed over in all.
func (c *crowd) await(tb testing.TB, frames int64) {
	tb.Helper()
	for end := time.Now().Add(time.Minute); c.total() < frames; {
		if time.Now().After(end) {
			tb.Fatalf("%d frames were delivered, want %d", c.total(), frames)
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// BenchmarkDeliver has one event go to 1,000 sockets that discard it: everything
// of a delivery but the kernel's part. Run it with -cpu 1,2.
func BenchmarkDeliver(b *testing.B) {
	const sockets = 1000
	c := newCrowd(b, sockets)
	before := c.total()
	e := hub.Event{Name: "event", Channels: []string{"hot"}, Data: []byte(`"` + strings.Repeat("x", 100) + `"`)}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := c.hub.Trigger(context.Background(), c.app, e); err != nil {
			b.Fatal(err)
		}
	}
	c.await(b, before+int64(b.N)*sockets)
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sockets, "ns/delivery")
}

// TestDeliveryAllocates holds the promise that a delivery allocates nothing: what
// an event to a thousand sockets costs in allocations is what one to ten costs.
func TestDeliveryAllocates(t *testing.T) {
	e := hub.Event{Name: "event", Channels: []string{"hot"}, Data: []byte(`"text"`)}
	perEvent := map[int]float64{}
	for _, sockets := range []int{10, 1000} {
		t.Run(fmt.Sprint(sockets, " sockets"), func(t *testing.T) {
			c := newCrowd(t, sockets)
			got := c.total()
			trigger := func() {
				if err := c.hub.Trigger(context.Background(), c.app, e); err != nil {
					t.Fatal(err)
				}
				got += int64(sockets)
				c.await(t, got)
			}
			for range 50 { // what is kept from one event to the next grows to its size
				trigger()
			}
			perEvent[sockets] = testing.AllocsPerRun(200, trigger)
		})
	}
	if perEvent[1000] > perEvent[10]+5 {
		t.Errorf("an event to 1,000 sockets makes %v allocations, one to 10 makes %v", perEvent[1000], perEvent[10])
	}
}
