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
	Up        bool          // Redis answers
	CanaryAge time.Duration // of the oldest of the last signs of life by each connection
	Lag       time.Duration // of the last message, from Redis to this node
	Publish   time.Duration // that the last publish took

	Messages   uint64 // that came from Redis
	Bytes      uint64 // of their bodies
	Reconnects uint64 // connections by which messages come that were replaced
	Gaps       uint64 // breaks, by partition, after which messages had been missed
	Refilled   uint64 // missed messages that were read from the log
	Lost       uint64 // breaks, by partition, that were too long for the log
	Fences     uint64 // times that the node was declared dead by others
	Doubts     uint64 // times that Redis had lost something, and was told again
	Unknown    uint64 // publishes refused that may have gone out
	Refused    uint64 // publishes refused that reached nobody
}

// stats counts.
type stats struct {
	reconnects, gaps, refilled, lost, fences, doubts, messages, bytes, unknown, refused atomic.Uint64

	lag        atomic.Int64 // µs
	publishing atomic.Int64 // µs

	compareAgain atomic.Bool // rosters could not be compared yet
}

// Stats returns what has been counted.
func (b *Bus) Stats() Stats {
	s := &b.stats
	oldest := time.Duration(0)
	for _, f := range b.feeds {
		oldest = max(oldest, f.age(time.Now()))
	}
	return Stats{
		Up:         b.Err() == nil,
		CanaryAge:  oldest,
		Lag:        time.Duration(s.lag.Load()) * time.Microsecond,
		Publish:    time.Duration(s.publishing.Load()) * time.Microsecond,
		Messages:   s.messages.Load(),
		Bytes:      s.bytes.Load(),
		Reconnects: s.reconnects.Load(),
		Gaps:       s.gaps.Load(),
		Refilled:   s.refilled.Load(),
		Lost:       s.lost.Load(),
		Fences:     s.fences.Load(),
		Doubts:     s.doubts.Load(),
		Unknown:    s.unknown.Load(),
		Refused:    s.refused.Load(),
	}
}

func (s *stats) published(began time.Time, err error) {
	switch {
	case err == nil:
		s.publishing.Store(time.Since(began).Microseconds())
	case errors.Is(err, hub.ErrUnavailable):
		s.refused.Add(1)
	default:
		s.unknown.Add(1)
	}
}

// received notes a message, whose number is Redis's time.
func (s *stats) received(seq uint64, bytes int, skew int64) {
	s.messages.Add(1)
	s.bytes.Add(uint64(bytes))
	if skew != 0 {
		s.lag.Store(max(0, time.Now().UnixMicro()+skew-int64(seq)))
	}
}
