//go:build conformance

package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// goodputReaders is how many clients read each event.
	goodputReaders = 1000

	// mostRequests is how many publishes may wait for their answers at once, each on
	// a connection: a few less than the server lets in by default. When it lets them
	// wait for a second, that is also the largest rate that can be offered.
	mostRequests = 4000

	// goodputSettle passes before each measurement, of goodputStep while the best
	// rate is looked for, and of goodputFlood at ten times that.
	goodputSettle = time.Second
	goodputStep   = 3 * time.Second
	goodputFlood  = 10 * time.Second
)

// BenchmarkGoodput offers events of 100 bytes to one channel of 1,000 readers at
// given rates, whether the server keeps up or not. It doubles the rate until more
// does not bring more, and then offers ten times the best. Reported are the events
// that arrived everywhere for each second, at best and then, and their ratio.
//
// The server has the first processor; run the benchmark on the second:
//
//	taskset -c 1 go test -tags conformance -run '^$' -bench Goodput -benchtime 1x ./cmd/channels/conformance
func BenchmarkGoodput(b *testing.B) {
	for range b.N {
		s := benchServer(b, plain)
		held := holdMany(b, s, goodputReaders, "my-channel")
		r := countAll(held)
		g := &generator{s: s, request: publishRequest(b, s.Addr, hundredBytes)}
		best := 0.0
		for rate := 50.0; ; rate *= 2 {
			m := g.measure(r, rate, goodputStep)
			b.Log(m)
			best = max(best, m.goodput)
			if m.goodput < rate/2 {
				break
			}
		}
		g.prepare(mostRequests) // else the flood would be one of new connections
		flood := g.measure(r, 10*best, goodputFlood)
		b.Log(flood)
		if n := r.ended.Load(); n > 0 {
			b.Errorf("%d readers were closed", n)
		}
		if n := g.failed.Load(); n > 0 {
			b.Errorf("%d publishes failed, answered neither 200 nor 503: %v", n, g.failure.Load())
		}
		b.ReportMetric(best, "best-events/s")
		b.ReportMetric(flood.goodput, "flooded-events/s")
		b.ReportMetric(flood.offered, "offered-events/s")
		b.ReportMetric(flood.goodput/best, "flooded/best")
		g.close()
		closeAll(held)
	}
}

// receipts counts what arrives at all readers.
type receipts struct {
	frames atomic.Int64
	ended  atomic.Int64 // readers whose connection has ended
}

func countAll(wires []*wire) *receipts {
	r := new(receipts)
	for _, w := range wires {
		go func() {
			in := bufio.NewReaderSize(w.in, 32<<10)
			for {
				if _, err := discardFrame(in); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						r.ended.Add(1)
					}
					return
				}
				r.frames.Add(1)
			}
		}()
	}
	return r
}

// generator offers publishes at a rate, each on a connection that waits for
// nothing else.
type generator struct {
	s       *server
	request []byte

	mu    sync.Mutex
	idle  []chan struct{} // each wakes the goroutine of a connection
	open  int
	early int // publishes that wait for a connection that is being opened

	sent, accepted, refused, failed atomic.Int64
	failure                         atomic.Value // the error of the last that failed
}

// measurement is what came of a rate.
type measurement struct {
	rate, offered, accepted, refused, goodput float64 // events a second
}

func (m measurement) String() string {
	return fmt.Sprintf("%.0f events/s asked for: %.0f offered, %.0f accepted, %.0f refused, %.0f arrived everywhere",
		m.rate, m.offered, m.accepted, m.refused, m.goodput)
}

