//go:build linux && !goroutinereaders

package transport

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/hub/transport/poller"
	"channels/protocol"
)

// startParked starts a session of an app that a poller watches, on one end of a
// connection. end is for the goroutine that has called it.
func startParked(t *testing.T, near net.Conn, configure func(*hub.App)) (s *session, end func()) {
	t.Helper()
	app := hub.DefaultApp()
	configure(&app)
	h := hub.New(hub.Options{Apps: []hub.App{app}})
	set, err := poller.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	tr := New(Options{Hub: h, GoroutineReaders: true})
	s = tr.newSession(near, h.AppByKey(app.Key), []byte("greeting"), false)
	s.line.poller = set
	if _, err := tr.connect(s, hub.Visitor{}); err != nil {
		t.Fatal(err)
	}
	s.start(nil)
	return s, func() {
		set.Close()
		h.Close()
	}
}

// TestMessageTimeoutWithoutAGoroutine: a parked session whose client has begun a
// message is closed 30 s later. One that finishes in time is not.
func TestMessageTimeoutWithoutAGoroutine(t *testing.T) {
	const message = `{"event":"pusher:pong","data":{}}`
	text := append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)
	for name, carrier := range carriers {
		t.Run(name, func(t *testing.T) {
			near, far := carrier(t)
			synctest.Test(t, func(t *testing.T) {
				s, end := startParked(t, near, func(a *hub.App) { a.ActivityTimeout = time.Hour })
				defer end()
				serve := func(sent []byte) {
					t.Helper()
					if _, err := far.Write(sent); err != nil || !s.Claim() {
						t.Fatalf("not served: %v", err)
					}
					s.Serve(make([]byte, poller.ReadSize))
					synctest.Wait()
				}
				serve(text[:3])
				time.Sleep(messageTimeout - 1)
				serve(text[3:])
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if s.isOver() || s.timer != nil {
					t.Fatal("closed though the message was finished in time")
				}
				serve(append(bytes.Clone(text), text[:20]...))
				time.Sleep(messageTimeout - 1)
				synctest.Wait()
				if s.isOver() {
					t.Fatal("closed too early")
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if !s.isOver() {
					t.Fatal("not closed")
				}
				if got := s.transport.hub.Stats().Closes; got[hub.End{Code: codePolicy, Reason: hub.MessageTimeout}] != 1 {
					t.Errorf("counted %v", got)
				}
				time.Sleep(CloseGrace)
				synctest.Wait()
				if n := s.transport.sessions.Load(); n != 0 {
					t.Errorf("%d sessions left", n)
				}
			})
			b := make([]byte, 4<<10)
			var got []byte
			for {
				n, err := far.Read(b)
				if got = append(got, b[:n]...); err != nil {
					break
				}
			}
			if !bytes.Contains(got, append([]byte{0x88}, byte(2+len(lateMessage)), 0x03, 0xf0)) {
				t.Errorf("no close frame with 1008: %q", got)
			}
		})
	}
}

func (s *session) isOver() bool {
	s.line.Lock()
	defer s.line.Unlock()
	return s.ended
}

// TestLongPause has a client read nothing for two minutes, with something queued
// for it, and then all of it.
func TestLongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := hub.DefaultApp()
		app.ActivityTimeout = time.Hour
		memory := hub.NewMemory()
		defer memory.Close()
		h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory})
		defer h.Close()
		near, far := net.Pipe()
		tr := New(Options{Hub: h, GoroutineReaders: true})
		s := tr.newSession(near, h.AppByKey(app.Key), []byte("greeting"), false)
		if _, err := tr.connect(s, hub.Visitor{}); err != nil {
			t.Fatal(err)
		}
		s.start(nil)
		for range 100 {
			if b := s.Send([][]byte{bytes.Repeat([]byte("x"), 1000)}); b != hub.Clear {
				t.Fatalf("backlog %d within the bound", b)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s.isOver() || s.Stalled() != 2*time.Minute {
			t.Fatalf("ended %t, stalled for %v", s.isOver(), s.Stalled())
		}
		got := make(chan int)
		go func() {
			b, _ := io.ReadAll(far)
			got <- strings.Count(string(b), strings.Repeat("x", 1000))
		}()
		synctest.Wait()
		if s.Stalled() != 0 || tr.limits.Node.Used() != 0 {
			t.Errorf("stalled for %v with %d bytes, after all was read", s.Stalled(), tr.limits.Node.Used())
		}
		_ = far.Close()
		if n := <-got; n != 100 {
			t.Errorf("%d frames, want all", n)
		}
		synctest.Wait()
	})
}

