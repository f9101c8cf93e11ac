package scheduling

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// pair returns the two ends of a TCP connection.
func pair(tb testing.TB) (near, far net.Conn) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	if far, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = far.Close() })
	if near, err = listener.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = near.Close() })
	return near, far
}

// request is a socket of the runtime's and a goroutine that reads from it, on one
// processor, which the test keeps busy.
type request struct {
	far net.Conn
	got atomic.Int64 // bytes that have been read
}

func newRequest(tb testing.TB) *request {
	tb.Helper()
	before := runtime.GOMAXPROCS(1)
	near, far := pair(tb)
	r := &request{far: far}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1)
		for {
			if _, err := near.Read(b); err != nil {
				return
			}
			r.got.Add(1)
		}
	}()
	tb.Cleanup(func() {
		_ = near.Close()
		<-done
		runtime.GOMAXPROCS(before)
	})
	return r
}

// yieldsUntilRead sends a byte, and returns how many yields pass until it has been
// read, and how long that takes.
func (r *request) yieldsUntilRead(tb testing.TB, y *Yielder) (yields int, took time.Duration) {
	tb.Helper()
	want := r.got.Load() + 1
	if _, err := r.far.Write([]byte{1}); err != nil {
		tb.Fatal(err)
	}
	start := time.Now()
	for r.got.Load() < want {
		if err := y.Yield(); err != nil {
			tb.Fatal(err)
		}
		runtime.Gosched() // the reader is ready; let it run
		yields++
	}
	return yields, time.Since(start)
}

// TestYield: while a goroutine keeps the processor, what has arrived at a socket is
// read after few yields, and after very many where yielding does nothing.
func TestYield(t *testing.T) {
	const bytes = 100
	median := func(y *Yielder) int {
		defer y.Close()
		r := newRequest(t)
		few := make(map[int]int)
		for range bytes {
			n, _ := r.yieldsUntilRead(t, y)
			few[min(n, 100)]++
		}
		at := 0
		for n := range 101 {
			if at += few[n]; at > bytes/2 {
				return n
			}
		}
		return 100
	}
	if n := median(newYielder()); n > 3 {
		t.Errorf("half of the bytes took more than %d yields, want 3 at most", n)
	}
	if n := median(nil); n < 20 {
		t.Errorf("half of the bytes took no more than %d calls of Gosched: is a Yielder needed?", n)
	}
}

// BenchmarkYield is the time until a request is read while a goroutine keeps the
// processor, with the trick and without.
func BenchmarkYield(b *testing.B) {
	for name, newOne := range map[string]func() *Yielder{"on": newYielder, "off": func() *Yielder { return nil }} {
		b.Run(name, func(b *testing.B) {
			y := newOne()
			defer y.Close()
			r := newRequest(b)
			var waited time.Duration
			for b.Loop() {
				_, took := r.yieldsUntilRead(b, y)
				waited += took
			}
			b.ReportMetric(float64(waited.Microseconds())/float64(b.N), "µs-until-read")
		})
	}
}
