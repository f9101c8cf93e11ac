package redisbus_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// BenchmarkPublish is what a publish costs over Redis, with a subscriber on one
// node, 64 at a time; redis-µs is the script's own time.
func BenchmarkPublish(b *testing.B) { benchPublish(b, nil) }

// BenchmarkPublishKept is the same for channels that have a history.
func BenchmarkPublishKept(b *testing.B) {
	benchPublish(b, &hub.History{Events: 500, Age: 10 * time.Minute, Bytes: 256 << 10, Total: 1 << 30})
}

func benchPublish(b *testing.B, keep *hub.History) {
	s := newServer(b)
	bus := open(b, s.url())
	heard := make(chan string, 1<<16)
	go func() {
		for range heard { //nolint:revive // only taken
		}
	}()
	topics := make([]hub.Topic, 100)
	for i := range topics {
		topics[i] = hub.Topic{App: "1", Channel: fmt.Sprintf("c-%d", i)}
		followed := make(chan error, 1)
		bus.Follow(topics[i], receiver{heard}, func(err error) { followed <- err })
		if err := <-followed; err != nil {
			b.Fatal(err)
		}
	}
	data := []byte(`"` + strings.Repeat("x", 100) + `"`)
	before := scriptTime(b, s.port)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			to := topics[i%len(topics)]
			done := make(chan error, 1)
			bus.Publish(hub.Message{Topic: to, Frame: protocol.EventFrame("e", to.Channel, data, ""), Keep: keep}, func(err error) { done <- err })
			if err := <-done; err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric((scriptTime(b, s.port)-before)/float64(b.N), "redis-µs/op")
}

// BenchmarkNote is what it costs to note how far clients with tokens have come, a thousand
// together.
func BenchmarkNote(b *testing.B) {
	const together = 1000
	s := newServer(b)
	bus := open(b, s.url())
	marks := make([]hub.Mark, together)
	claimed := make(chan error, together)
	for i := range marks {
		marks[i] = hub.Mark{Token: hub.Token{App: "1", Hash: [16]byte{byte(i), byte(i >> 8)}}, Owner: hub.Owner{Conn: uint64(i)}, Text: make([]byte, 83), Life: time.Minute}
		bus.Claim(marks[i].Token, marks[i].Owner, time.Minute, func(_ hub.Claimed, err error) { claimed <- err })
	}
	for range marks {
		if err := <-claimed; err != nil {
			b.Fatal(err)
		}
	}
	before := scriptTime(b, s.port)
	b.ResetTimer()
	for range b.N {
		bus.Note(marks, func(err error) { claimed <- err })
		if err := <-claimed; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric((scriptTime(b, s.port)-before)/float64(b.N*together), "redis-µs/mark")
}

// scriptTime is the µs that Redis has spent in scripts.
func scriptTime(b *testing.B, port int) float64 {
	out, err := exec.Command("redis-cli", "-p", strconv.Itoa(port), "info", "commandstats").Output()
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(out), "cmdstat_evalsha:calls=")
	_, rest, _ = strings.Cut(rest, "usec=")
	digits, _, _ := strings.Cut(rest, ",")
	n, _ := strconv.ParseFloat(digits, 64)
	return n
}