// stuck is the socket of a client that holds its worker up.
type stuck struct {
	hub.Socket
	held chan struct{} // closed when the worker is held up
	free chan struct{} // closed to go on
	once sync.Once
}

func (s *stuck) Send([][]byte) hub.Backlog {
	s.once.Do(func() { close(s.held) })
	<-s.free
	return hub.Clear
}
func (*stuck) Backlog() hub.Backlog                  { return hub.Clear }
func (*stuck) Stalled() time.Duration                { return 0 }
func (*stuck) Deflates() bool                        { return false }
func (*stuck) Close(protocol.Fault, hub.CloseReason) {}

// TestBusyWorkerHoldsNoReaderUp: a client whose worker has no room is set aside. The
// reader goes on with others, and the client's messages are handled in their order
// when there is room.
func TestBusyWorkerHoldsNoReaderUp(t *testing.T) {
	app := hub.DefaultApp()
	memory := hub.NewMemory()
	defer memory.Close()
	h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory, Workers: 1, MailboxBytes: 100})
	defer h.Close()
	tr := New(Options{Hub: h, GoroutineReaders: true})
	set, err := poller.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	near, far := pair(t)
	s := tr.newSession(near, h.AppByKey(app.Key), []byte("greeting"), false)
	s.line.poller = set
	if _, err := tr.connect(s, hub.Visitor{}); err != nil {
		t.Fatal(err)
	}
	s.start(nil)

	blocker := &stuck{held: make(chan struct{}), free: make(chan struct{})}
	if _, err := h.Connect(h.AppByKey(app.Key), blocker); err != nil {
		t.Fatal(err)
	}
	<-blocker.held
	var sent []byte
	for _, channel := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		message := `{"event":"pusher:subscribe","data":{"channel":"` + channel + `"}}`
		sent = append(sent, 0x81, 0x80|byte(len(message)), 0, 0, 0, 0)
		sent = append(sent, message...)
	}
	if _, err := far.Write(sent); err != nil {
		t.Fatal(err)
	}
	if !s.Claim() {
		t.Fatal("not parked")
	}
	s.Serve(make([]byte, poller.ReadSize)) // comes back, though the worker is held up
	if s.Claim() {
		t.Error("parked, though there was no room for its messages")
	}
	close(blocker.free)
	var got []byte
	b := make([]byte, 4<<10)
	for bytes.Count(got, []byte("subscription_succeeded")) < 10 {
		n, err := far.Read(b)
		if err != nil {
			t.Fatalf("%v after %s", err, got)
		}
		got = append(got, b[:n]...)
	}
	at := 0
	for _, channel := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		i := bytes.Index(got, []byte(`"channel":"`+channel+`"`))
		if i < at {
			t.Errorf("%s is out of order in %s", channel, got)
		}
		at = i
	}
	for !s.Claim() { // it has been parked again, or is about to be
		time.Sleep(time.Millisecond)
	}
	s.finish(disconnected)
}

// TestCloseOverTLS: the last that the peer gets is a close frame and TLS's own
// close_notify. A peer that reads nothing does not hold up who closes.
func TestCloseOverTLS(t *testing.T) {
	t.Run("read", func(t *testing.T) {
		near, far := securePair(t)
		s := newTestSession(near)
		s.Close(protocol.Reconnect(), hub.Draining)
		got, err := io.ReadAll(far) // nil only after close_notify
		if err != nil || !bytes.HasSuffix(got, []byte(protocol.Reconnect().Message)) || binary.BigEndian.Uint16(got[len(got)-len(protocol.Reconnect().Message)-2:]) != 4200 {
			t.Errorf("got %q, %v", got, err)
		}
		s.finish(disconnected)
	})
	t.Run("not read", func(t *testing.T) {
		near, _ := securePair(t)
		s := newTestSession(near)
		s.Send([][]byte{make([]byte, 32<<20)})
		done := make(chan struct{})
		go func() {
			s.Close(protocol.Reconnect(), hub.Draining)
			s.finish(disconnected)
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(2 * time.Second): // close_notify would wait for 5
			t.Error("closing waits for the peer")
		}
	})
}
