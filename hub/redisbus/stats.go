package redisbus

import (
	"errors"
	"sync/atomic"
	"time"

	"channels/hub"
)

// Stats is what an operator wants to know of a node's part in the cluster.
// Counts are since the start.
type Stats struct {
	Up        bool          // something can be published
	Down      int           // partitions to which nothing can be published
	Servers   int           // of Redis that take writes
	Nodes     int           // that have a lease, this one among them
	Version   int           // of the oldest of them
	Evicts    bool          // a server drops keys when it is full
	CanaryAge time.Duration // of the oldest of the last signs of life by each connection

	Events    int           // that wait for Redis
	Topics    int           // of which Redis has something to be told
	Oldest    time.Duration // for how long the first of them has waited
	Restating int           // topics that are told again after a loss
	Settling  int           // partitions where nodes are coming back after a loss
	LogBytes  uint64        // of the logs in Redis, when this node last looked

	Lag     hub.Histogram // from Redis to this node, of the signs of life
	Publish hub.Histogram // how long publishes took that were taken
	Beat    hub.Histogram // how long Redis took to answer the watch

	Messages     uint64 // that came from Redis
	Bytes        uint64 // of their bodies
	Reconnects   uint64 // connections by which messages come that were replaced
	Gaps         uint64 // breaks, by partition, after which messages had been missed
	Refilled     uint64 // missed messages that were read from the log
	Lost         uint64 // breaks, by partition, after which sockets were told to reconnect
	Fences       uint64 // times, by partition, that the node was declared dead by others
	Doubts       uint64 // times, by partition, that Redis may have lost something, and was told again
	Failures     uint64 // times, by partition, that Redis did not answer as it should
	Rosters      uint64 // rosters that were read because they differed
	UnknownKinds uint64 // messages of a kind that only a newer version knows
	Unknown      uint64 // publishes refused that may have gone out
	Refused      uint64 // publishes refused that reached nobody
}

// stats counts.
type stats struct {
	reconnects, gaps, refilled, lost, fences, doubts, failures, rosters atomic.Uint64
	messages, bytes, unknownKinds, unknown, refused                     atomic.Uint64

	lags, publishing, beats *hub.Durations
}

// Stats returns what has been counted.
func (b *Bus) Stats() Stats {
	s := &b.stats
	stats := Stats{
		Up: b.Err() == nil, Lag: s.lags.Read(), Publish: s.publishing.Read(), Beat: s.beats.Read(),
		Messages: s.messages.Load(), Bytes: s.bytes.Load(), Reconnects: s.reconnects.Load(),
		Gaps: s.gaps.Load(), Refilled: s.refilled.Load(), Lost: s.lost.Load(), Fences: s.fences.Load(),
		Doubts: s.doubts.Load(), Failures: s.failures.Load(), Rosters: s.rosters.Load(),
		UnknownKinds: s.unknownKinds.Load(), Unknown: s.unknown.Load(), Refused: s.refused.Load(),
	}
	now := time.Now()
	for _, server := range b.router.all() {
		stats.Servers++
		stats.Evicts = stats.Evicts || server.evicts.Load()
		for _, f := range server.feeds {
			age, _ := f.age(now)
			stats.CanaryAge = max(stats.CanaryAge, age)
		}
	}
	for _, p := range b.pulses {
		stats.Nodes = max(stats.Nodes, int(p.nodes.Load()))
		stats.LogBytes += p.logBytes.Load()
		if v := int(p.oldest.Load()); stats.Version == 0 || v < stats.Version {
			stats.Version = v
		}
	}
	for _, o := range b.out {
		o.count(&stats, now)
	}
	return stats
}

// count adds what waits in a partition.
func (o *outgoing) count(s *Stats, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Events += o.publishes.count
	s.Topics += len(o.dirty)
	s.Restating += o.restates
	if len(o.dirty) > 0 {
		s.Oldest = max(s.Oldest, now.Sub(o.dirty[0].since))
	}
	if o.settling {
		s.Settling++
	}
	if o.down.Load() != nil {
		s.Down++
	}
}

func (s *stats) published(began time.Time, err error) {
	switch {
	case err == nil:
		s.publishing.Observe(time.Since(began))
	case errors.Is(err, hub.ErrUnavailable):
		s.refused.Add(1)
	default:
		s.unknown.Add(1)
	}
}

// received notes a message.
func (s *stats) received(bytes int) {
	s.messages.Add(1)
	s.bytes.Add(uint64(bytes))
}

// newDurations counts what takes between a millisecond and ten seconds.
func newDurations() *hub.Durations {
	return hub.NewDurations(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
}
