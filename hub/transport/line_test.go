//go:build linux && !goroutinereaders

package transport

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"channels/hub"
	"channels/hub/transport/poller"
	"channels/protocol"
)

// pong is a client's, which is all that most sockets ever send.
const pong = "\x8a\x80\x01\x02\x03\x04"

// newParked returns a parked session of a hub's and its peer.
func newParked(t *testing.T, near, far net.Conn) (*session, *poller.Waiter) {
	t.Helper()
	app := hub.DefaultApp()
	h := hub.New(hub.Options{Apps: []hub.App{app}})
	t.Cleanup(h.Close)
	p, err := poller.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	tr := New(Options{Hub: h, GoroutineReaders: true}) // no readers: the test is one
	s := tr.newSession(near, h.AppByKey(app.Key), []byte("greeting"), false)
	s.line.poller = p
	if _, err := tr.connect(s, hub.Visitor{}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, far) }() // greeted
	s.start(nil)
	w := p.NewWaiter()
	t.Cleanup(w.Close)
	return s, w
}

// awaitOne returns the one session that has something to read.
func awaitOne(t *testing.T, w *poller.Waiter) poller.Parked {
	t.Helper()
	batch, err := w.Next(nil)
	if err != nil || len(batch) != 1 {
		t.Fatalf("%d sessions, %v; want one", len(batch), err)
	}
	return batch[0]
}

// TestServingAllocatesNothing holds the promise for messages and control frames
// that are there whole.
func TestServingAllocatesNothing(t *testing.T) {
	const message = `{"event":"pusher:pong","data":{}}`
	text := append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)
	for name, sent := range map[string][]byte{"a pong": []byte(pong), "a message": text} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			s, events := newParked(t, near, far)
			buf := make([]byte, poller.ReadSize)
			batch := make([]poller.Parked, 0, 32)
			heard := s.client
			allocs := testing.AllocsPerRun(100, func() {
				if _, err := far.Write(sent); err != nil {
					t.Fatal(err)
				}
				var err error
				batch, err = events.Next(batch[:0])
				if err != nil || len(batch) != 1 || !batch[0].Claim() {
					t.Fatalf("%d sessions, %v; want one that can be claimed", len(batch), err)
				}
				batch[0].Serve(buf)
			})
			if allocs != 0 {
				t.Errorf("%v allocations, want none", allocs)
			}
			if heard == nil || s.isOver() {
				t.Error("the session is not open")
			}
		})
	}
}

// TestLateEvents has readers come with events that are not true any more.
func TestLateEvents(t *testing.T) {
	t.Run("meant for another", func(t *testing.T) {
		near, far := pair(t)
		s, events := newParked(t, near, far)
		if !s.Claim() {
			t.Fatal("not claimed")
		}
		s.Serve(make([]byte, poller.ReadSize)) // nothing is there
		if _, err := io.WriteString(far, pong); err != nil {
			t.Fatal(err)
		}
		if awaitOne(t, events) != s || !s.Claim() {
			t.Fatal("want it parked again, and claimed")
		}
	})
	t.Run("claimed by another", func(t *testing.T) {
		near, far := pair(t)
		s, _ := newParked(t, near, far)
		if !s.Claim() || s.Claim() {
			t.Error("want it claimed once")
		}
	})
	t.Run("closed since", func(t *testing.T) {
		near, far := pair(t)
		s, events := newParked(t, near, far)
		if _, err := io.WriteString(far, pong); err != nil {
			t.Fatal(err)
		}
		late := awaitOne(t, events)
		s.finish(disconnected)
		if late.Claim() {
			t.Error("claimed after closing")
		}
		if err := s.transport.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestClosedLine: nothing reaches the descriptor of a line that is closed, which
// may be another's by then.
func TestClosedLine(t *testing.T) {
	for name, carrier := range carriers {
		near, _ := carrier(t)
		s := newTestSession(near)
		s.line.Lock()
		if !s.line.close() || s.line.close() {
			t.Errorf("%s: want it closed once", name)
		}
		if n, _, err := s.line.read(make([]byte, 10), true); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: read %d, %v", name, n, err)
		}
		if _, n, err := s.line.Write([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: wrote %d, %v", name, n, err)
		}
		if s.line.park(s) {
			t.Errorf("%s: parked", name)
		}
		s.line.sever()
		s.line.shutWriting()
		s.line.Unlock()
		s.settle(nil)
		_ = near.Close()
	}
}

// TestOneEnd has everybody end a session at once, who can.
func TestOneEnd(t *testing.T) {
	for name, carrier := range carriers {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				near, far := carrier(t)
				s, _ := newParked(t, near, far)
				var all sync.WaitGroup
				all.Go(func() { s.finish(disconnected) })
				all.Go(func() { s.finish(disconnected) })
				all.Go(func() { s.Close(protocol.Reconnect(), hub.Draining) })
				all.Go(func() { s.Send([][]byte{[]byte("frame")}) })
				all.Go(func() {
					if s.Claim() {
						s.Serve(make([]byte, poller.ReadSize))
					}
				})
				all.Wait()
				if n := s.transport.sessions.Load(); n != 0 {
					t.Fatalf("%d sessions left", n)
				}
				if n := s.transport.limits.Node.Used(); n != 0 {
					t.Fatalf("%d bytes queued", n)
				}
			}
		})
	}
}

// TestWrappedConnections: a wrapper that says what it wraps is parked as a plain
// connection is, and what it has read ahead comes first.
func TestWrappedConnections(t *testing.T) {
	near, far := pair(t)
	wrapped := &wrapper{Conn: near, ahead: []byte("ahead")}
	s := newTestSession(wrapped)
	if s.line.opaque {
		t.Error("not driven by its descriptor")
	}
	if _, err := io.WriteString(far, "on the wire"); err != nil {
		t.Fatal(err)
	}
	b, err := appendBuffered([]byte("first "), wrapped)
	if err != nil || string(b) != "first ahead" {
		t.Errorf("got %q, %v; want what the wrapper had", b, err)
	}
	s.finish(disconnected)
	if !wrapped.closed {
		t.Error("the wrapper is not told of the end")
	}
}

// wrapper is a connection as a listener for PROXY headers hands it out.
type wrapper struct {
	net.Conn
	ahead  []byte
	closed bool
}

func (w *wrapper) NetConn() net.Conn { return w.Conn }

func (w *wrapper) Read(b []byte) (int, error) {
	if len(w.ahead) > 0 {
		n := copy(b, w.ahead)
		w.ahead = w.ahead[n:]
		return n, nil
	}
	return w.Conn.Read(b)
}

func (w *wrapper) Close() error {
	w.closed = true
	return w.Conn.Close()
}

// TestPollerGone: a session that cannot be parked gets a goroutine.
func TestPollerGone(t *testing.T) {
	near, far := pair(t)
	s, _ := newParked(t, near, far)
	if !s.Claim() {
		t.Fatal("not parked")
	}
	s.line.poller.Close()
	s.Serve(make([]byte, poller.ReadSize))
	if s.Claim() {
		t.Error("parked in a poller that is closed")
	}
	_ = far.Close() // which the goroutine finds
	if err := s.transport.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}
