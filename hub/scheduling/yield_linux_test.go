package scheduling

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
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

// TestYield: what has arrived at a socket of the runtime's is seen to when a busy
// goroutine yields, though there is but one processor.
func TestYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	y := NewYielder()
	defer y.Close()
	near, far := pair(t)
	var got atomic.Int64
	go func() {
		b := make([]byte, 1)
		for {
			if _, err := near.Read(b); err != nil {
				return
			}
			got.Add(1)
		}
	}()
	const bytes = 100
	inTime := 0
	for i := range int64(bytes) {
		if _, err := far.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		for yields := 0; got.Load() <= i; yields++ {
			if yields == 5 {
				inTime-- // the kernel was late
			}
			if err := y.Yield(); err != nil {
				t.Fatal(err)
			}
			runtime.Gosched()
		}
		inTime++
	}
	if inTime < bytes/2 {
		t.Errorf("%d of %d bytes were read within five yields", inTime, bytes)
	}
}
