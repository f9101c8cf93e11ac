//go:build linux && !goroutinereaders

package transport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/hub/transport/outbox"
	"channels/hub/transport/poller"
	"channels/protocol"
)

// appPing is a client's ping of the Pusher protocol, in a frame.
var appPing = clientText(`{"event":"pusher:ping","data":{}}`)

// clientText returns a short message in a frame, masked with zeros.
func clientText(message string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)
}

// TestASlowReaderIsNotSilent has a client read a long queue a chunk at a time, for
// longer than a client may be silent. Its pong cannot come before the ping is
// read, and what it says is not handled while it is over its bound. It stays open
// as long as it reads, and is closed as slow when it stops.
func TestASlowReaderIsNotSilent(t *testing.T) {
	const (
		chunks = 45
		every  = 4 * time.Second // less than the time after which a client is stuck
	)
	for name, test := range map[string]struct {
		says  []byte // while it is over its bound
		reads int    // chunks
	}{
		"says nothing, reads all":        {nil, chunks},
		"says nothing, stops reading":    {nil, chunks / 2},
		"says nothing, reads nothing":    {nil, 0},
		"sends a message, reads all":     {appPing, chunks},
		"sends a message, stops reading": {appPing, chunks / 2},
		"sends a message, reads nothing": {appPing, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := hub.DefaultApp()
				h := hub.New(hub.Options{Apps: []hub.App{app}})
				defer h.Close()
				near, far := net.Pipe()
				tr := New(Options{Hub: h, GoroutineReaders: true, QueueBytes: 2 * outbox.ChunkSize})
				s := tr.newSession(near, h.AppByKey(app.Key), []byte("greeting"), false)
				if _, err := tr.connect(s, hub.Visitor{}); err != nil {
					t.Fatal(err)
				}
				s.start(nil)
				synctest.Wait()
				for range chunks {
					s.Send([][]byte{bytes.Repeat([]byte("x"), outbox.ChunkSize)})
				}
				s.client.Fail(protocol.BinaryFrame()) // any frame shows the hub that it is behind
				synctest.Wait()
				if test.says != nil {
					go func() { _, _ = far.Write(test.says) }()
				}
				began := time.Now()
				var got []byte
				buf := make([]byte, outbox.ChunkSize)
				for range test.reads {
					n, err := io.ReadFull(far, buf)
					if err != nil {
						t.Fatalf("after %v: %v", time.Since(began), err)
					}
					got = append(got, buf[:n]...)
					time.Sleep(every)
				}
				if test.reads == chunks {
					readsAll(t, s, far, got, test.says)
				} else {
					stopsReading(t, s, h)
				}
				_ = far.Close()
				synctest.Wait()
			})
		})
	}
}

// readsAll has a client that has read nearly all read the rest, answer the ping if
// there is one, and wait.
func readsAll(t *testing.T, s *session, far net.Conn, got, said []byte) {
	t.Helper()
	rest := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(far)
		rest <- b
	}()
	synctest.Wait()
	if said == nil {
		time.Sleep(20 * time.Second) // for its pong a client has 30
		if _, err := far.Write([]byte(pong)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	if s.isOver() {
		t.Errorf("closed, though it has read and answered all: %v", s.transport.hub.Stats().Closes)
	}
	_ = far.Close()
	got = append(got, <-rest...)
	want := protocol.PingFrame()
	if said != nil {
		want = protocol.PongFrame()
	}
	if !bytes.Contains(got, want) {
		t.Errorf("%q did not come", want)
	}
}

// stopsReading wants a client closed soon, as slow.
func stopsReading(t *testing.T, s *session, h *hub.Hub) {
	t.Helper()
	time.Sleep(11 * time.Second) // the time for a stuck client, and a sweep
	synctest.Wait()
	if !s.isOver() {
		t.Error("open, though nothing is read")
	}
	if closes := h.Stats().Closes; closes[hub.End{Code: 4100, Reason: hub.SlowConsumer}] != 1 {
		t.Errorf("counted as %v", closes)
	}
	time.Sleep(CloseGrace)
	synctest.Wait()
}

// TestSetAsideIsNotSilent: a client that has sent more than it may is not read for
// a long time. That it cannot answer a ping meanwhile is not its fault. Afterwards
// it may be silent for as long as any other.
func TestSetAsideIsNotSilent(t *testing.T) {
	message := clientText(`{"event":"pusher:pong","data":{}}`)
	for name, carrier := range carriers {
		t.Run(name, func(t *testing.T) {
			near, far := carrier(t)
			synctest.Test(t, func(t *testing.T) {
				s, end := startParked(t, near, func(a *hub.App) { a.CommandsPerSecond = 1 })
				defer end()
				const (
					atOnce = 400 // the channels of a connection, and 100 more
					aside  = 250 // seconds
				)
				if _, err := far.Write(bytes.Repeat(message, atOnce+aside)); err != nil || !s.Claim() {
					t.Fatalf("not served: %v", err)
				}
				s.Serve(make([]byte, poller.ReadSize))
				time.Sleep((aside - 10) * time.Second)
				synctest.Wait()
				if s.isOver() || s.Claim() {
					t.Fatalf("over: %t; else it is read again too early", s.isOver())
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if s.isOver() || !s.Claim() {
					t.Fatalf("over: %t; else it is not read again", s.isOver())
				}
				time.Sleep(140 * time.Second)
				synctest.Wait()
				if s.isOver() {
					t.Error("closed too early")
				}
				time.Sleep(35 * time.Second)
				synctest.Wait()
				if n := s.transport.hub.Stats().Closes[hub.End{Code: 4201, Reason: hub.Silent}]; n != 1 || !s.isOver() {
					t.Errorf("over: %t, %d closes are counted as silent", s.isOver(), n)
				}
				time.Sleep(CloseGrace)
				synctest.Wait()
			})
		})
	}
}
