package redisbus_test

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/redisbus"
)

var (
	scaleNodes = flag.Int("nodes", 40, "how many nodes TestScale starts")
	scaleFor   = flag.Duration("scale", 3*time.Second, "how long TestScale publishes")
	manyRooms  = flag.Bool("rooms", false, "TestRostersAfterLoss has 20 nodes and 20 rooms of 100")
	crowdSize  = flag.Int("crowd", 20_000, "how many channels tests of bulk work have")
)

// TestScale: nodes that are many do not declare each other dead, and all that they
// publish is taken. What it costs is told, and judged in the benchmarks.
func TestScale(t *testing.T) {
	few := scaled(t, 4, false)
	many := scaled(t, *scaleNodes, true)
	t.Logf("%d nodes: %.0f events/s, %.2f of what 4 take", *scaleNodes, many, many/few)
}

// scaled publishes over so many nodes, 256 events at a time, and returns the rate.
func scaled(t *testing.T, count int, idle bool) float64 {
	s := newServer(t)
	nodes := make([]*redisbus.Bus, count)
	config, err := redisbus.ParseURL(s.url())
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		if nodes[i], err = redisbus.Open(context.Background(), redisbus.Options{Config: config}); err != nil {
			t.Fatal(err)
		}
	}
	// As many channels whatever the number of nodes, each on one of them.
	for i := range *scaleNodes {
		occupy(t, nodes[i%count], fmt.Sprintf("c%d", i), 1, new(deaf))
	}
	defer func() {
		for _, b := range nodes {
			b.Crash()
		}
		s.kill()
	}()
	if idle {
		time.Sleep(time.Second)
		before, began := s.cpu(), time.Now()
		time.Sleep(*scaleFor)
		t.Logf("%d idle nodes: Redis uses %.1f %% of a core", count, (s.cpu()-before)/time.Since(began).Seconds()*100)
	}
	var taken, failed atomic.Int64
	var publishers sync.WaitGroup
	began, end := time.Now(), time.Now().Add(*scaleFor)
	before := s.cpu()
	for w := range 256 {
		publishers.Go(func() {
			b := nodes[w%min(8, count)]
			for k := w; time.Now().Before(end); k++ {
				if publish(nodeOf(b), hub.Topic{App: "1", Channel: fmt.Sprintf("c%d-0", k*7%*scaleNodes)}, "x") == nil {
					taken.Add(1)
				} else {
					failed.Add(1)
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	publishers.Wait()
	rate := float64(taken.Load()) / time.Since(began).Seconds()
	t.Logf("%d nodes: %.0f events/s, %.1f µs of Redis each", count, rate, (s.cpu()-before)/float64(max(1, taken.Load()))*1e6)
	fences, lost := uint64(0), uint64(0)
	for _, b := range nodes {
		fences += b.Stats().Fences
		lost += b.Stats().Lost
	}
	if fences > 0 || lost > 0 || failed.Load() > 0 {
		t.Errorf("%d nodes: %d publishes failed, %d fences, %d lost", count, failed.Load(), fences, lost)
	}
	return rate
}

// cpu is the processor time that Redis has used, in seconds.
func (s *server) cpu() float64 {
	total := 0.0
	for line := range strings.Lines(s.cli("info", "cpu")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			n, _ := strconv.ParseFloat(value, 64)
			total += n
		}
	}
	return total
}
