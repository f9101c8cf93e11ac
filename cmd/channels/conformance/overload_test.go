//go:build conformance

package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests of overload run the server as it is released: the race detector
// would make it another one. They do not run beside each other.

// startReleased runs the server as it is released.
func startReleased(t *testing.T, k kind, settings ...string) *server {
	t.Helper()
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	return k.startBinary(t, binary, settings...)
}

// TestStoppedServer stops the process for a quarter of a second, as a machine
// that is short of processors does, while 600 publishers of 9 KB wait. When it
// goes on, it has 5.4 MB to deliver to each client at once. All of them read all
// the time, so none is closed.
func TestStoppedServer(t *testing.T) {
	for _, k := range []kind{plain, overTLS} {
		t.Run(k.name, func(t *testing.T) {
			s := startReleased(t, k)
			l := newAudience(s, 600, 1, 9_000)
			l.read(t, 10)
			l.publish()
			for range 4 {
				time.Sleep(500 * time.Millisecond)
				signalTo(t, s, syscall.SIGSTOP)
				time.Sleep(250 * time.Millisecond)
				signalTo(t, s, syscall.SIGCONT)
			}
			l.end(t)
			l.check(t)
			accepted, refused := l.total()
			t.Logf("events: %d accepted, %d refused", accepted, refused)
		})
	}
}

func signalTo(t testing.TB, s *server, signal syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// TestOverload publishes more than can be delivered: with default settings, 64
// publishers of batches of 10 x 9 KB to 100 clients that read all the time, for
// ten seconds.
func TestOverload(t *testing.T) {
	const memory = 400 << 20
	s := startReleased(t, plain)
	l := newAudience(s, 64, 10, 9_000)
	l.read(t, 100)
	watch := watchMemory(t, s)
	l.publish()
	time.Sleep(10 * time.Second)
	l.end(t)
	peak := watch.stop()
	l.check(t)
	if peak >= memory {
		t.Errorf("resident memory: %d MiB at its peak, want less than %d", peak>>20, memory>>20)
	}
	accepted, refused := l.total()
	if accepted == 0 {
		t.Error("no event was accepted")
	}
	t.Logf("events: %d accepted, %d refused; resident memory at its peak: %d MiB", accepted, refused, peak>>20)
}

// TestStalledReader has one of a hundred clients stop reading. It is closed with
// 4100, and the others get everything.
func TestStalledReader(t *testing.T) {
	for _, k := range []kind{plain, overTLS, compressed} {
		t.Run(k.name, func(t *testing.T) {
			s := startReleased(t, k)
			l := newAudience(s.as(kind{tls: k.tls}), 8, 10, 9_000)
			l.read(t, 99)
			stalled := joinedWire(t, s)
			stalled.extend(2 * time.Minute)
			if err := stalled.tcp.SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			l.publish()
			awaitSubscribers(t, s, room, 99)
			stalled.expectSlowConsumer()
			l.end(t)
			l.check(t)
		})
	}
}

// expectSlowConsumer reads what the kernel still has for a client that did not
// read: events, then a pusher:error and a close frame of 4100.
func (w *wire) expectSlowConsumer() {
	w.t.Helper()
	var last string
	for {
		opcode, payload, err := w.read()
		if err != nil {
			w.t.Fatalf("read: %v before a close frame; last event: %.200s", err, last)
		}
		if opcode == opClose {
			if code := binary.BigEndian.Uint16(payload); code != 4100 {
				w.t.Errorf("close: got %d %q, want 4100", code, payload[2:])
			}
			break
		}
		last = string(payload)
	}
	if !strings.HasPrefix(last, `{"event":"pusher:error","data":{"code":4100,`) {
		w.t.Errorf("before the close frame: got %.200s, want pusher:error 4100", last)
	}
	if _, _, err := w.read(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		w.t.Errorf("after the close frame: got %v, want the end of the stream", err)
	}
}

// TestSlowButSteadyReader reads less than is published, but all the time. The
// publishers wait for it, and it is not closed.
func TestSlowButSteadyReader(t *testing.T) {
	for _, k := range []kind{plain, overTLS} {
		t.Run(k.name, func(t *testing.T) {
			s := startReleased(t, k, "CHANNELS_LIMITS_MAILBOX_BYTES=4MiB") // what is admitted takes its time to read
			l := newAudience(s, 8, 10, 9_000)
			l.read(t, 2)
			l.add(&steadyReader{w: joinedWire(t, s), pause: 10 * time.Millisecond}) // at most 6.5 MB a second
			l.publish()
			time.Sleep(4 * time.Second)
			l.end(t)
			l.check(t)
		})
	}
}

// TestLargeEvent sends one event that is larger than the queue of a client may
// be. It meets an empty queue, so it is accepted.
func TestLargeEvent(t *testing.T) {
	for _, k := range goodKinds {
		t.Run(k.name, func(t *testing.T) {
			s := startReleased(t, k, "CHANNELS_APP_MAX_EVENT_BYTES=8MiB")
			w := joinedWire(t, s)
			data := jsonOf(6 << 20)
			for i := range 2 {
				publish(t, s, room, fmt.Sprint("large-", i), data)
				opcode, payload, err := w.read()
				want := fmt.Sprintf(`{"event":"large-%d","channel":"%s","data":%s}`, i, room, quote(data))
				if err != nil || opcode != opText || string(payload) != want {
					t.Fatalf("got opcode %#x, %d bytes %.100q, %v, want %d bytes", opcode, len(payload), payload, err, len(want))
				}
			}
			w.expectServing()
		})
	}
}

// TestNotPublished requires that an event which was refused arrives nowhere,
// with a mailbox that is too small for what is offered.
func TestNotPublished(t *testing.T) {
	s := startReleased(t, plain, "CHANNELS_LIMITS_MAILBOX_BYTES=1MiB")
	l := newAudience(s, 64, 10, 9_000)
	l.read(t, 20)
	l.add(&steadyReader{w: joinedWire(t, s), pause: 20 * time.Millisecond})
	l.publish()
	var refused int
	eventually(t, "publishes are refused", func() (string, bool) {
		status, body := post(t, s, eventsPath, event{Name: "load", Channels: []string{"nobody"}, Data: "x"})
		if status == http.StatusServiceUnavailable {
			refused++
		}
		return fmt.Sprint(status, " ", body), refused > 3
	})
	l.end(t)
	l.check(t)
	if _, n := l.total(); n == 0 {
		t.Error("no event of the load was refused")
	}
}