// measure offers a rate for a time, and waits until all that waits is answered and
// delivered.
func (g *generator) measure(r *receipts, rate float64, d time.Duration) measurement {
	g.offer(rate, goodputSettle)
	begin := time.Now()
	sent, accepted, refused, frames := g.sent.Load(), g.accepted.Load(), g.refused.Load(), r.frames.Load()
	g.offer(rate, d)
	seconds := time.Since(begin).Seconds()
	m := measurement{
		rate:     rate,
		offered:  float64(g.sent.Load()-sent) / seconds,
		accepted: float64(g.accepted.Load()-accepted) / seconds,
		refused:  float64(g.refused.Load()-refused) / seconds,
		goodput:  float64(r.frames.Load()-frames) / goodputReaders / seconds,
	}
	for last := int64(-1); last != r.frames.Load() || g.waiting() > 0; {
		last = r.frames.Load()
		time.Sleep(300 * time.Millisecond)
	}
	return m
}

// offer sends what is due, every millisecond. What finds no connection is not
// offered.
func (g *generator) offer(rate float64, d time.Duration) {
	begin := time.Now()
	for sent := 0; ; time.Sleep(time.Millisecond) {
		elapsed := time.Since(begin)
		for due := int(min(elapsed, d).Seconds() * rate); sent < due; sent++ {
			g.one()
		}
		if elapsed >= d {
			return
		}
	}
}

// prepare opens connections until there are n.
func (g *generator) prepare(n int) {
	g.mu.Lock()
	for g.open < n {
		g.add()
	}
	g.mu.Unlock()
	for ready := 0; ready < n-int(g.failed.Load()); time.Sleep(10 * time.Millisecond) {
		g.mu.Lock()
		ready = len(g.idle)
		g.mu.Unlock()
	}
}

// add opens a connection, with the lock held.
func (g *generator) add() (wake chan struct{}) {
	g.open++
	wake = make(chan struct{}, 1)
	go g.carry(g.open, wake)
	return wake
}

// one sends a publish, unless too many wait.
func (g *generator) one() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.idle) == 0 && g.open == mostRequests {
		return
	}
	if n := len(g.idle); n > 0 {
		g.idle[n-1] <- struct{}{}
		g.idle = g.idle[:n-1]
	} else {
		g.add()
		g.early++
	}
	g.sent.Add(1)
}

// ready puts a connection where the next publish finds it, or gives it one that
// found none.
func (g *generator) ready(wake chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.early > 0 {
		g.early--
		wake <- struct{}{}
		return
	}
	g.idle = append(g.idle, wake)
}

// idleTooLong is when a connection is opened anew, before the server ends it.
const idleTooLong = time.Minute

// carry publishes each time that it is woken.
func (g *generator) carry(i int, wake chan struct{}) {
	_, conn, err := g.s.dialFrom(i)
	if err != nil {
		g.fail(err)
		return
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReaderSize(conn, 512)
	g.ready(wake)
	for used := time.Now(); ; used = time.Now() {
		if _, open := <-wake; !open {
			return
		}
		if time.Since(used) > idleTooLong {
			_ = conn.Close()
			if _, conn, err = g.s.dialFrom(i); err != nil {
				g.fail(err)
				return
			}
			in.Reset(conn)
		}
		if err := g.publish(conn, in); err != nil {
			g.fail(err)
			return
		}
		g.ready(wake)
	}
}

// fail gives up a connection.
func (g *generator) fail(err error) {
	g.failure.Store(err.Error())
	g.failed.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
}

func (g *generator) publish(conn io.Writer, in *bufio.Reader) error {
	if _, err := conn.Write(g.request); err != nil {
		return err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	switch res.StatusCode {
	case http.StatusOK:
		g.accepted.Add(1)
	case http.StatusServiceUnavailable:
		g.refused.Add(1)
	default:
		return fmt.Errorf("answer: %s", res.Status)
	}
	return nil
}

// waiting is how many publishes have no answer.
func (g *generator) waiting() int64 {
	return g.sent.Load() - g.accepted.Load() - g.refused.Load() - g.failed.Load()
}

// close ends the connections, all of which are idle.
func (g *generator) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, wake := range g.idle {
		close(wake)
	}
}
