//go:build linux && !goroutinereaders

package transport

import (
	"io"
	"net"
	"testing"
)

// pong is a client's, which is all that most sockets ever send.
const pong = "\x8a\x80\x01\x02\x03\x04"

// newParked returns a parked session and its peer.
func newParked(t *testing.T) (*session, *waiter, net.Conn) {
	t.Helper()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	near, far := pair(t)
	s := &session{transport: &Transport{}, guard: newGuard(near, nil, &queueLimits{})}
	s.guard.poller = p
	if !s.park() {
		t.Fatal("not parked")
	}
	return s, p.newWaiter(), far
}

func TestServingAllocatesNothing(t *testing.T) {
	_, events, far := newParked(t)
	buf := make([]byte, readBufferSize)
	batch := make([]*session, 0, pollBatch)
	sent := []byte(pong)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := far.Write(sent); err != nil {
			t.Fatal(err)
		}
		var err error
		batch, err = events.next(batch[:0])
		if err != nil || len(batch) != 1 || !batch[0].guard.claim() {
			t.Fatalf("%d sessions, %v; want one that can be claimed", len(batch), err)
		}
		batch[0].serve(buf)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// TestLateEvents has readers come with events that are not true any more.
func TestLateEvents(t *testing.T) {
	t.Run("meant for another", func(t *testing.T) {
		s, events, far := newParked(t)
		if !s.guard.claim() {
			t.Fatal("not claimed")
		}
		s.serve(make([]byte, readBufferSize)) // nothing is there
		if _, err := io.WriteString(far, pong); err != nil {
			t.Fatal(err)
		}
		if batch, err := events.next(nil); err != nil || len(batch) != 1 || !s.guard.claim() {
			t.Fatalf("%d sessions, %v; want it parked again, and claimed", len(batch), err)
		}
	})
	t.Run("claimed by another", func(t *testing.T) {
		s, _, _ := newParked(t)
		if !s.guard.claim() || s.guard.claim() {
			t.Error("want it claimed once")
		}
	})
	t.Run("closed since", func(t *testing.T) {
		s, events, far := newParked(t)
		if _, err := io.WriteString(far, pong); err != nil {
			t.Fatal(err)
		}
		batch, err := events.next(nil)
		if err != nil || len(batch) != 1 {
			t.Fatalf("%d sessions, %v; want one", len(batch), err)
		}
		s.transport.sessions.Store(1)
		_ = s.guard.Close()
		if batch[0].guard.claim() {
			t.Error("claimed after closing")
		}
		if batch := s.guard.poller.waiting(events.events[:1], nil); len(batch) != 0 {
			t.Errorf("the descriptor is still known as its own")
		}
		if err := s.transport.Wait(t.Context()); err != nil { // a goroutine ends it
			t.Error(err)
		}
	})
}

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
