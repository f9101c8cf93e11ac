//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// audience is many publishers and readers of the room. Each event has the
// number of its publisher and its own in its data, so that a reader can tell
// which came.
type audience struct {
	s *server

	publishers int
	batch      int // events of a request
	bytes      int // data of an event

	client *http.Client
	stop   atomic.Bool
	all    sync.WaitGroup

	accepted [][]uint32 // by publisher: the events that were answered 200, in order
	refused  []int      // by publisher: the events that were answered 503
	errs     []error    // by publisher: why it stopped early

	readers []*steadyReader
}

func newAudience(s *server, publishers, batch, bytes int) *audience {
	client := s.httpClient()
	transport := &http.Transport{MaxIdleConnsPerHost: publishers}
	if s.kind.tls {
		transport.TLSClientConfig = clientTLS(s.t)
	}
	client.Transport = transport
	return &audience{
		s: s, publishers: publishers, batch: batch, bytes: bytes, client: client,
		accepted: make([][]uint32, publishers), refused: make([]int, publishers), errs: make([]error, publishers),
	}
}

// publish starts the publishers. Each sends a request, waits for its answer and
// sends the next, until the load is stopped.
func (l *audience) publish() {
	for p := range l.publishers {
		l.all.Go(func() { l.errs[p] = l.publishAs(p) })
	}
}

func (l *audience) publishAs(p int) error {
	padding := incompressible(l.bytes) // for the readers that negotiate compression too
	for next := uint32(0); !l.stop.Load(); next += uint32(l.batch) {
		body := bytes.NewBufferString(`{"batch":[`)
		for i := range l.batch {
			fmt.Fprintf(body, `{"name":"load","channel":"%s","data":"%s"},`, room, eventData(p, next+uint32(i), padding))
		}
		body.Truncate(body.Len() - 1)
		body.WriteString(`]}`)
		status, answer, err := restCall{Method: http.MethodPost, Path: batchPath, Body: body.Bytes()}.send(l.s, l.client)
		switch {
		case err != nil:
			return err
		case status == http.StatusOK:
			for i := range l.batch {
				l.accepted[p] = append(l.accepted[p], next+uint32(i))
			}
		case status == http.StatusServiceUnavailable && strings.HasPrefix(answer, "Not published"):
			l.refused[p] += l.batch
		default:
			return fmt.Errorf("answer: %d %.200q, want 200, or 503 Not published", status, answer)
		}
	}
	return nil
}

// eventData is at most as long as the padding.
func eventData(publisher int, number uint32, padding string) string {
	head := fmt.Sprintf("%d/%d/", publisher, number)
	return head + padding[min(len(head), len(padding)):]
}

// end stops the publishers, publishes a last event, and waits for the readers,
// which read until that one.
func (l *audience) end(t testing.TB) {
	t.Helper()
	l.stop.Store(true)
	l.all.Wait()
	for p, err := range l.errs {
		if err != nil {
			t.Errorf("publisher %d: %v", p, err)
		}
	}
	eventually(t, "the last event is accepted", func() (string, bool) {
		status, body := post(t, l.s, eventsPath, event{Name: "end", Channels: []string{room}, Data: "{}"})
		return body, status == http.StatusOK
	})
	for _, r := range l.readers {
		<-r.done
	}
	l.client.CloseIdleConnections()
}

// total is how many events were answered 200, and how many 503.
func (l *audience) total() (accepted, refused int) {
	for p := range l.publishers {
		accepted, refused = accepted+len(l.accepted[p]), refused+l.refused[p]
	}
	return accepted, refused
}

// check requires that every reader is open, and got every event that was
// answered 200 once, each publisher's in order, and none that was answered 503.
func (l *audience) check(t testing.TB) {
	t.Helper()
	bad := 0
	for i, r := range l.readers {
		why := r.err
		for p := 0; why == nil && p < l.publishers; p++ {
			if got, want := r.received[p], l.accepted[p]; !slices.Equal(got, want) {
				why = fmt.Errorf("of publisher %d: %d events, want %d; the first difference is at %d", p, len(got), len(want), difference(got, want))
			}
		}
		if why == nil {
			continue
		}
		if bad++; bad <= 5 {
			t.Errorf("reader %d: %v", i, why)
		}
	}
	if bad > 5 {
		t.Errorf("and %d more readers", bad-5)
	}
}

func difference(a, b []uint32) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// steadyReader reads all the time, and looks at no more of an event than at its
// numbers.
type steadyReader struct {
	w        *wire
	in       *bufio.Reader
	received [][]uint32
	pause    time.Duration // after each 64 KiB
	err      error         // how it ended before the last event
	done     chan struct{}
}

// read adds n readers of the room.
func (l *audience) read(t testing.TB, n int) {
	t.Helper()
	for range n {
		l.add(&steadyReader{w: joinedWire(t, l.s)})
	}
}

func (l *audience) add(r *steadyReader) {
	r.done, r.received = make(chan struct{}), make([][]uint32, l.publishers)
	r.w.extend(2 * time.Minute)
	r.in = bufio.NewReaderSize(paced{r.w.in, r.pause}, 64<<10)
	l.readers = append(l.readers, r)
	go func() {
		defer close(r.done)
		for r.err == nil {
			var last bool
			if last, r.err = r.next(); last {
				return
			}
		}
	}()
}

// paced pauses after each read.
type paced struct {
	r     io.Reader
	pause time.Duration
}

func (p paced) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if p.pause > 0 {
		time.Sleep(p.pause)
	}
	return n, err
}

const (
	loadBegin = `{"event":"load","channel":"` + room + `","data":"`
	loadEnd   = `{"event":"end","channel":"` + room + `"`
)

// next reads a frame, and says whether it was that of the last event.
func (r *steadyReader) next() (last bool, err error) {
	head, err := r.in.Peek(2)
	if err != nil {
		return false, err
	}
	header, n := 2, int(head[1])
	switch n {
	case 126:
		if head, err = r.in.Peek(4); err != nil {
			return false, err
		}
		header, n = 4, int(binary.BigEndian.Uint16(head[2:]))
	case 127:
		if head, err = r.in.Peek(10); err != nil {
			return false, err
		}
		header, n = 10, int(binary.BigEndian.Uint64(head[2:]))
	}
	begin, err := r.in.Peek(header + min(n, 128))
	if err != nil {
		return false, err
	}
	if last, err = r.note(begin[0], begin[header:]); err != nil || last {
		return last, err
	}
	_, err = r.in.Discard(header + n)
	return false, err
}

// note looks at the beginning of a frame.
func (r *steadyReader) note(first byte, payload []byte) (last bool, err error) {
	switch {
	case first == 0x80|opClose:
		return false, fmt.Errorf("closed with %d %q", binary.BigEndian.Uint16(payload), payload[2:])
	case bytes.HasPrefix(payload, []byte(loadEnd)):
		return true, nil
	case !bytes.HasPrefix(payload, []byte(loadBegin)):
		if bytes.Contains(payload, []byte(`"pusher:error"`)) {
			return false, nil // the close frame that follows says more
		}
		return false, fmt.Errorf("got a frame that begins with %#x %q", first, payload)
	}
	var publisher int
	var number uint32
	if _, err := fmt.Sscanf(string(payload[len(loadBegin):]), "%d/%d/", &publisher, &number); err != nil || publisher >= len(r.received) {
		return false, errors.Join(fmt.Errorf("an event that nobody published: %q", payload), err)
	}
	r.received[publisher] = append(r.received[publisher], number)
	return false, nil
}
