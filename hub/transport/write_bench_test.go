//go:build linux && !goroutinereaders

package transport

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"channels/hub/transport/outbox"
)

// drained is a session whose peer reads all it gets.
type drained struct {
	*session
	got atomic.Int64 // bytes of plain text, by the peer
}

func newDrained(tb testing.TB, near, far net.Conn) *drained {
	tb.Helper()
	d := &drained{session: newTestSession(near)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 256<<10)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			d.got.Add(int64(n))
		}
	}()
	tb.Cleanup(func() { _ = far.Close(); <-done })
	return d
}

// newTestSession returns an open session of no hub. Nobody reads.
func newTestSession(near net.Conn) *session {
	t := New(Options{GoroutineReaders: true})
	s := t.newSession(near, nil, nil, false)
	s.outbox = outbox.New(&t.limits) // nobody is greeted
	return s
}

// await returns when all but a little of what was sent has been read.
func (d *drained) await(sent int64) {
	const little = 128 << 10
	for sent-d.got.Load() > little {
		runtime.Gosched()
	}
}

// frames are as many as a batch may have for a socket.
func frames(count int) [][]byte {
	all := make([][]byte, count)
	for i := range all {
		all[i] = bytes.Repeat([]byte{'x'}, 160)
	}
	return all
}

// carriers are the two ways in which a session reaches its peer.
var carriers = map[string]func(testing.TB) (near, far net.Conn){"plain": pair, "TLS": securePair}

// BenchmarkWrite gives frames to a socket of the kernel's: what a delivery costs
// behind the worker.
func BenchmarkWrite(b *testing.B) {
	for _, carrier := range []string{"plain", "TLS"} {
		for _, count := range []int{1, 16} {
			b.Run(fmt.Sprint(carrier, "/", count, " frames"), func(b *testing.B) {
				near, far := carriers[carrier](b)
				s := newDrained(b, near, far)
				batch := frames(count)
				b.ReportAllocs()
				sent := int64(0)
				for b.Loop() {
					s.Send(batch)
					sent += int64(160 * count)
					s.await(sent)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/frame")
			})
		}
	}
}

// TestWritingAllocatesNothing holds the promise for a frame and for a batch that
// the kernel takes.
func TestWritingAllocatesNothing(t *testing.T) {
	writingAllocatesNothing(t, pair)
}

func writingAllocatesNothing(t *testing.T, carrier func(testing.TB) (near, far net.Conn)) {
	t.Helper()
	for _, count := range []int{1, 16} {
		near, far := carrier(t)
		s := newDrained(t, near, far)
		batch := frames(count)
		allocs := testing.AllocsPerRun(200, func() { s.Send(batch) })
		if allocs > 0 {
			t.Errorf("%d frames: %v allocations a write", count, allocs)
		}
	}
}
