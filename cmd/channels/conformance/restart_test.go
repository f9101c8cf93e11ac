//go:build conformance && !goroutinereaders

package conformance

import (
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"
)

// publishedHere finds a publish that was answered 200 in the metrics of a node.
var publishedHere = regexp.MustCompile(`channels_api_responses_total\{status="200"\} [1-9]`)

// restartGrace is half of the grace period that docker-compose.yml gives to nodes.
const restartGrace = "--shutdown-grace=5s"

// TestRollingRestartThroughProxy deploys as docs/cluster.md says, behind nginx as
// docker-compose.yml sets it up, while 100 events a second are published through
// it. None of them may fail.
func TestRollingRestartThroughProxy(t *testing.T) {
	for _, sockets := range []int{20, 0} {
		t.Run(fmt.Sprintf("%d sockets", sockets), func(t *testing.T) {
			for attempt := 1; ; attempt++ {
				p := rollingRestart(t, sockets)
				if len(p.failed) == 0 {
					return
				}
				text := fmt.Sprintf("%d of %d publishes failed, the first ones: %v", len(p.failed), p.sent, p.failed[:min(len(p.failed), 5)])
				if p.late < mostLate || attempt == 3 {
					t.Fatal(text)
				}
				t.Logf("the machine stood still for %v, so this proves nothing: %s", p.late, text)
			}
		})
	}
}

// mostLate is how late a publish may be sent. A machine that stands still for
// longer holds up Redis too, and then publishes are rightly refused.
const mostLate = 250 * time.Millisecond

func rollingRestart(t *testing.T, sockets int) *publishing {
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	r := startRedis(t)
	nodes := make([]*server, 2)
	for i := range nodes {
		nodes[i] = startBinary(t, binary, append(fixedPorts(t), restartGrace, "--redis="+r.url())...)
	}
	front := &server{t: t, Addr: startProxy(t, nodes)}
	for range sockets { // on both nodes
		connect(t, front).subscribe(room)
	}

	p := startPublishing(front, 100)
	time.Sleep(time.Second)
	for i, s := range nodes {
		s.terminate()
		if code := s.awaitExit(); code != 0 {
			t.Fatalf("node %d: exit code %d", i, code)
		}
		p.mark(fmt.Sprintf("node %d has gone", i))
		nodes[i] = startBinary(t, binary, "--listen="+s.Addr, "--ops-listen="+s.Ops, restartGrace, "--redis="+r.url())
		within(t, patience, "the new node is ready", func() bool {
			status, _ := nodes[i].opsGet("/readyz")
			return status == http.StatusOK
		})
		p.mark(fmt.Sprintf("node %d is ready again", i))
	}
	time.Sleep(time.Second)
	p.stop()
	if p.sent < 100 {
		t.Errorf("only %d publishes were sent", p.sent)
	}
	t.Logf("%d publishes: %v", p.sent, p.marks)
	for i, s := range nodes {
		if _, metrics := s.opsGet("/metrics"); len(p.failed) == 0 && !publishedHere.MatchString(metrics) {
			t.Errorf("node %d got nothing to publish after its restart", i)
		}
		s.stop()
	}
	return p
}

// fixedPorts gives a node addresses to come back to, which are not among those
// that are given to clients.
func fixedPorts(t testing.TB) []string {
	t.Helper()
	return []string{
		fmt.Sprintf("--listen=127.0.0.1:%d", freeRedisPort(t)),
		fmt.Sprintf("--ops-listen=127.0.0.1:%d", freeRedisPort(t)),
	}
}

// publishing publishes at a steady rate that does not wait for answers.
type publishing struct {
	began time.Time
	ended chan struct{} // closed when no more is to be sent
	done  chan struct{} // closed when all are answered
	marks []string

	mu     sync.Mutex
	sent   int
	late   time.Duration // the most that one was sent late
	failed []string
}

func startPublishing(s *server, perSecond int) *publishing {
	p := &publishing{began: time.Now(), ended: make(chan struct{}), done: make(chan struct{})}
	calls := &http.Client{
		Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 100},
	}
	go func() {
		defer close(p.done)
		defer calls.CloseIdleConnections()
		var underWay sync.WaitGroup
		defer underWay.Wait()
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for {
			select {
			case <-p.ended:
				return
			case due := <-tick.C:
				p.noteLate(time.Since(due))
			}
			underWay.Go(func() {
				at := time.Since(p.began).Round(time.Millisecond)
				client := sdk(s) // it is not made for several goroutines
				client.HTTPClient = calls
				err := client.Trigger(room, "e", "data")
				p.mu.Lock()
				defer p.mu.Unlock()
				p.sent++
				if err != nil {
					p.failed = append(p.failed, fmt.Sprintf("after %v: %.200s", at, err))
				}
			})
		}
	}()
	return p
}

// mark notes what happens when.
func (p *publishing) mark(what string) {
	p.marks = append(p.marks, fmt.Sprintf("%s after %v", what, time.Since(p.began).Round(time.Millisecond)))
}

func (p *publishing) noteLate(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = max(p.late, d)
}

// stop waits until all are answered; the account is complete then.
func (p *publishing) stop() {
	close(p.ended)
	<-p.done
}
