package redisbus

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"channels/hub"
)

// stats counts what an operator wants to know of the cluster.
type stats struct {
	reconnects atomic.Uint64 // connections by which messages come that were replaced
	gaps       atomic.Uint64 // breaks after which something had been missed
	refilled   atomic.Uint64 // messages read from the log
	lost       atomic.Uint64 // breaks after which the log did not go back far enough
	fences     atomic.Uint64 // times that the node was declared dead
	doubts     atomic.Uint64 // times that Redis had lost something
	messages   atomic.Uint64
	unknown    atomic.Uint64 // publishes whose outcome is not known
	refused    atomic.Uint64 // publishes that reached nobody
	lag        atomic.Int64  // µs, of the last message
	publishing atomic.Int64  // µs, of the last publish

	compareAgain atomic.Bool // rosters could not be compared yet
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
func (s *stats) received(seq uint64, skew int64) {
	s.messages.Add(1)
	if skew != 0 {
		s.lag.Store(max(0, time.Now().UnixMicro()+skew-int64(seq)))
	}
}

// metric is one thing that is counted.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*Bus) float64
}

func metrics() []metric {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	made := func(name, help string, kind prometheus.ValueType, of func(*Bus) float64) metric {
		return metric{prometheus.NewDesc("channels_bus_"+name, help, nil, nil), kind, of}
	}
	count := func(c func(*stats) *atomic.Uint64) func(*Bus) float64 {
		return func(b *Bus) float64 { return float64(c(&b.stats).Load()) }
	}
	return []metric{
		made("up", "1 while Redis answers.", gauge, func(b *Bus) float64 {
			if b.Err() != nil {
				return 0
			}
			return 1
		}),
		made("canary_age_seconds", "Age of the oldest of the last signs of life that came by each connection.", gauge, (*Bus).canaryAge),
		made("lag_seconds", "Time from Redis's taking the last message to this node's having it.", gauge,
			func(b *Bus) float64 { return float64(b.stats.lag.Load()) / 1e6 }),
		made("publish_seconds", "Time that the last publish took.", gauge,
			func(b *Bus) float64 { return float64(b.stats.publishing.Load()) / 1e6 }),
		made("messages_total", "Messages that came from Redis.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.messages })),
		made("reconnects_total", "Connections by which messages come that had to be replaced.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.reconnects })),
		made("gaps_total", "Breaks, by partition, after which messages had been missed.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.gaps })),
		made("refilled_total", "Missed messages that were read from the log.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.refilled })),
		made("lost_total", "Breaks, by partition, that were too long for the log; sockets were closed.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.lost })),
		made("fences_total", "Times that this node was declared dead by the others.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.fences })),
		made("doubts_total", "Times that Redis had lost something and was told again.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.doubts })),
		made("unknown_publishes_total", "Publishes answered 503 that may have gone out.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.unknown })),
		made("refused_publishes_total", "Publishes answered 503 that reached nobody.", counter,
			count(func(s *stats) *atomic.Uint64 { return &s.refused })),
	}
}

var allMetrics = metrics()

// Describe implements prometheus.Collector.
func (b *Bus) Describe(out chan<- *prometheus.Desc) {
	for _, m := range allMetrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (b *Bus) Collect(out chan<- prometheus.Metric) {
	for _, m := range allMetrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(b))
	}
}

func (b *Bus) canaryAge() float64 {
	oldest := time.Duration(0)
	for _, f := range b.feeds {
		oldest = max(oldest, f.age(time.Now()))
	}
	return oldest.Seconds()
}
