//go:build conformance && !goroutinereaders

package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	// secureConnections is how many connections over TLS are opened for their
	// memory.
	secureConnections = 3000

	// secureMessage is what each sends and receives, in bytes.
	secureMessage = 10 << 10

	// secureMemory is what an idle connection over TLS may cost, in bytes.
	secureMemory = 12 << 10
)

// TestIdleMemoryOverTLS holds the resident memory of 3,000 idle connections over
// TLS 1.3 within its bound, before and after each has sent and received 10 KiB.
func TestIdleMemoryOverTLS(t *testing.T) {
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := overTLS.startBinary(t, binary)
	perConnection := func(before int) int { return (resident(t, s) - before) / secureConnections }
	expect := func(when string, before int) {
		t.Helper()
		eventually(t, when+": at most 12 KiB for each connection", func() (string, bool) {
			n := perConnection(before)
			return fmt.Sprint(n), n <= secureMemory
		})
		t.Logf("%s: %.1f KiB for each connection", when, float64(perConnection(before))/1024)
	}
	before := resident(t, s)
	held := holdMany(t, s, secureConnections, "my-channel")
	defer closeAll(held)
	expect("fresh", before)
	useAll(t, s, held)
	expect("after 10 KiB in both directions", before)
}

// useAll has every connection send a message and receive an event.
func useAll(t testing.TB, s *server, held []*wire) {
	t.Helper()
	message := text(`{"event":"pusher:ping","data":{"x":"` + strings.Repeat("x", secureMessage) + `"}}`)
	inParallel(t, len(held), func(i int) error {
		if _, err := held[i].conn.Write(message.bytes()); err != nil {
			return err
		}
		return held[i].next("pusher:pong")
	})
	publish(t, s, "my-channel", "large", strings.Repeat("x", secureMessage))
	inParallel(t, len(held), func(i int) error { return held[i].next("large") })
}

// next reads a text, which must have the event.
func (w *wire) next(event string) error {
	_, payload, err := w.read()
	if err == nil && !bytes.HasPrefix(payload, []byte(`{"event":"`+event+`"`)) {
		err = fmt.Errorf("got %.100q, want %s", payload, event)
	}
	return err
}

// BenchmarkIdleMemoryTLS reports what an idle subscribed connection over TLS 1.3
// costs in resident memory, a minute after the last has subscribed, and a minute
// after each has sent and received 10 KiB.
func BenchmarkIdleMemoryTLS(b *testing.B) {
	for range b.N {
		s := benchServer(b, overTLS)
		before := resident(b, s)
		report := func(unit string) {
			time.Sleep(time.Minute)
			b.ReportMetric(float64(resident(b, s)-before)/secureConnections/1024, unit)
		}
		held := holdMany(b, s, secureConnections, "my-channel")
		report("fresh-KiB/conn")
		useAll(b, s, held)
		report("used-KiB/conn")
		closeAll(held)
	}
}
