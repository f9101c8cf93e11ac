package hub_test

import (
	"fmt"
	"testing"

	"channels/hub"
	"channels/protocol"
)

// BenchmarkEmptyingAPresenceChannel has 10,000 members leave in the order in which
// they came. Each must take the same time, however many there are.
func BenchmarkEmptyingAPresenceChannel(b *testing.B) {
	const members = 10_000
	room := hub.Topic{App: "1", Channel: "presence-room"}
	ids := make([]string, members)
	for i := range ids {
		ids[i] = fmt.Sprint("user-", i)
	}
	for b.Loop() {
		b.StopTimer()
		m := hub.NewMemory()
		for i, id := range ids {
			m.Join(hub.Join{Topic: room, Subscribers: i + 1, Member: &protocol.Member{ID: id}}, func(hub.Joined, error) {})
		}
		b.StartTimer()
		for i, id := range ids {
			m.Leave(hub.Leave{Topic: room, Subscribers: members - 1 - i, Gone: id}, func(error) {})
		}
		b.StopTimer()
		m.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/leave")
}
