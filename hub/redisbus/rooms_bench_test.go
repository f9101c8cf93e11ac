package redisbus_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// BenchmarkJoinRoom is what it costs to join a presence channel that has so many
// members, with the announcement that two nodes hear; redis-µs is the scripts' time.
func BenchmarkJoinRoom(b *testing.B) {
	for _, members := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			s := newServer(b)
			here, there := open(b, s.url()), open(b, s.url())
			room := hub.Topic{App: "1", Channel: "presence-room"}
			for _, bus := range []hub.Bus{here, there} {
				followed := make(chan error, 1)
				bus.Follow(room, new(deaf), func(err error) { followed <- err })
				if err := <-followed; err != nil {
					b.Fatal(err)
				}
			}
			next := 0
			join := func(count int) {
				var all sync.WaitGroup
				for range count {
					next++
					all.Add(1)
					member := &protocol.Member{ID: fmt.Sprintf("user-%d", next), Info: []byte(`{"name":"Somebody with a name"}`)}
					here.Join(hub.Join{Topic: room, Subscribers: next, Member: member}, func(_ hub.Joined, err error) {
						if err != nil {
							b.Error(err)
						}
						all.Done()
					})
				}
				all.Wait()
			}
			join(1)
			join(members - 1)
			before := scriptTime(b, s.port)
			b.ResetTimer()
			join(b.N)
			b.StopTimer()
			b.ReportMetric((scriptTime(b, s.port)-before)/float64(b.N), "redis-µs/op")
		})
	}
}

// BenchmarkHotChannel is what an event costs Redis on a channel that a hundred
// nodes listen to: one at a time, and sixteen that are ready together. A thousand
// events go out each second; redis-µs is all of Redis's processor time.
func BenchmarkHotChannel(b *testing.B) {
	const nodes, perSecond = 100, 1_000
	for _, together := range []int{1, 16} {
		b.Run(fmt.Sprint(together), func(b *testing.B) {
			s := newServer(b)
			hot := hub.Topic{App: "1", Channel: "hot"}
			first := open(b, s.url())
			for i := range nodes {
				bus := first
				if i > 0 {
					bus = open(b, s.url())
				}
				followed := make(chan error, 1)
				bus.Follow(hot, new(deaf), func(err error) { followed <- err })
				if err := <-followed; err != nil {
					b.Fatal(err)
				}
			}
			time.Sleep(2 * time.Second)
			idleSince, idle := time.Now(), s.cpu()
			time.Sleep(5 * time.Second)
			idling := (s.cpu() - idle) / time.Since(idleSince).Seconds()
			frame := protocol.EventFrame("e", hot.Channel, []byte(`"`+fmt.Sprintf("%0100d", 0)+`"`), "")
			before, began := s.cpu(), time.Now()
			b.ResetTimer()
			due := time.NewTicker(time.Second * time.Duration(together) / perSecond)
			defer due.Stop()
			var all sync.WaitGroup
			for sent := 0; sent < b.N; sent += together {
				<-due.C
				for range min(together, b.N-sent) {
					all.Add(1)
					first.Publish(hub.Message{Topic: hot, Frame: frame}, func(err error) {
						if err != nil {
							b.Error(err)
						}
						all.Done()
					})
				}
			}
			all.Wait()
			b.StopTimer()
			used := s.cpu() - before - idling*time.Since(began).Seconds()
			b.ReportMetric(used/float64(b.N)*1e6, "redis-µs/op")
		})
	}
}
