//go:build linux && !goroutinereaders

package transport

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

// drained is a guard whose peer reads all it gets.
type drained struct {
	*guard
	got atomic.Int64 // bytes, by the peer
}

func newDrained(tb testing.TB) *drained {
	tb.Helper()
	near, far := pair(tb)
	d := &drained{guard: newGuard(near, nil, &queueLimits{perConn: 1 << 20, node: 1 << 20})}
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

// BenchmarkWrite gives frames to a socket of the kernel's: what a delivery costs
// behind the worker.
func BenchmarkWrite(b *testing.B) {
	for _, count := range []int{1, 16} {
		b.Run(fmt.Sprint(count, " frames"), func(b *testing.B) {
			g := newDrained(b)
			batch := frames(count)
			b.ReportAllocs()
			sent := int64(0)
			for b.Loop() {
				if err := g.send(batch); err != nil {
					b.Fatal(err)
				}
				sent += int64(160 * count)
				g.await(sent)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/frame")
		})
	}
}

// TestWritingAllocatesNothing holds the promise for a frame and for a batch that
// the kernel takes.
func TestWritingAllocatesNothing(t *testing.T) {
	for _, count := range []int{1, 16} {
		g := newDrained(t)
		batch := frames(count)
		allocs := testing.AllocsPerRun(200, func() {
			if err := g.send(batch); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 0 {
			t.Errorf("%d frames: %v allocations a write", count, allocs)
		}
	}
}
