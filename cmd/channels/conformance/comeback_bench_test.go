//go:build conformance && !goroutinereaders

package conformance

import (
	"bufio"
	"bytes"
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

// comingBack is how many clients with tokens are on a node that is killed.
const comingBack = 15_000

// returner is a client with a token and three channels, which comes back as pusher-js does,
// to one of the nodes that are left.
type returner struct {
	number int
	named  string // its key, and its token if it has one
	rooms  [3]string
	wire   *wire
	left   int // channels that are not acknowledged yet
	missed bool
}

func newReturner(i int) *returner {
	return &returner{
		number: i, named: fmt.Sprintf("%s~returner-%08d", appKey, i),
		rooms: [3]string{"to-all", fmt.Sprintf("room-%d", i%500), fmt.Sprintf("own-%d", i)},
	}
}

// arrive connects to a node, and subscribes.
func (r *returner) arrive(s *server) error {
	tcp, conn, err := s.dialFrom(r.number)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, strings.Replace(plain.request(), appKey+"?", r.named+"?", 1)); err != nil {
		return err
	}
	r.wire = &wire{t: s.t, tcp: tcp, conn: conn, in: bufio.NewReaderSize(conn, 512)}
	res, err := http.ReadResponse(r.wire.in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade: %s", res.Status)
	}
	r.left, r.missed = len(r.rooms), false
	var all []byte
	for _, room := range r.rooms {
		all = append(all, r.wire.encode(text(subscribeFrame(room, "", "")))...)
	}
	_, err = conn.Write(all)
	return err
}

// read handles what comes until all channels are acknowledged, and said to be resumed or
// missed; or, with on, for ever.
func (r *returner) read(on bool) error {
	pong := r.wire.encode(text(`{"event":"pusher:pong","data":{}}`))
	for on || r.left > 0 {
		_, frame, err := r.wire.read()
		if err != nil {
			return err
		}
		switch {
		case bytes.Contains(frame, []byte(`"pusher:resumed"`)):
			r.left--
		case bytes.Contains(frame, []byte(`"pusher:missed"`)):
			r.left--
			r.missed = true
		case bytes.Contains(frame, []byte(`"pusher:ping"`)):
			if _, err := r.wire.conn.Write(pong); err != nil {
				return err
			}
		}
	}
	return nil
}

// BenchmarkComeBack kills one of three nodes, on which 15,000 clients are, and reports how
// long it takes until all have been given what they have missed, by the two that are left,
// and what a publish takes meanwhile. Clients, nodes and Redis share the machine.
func BenchmarkComeBack(b *testing.B) {
	for range b.N {
		comeBack(b)
	}
}

func comeBack(b *testing.B) {
	binary, err := plainBinary()
	if err != nil {
		b.Fatal(err)
	}
	r := startRedis(b)
	nodes := make([]*server, 3)
	for i := range nodes {
		nodes[i] = launch(b, binary, append([]string{"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--redis=" + r.url()}, resumeSettings...)...)
		b.Cleanup(nodes[i].killNow)
		nodes[i].awaitListening()
	}
	clients := make([]*returner, comingBack)
	inParallel(b, comingBack, func(i int) error {
		clients[i] = newReturner(i)
		if err := clients[i].arrive(nodes[0]); err != nil {
			return err
		}
		return clients[i].read(false)
	})
	var killed atomic.Pointer[time.Time]
	var back, whole atomic.Int64
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			_ = c.read(true)
			for killed.Load() == nil {
				time.Sleep(time.Millisecond)
			}
			for attempt := 1; ; attempt++ {
				if err := c.arrive(nodes[1+(c.number+attempt)%2]); err == nil && c.read(false) == nil {
					break
				}
				time.Sleep(time.Second)
			}
			back.Add(1)
			if !c.missed {
				whole.Add(1)
			}
			_ = c.read(true)
		})
	}
	took := publishMeanwhile(b, nodes[1], func() bool { return back.Load() == comingBack }, func() {
		at := time.Now()
		killed.Store(&at)
		nodes[0].killNow()
	})
	b.ReportMetric(time.Since(*killed.Load()).Seconds(), "s-until-all-are-back")
	b.ReportMetric(float64(comingBack-whole.Load()), "clients-that-missed")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "ms-publish-p99")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-publish-p50")
	for _, s := range nodes[1:] {
		s.killNow()
	}
	all.Wait()
}

// publishMeanwhile publishes a hundred events a second, of which each reaches thirty clients,
// for five seconds before begin and then until the end, and returns how long those took that
// came after it.
func publishMeanwhile(b *testing.B, s *server, ended func() bool, begin func()) (took []time.Duration) {
	client := sdk(s)
	client.HTTPClient = &http.Client{Timeout: patience}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; !ended() && i < 6000; i++ {
		<-tick.C
		if i == 500 {
			begin()
		}
		began := time.Now()
		if err := client.Trigger(fmt.Sprintf("room-%d", i%500), "n", i); err != nil {
			b.Error(err)
		}
		if i > 500 {
			took = append(took, time.Since(began))
		}
	}
	return took
}

// BenchmarkIdleMemoryOfTokens reports what an idle connection with three channels costs in
// resident memory, without a token and with one.
func BenchmarkIdleMemoryOfTokens(b *testing.B) {
	for _, token := range []bool{false, true} {
		b.Run(fmt.Sprintf("token %v", token), func(b *testing.B) {
			for range b.N {
				s := benchServer(b, plain, resumeSettings...)
				before := resident(b, s)
				held := make([]*returner, idleConnections)
				inParallel(b, idleConnections, func(i int) error {
					held[i] = newReturner(i)
					if !token {
						held[i].named = appKey
					}
					if err := held[i].arrive(s); err != nil {
						return err
					}
					if token {
						return held[i].read(false)
					}
					for range 4 { // the greeting, and three acknowledgements
						if _, _, err := held[i].wire.read(); err != nil {
							return err
						}
					}
					return nil
				})
				time.Sleep(time.Minute)
				b.ReportMetric(float64(resident(b, s)-before)/idleConnections/1024, "KiB/conn")
				for _, r := range held {
					_ = r.wire.tcp.Close()
				}
			}
		})
	}
}
