package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"channels/hub"
	"channels/hub/redisbus"
)

// busMetric is one metric of the node's part in the cluster.
type busMetric struct {
	desc *prometheus.Desc
	show func(*prometheus.Desc, redisbus.Stats) prometheus.Metric
}

func busDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("channels_bus_"+name, help, nil, nil)
}

func busGauge(name, help string, of func(redisbus.Stats) float64) busMetric {
	return busMetric{busDesc(name, help), func(d *prometheus.Desc, s redisbus.Stats) prometheus.Metric {
		return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, of(s))
	}}
}

func busCounter(name, help string, of func(redisbus.Stats) uint64) busMetric {
	return busMetric{busDesc(name, help), func(d *prometheus.Desc, s redisbus.Stats) prometheus.Metric {
		return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(of(s)))
	}}
}

func busHistogram(name, help string, of func(redisbus.Stats) hub.Histogram) busMetric {
	return busMetric{busDesc(name, help), func(d *prometheus.Desc, s redisbus.Stats) prometheus.Metric {
		h := of(s)
		return prometheus.MustNewConstHistogram(d, h.Count, h.Sum, h.Buckets)
	}}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func busMetrics() []busMetric {
	type stats = redisbus.Stats
	return []busMetric{
		busGauge("up", "1 while anything can be published.", func(s stats) float64 { return oneIf(s.Up) }),
		busGauge("partitions_down", "Partitions, of 256, to which nothing can be published.", func(s stats) float64 { return float64(s.Down) }),
		busGauge("servers", "Redis servers that take writes.", func(s stats) float64 { return float64(s.Servers) }),
		busGauge("nodes", "Nodes that are alive, this one among them.", func(s stats) float64 { return float64(s.Nodes) }),
		busGauge("oldest_version", "Version of the messages that the oldest living node understands.", func(s stats) float64 { return float64(s.Version) }),
		busGauge("evicting", "1 where Redis drops keys when its memory is full, which it must not.", func(s stats) float64 { return oneIf(s.Evicts) }),
		busGauge("canary_age_seconds", "Age of the oldest of the last signs of life that came by each connection to Redis.", func(s stats) float64 { return s.CanaryAge.Seconds() }),
		busGauge("queued_events", "Events that wait for Redis.", func(s stats) float64 { return float64(s.Events) }),
		busGauge("queued_topics", "Channels and users of which Redis has something to be told.", func(s stats) float64 { return float64(s.Topics) }),
		busGauge("queue_age_seconds", "For how long the first of them has waited.", func(s stats) float64 { return s.Oldest.Seconds() }),
		busGauge("restating", "Channels and users that Redis is told again after it has lost something.", func(s stats) float64 { return float64(s.Restating) }),
		busGauge("settling", "Partitions, of 256, where nodes may still be coming back after a loss, so that departures are held back.", func(s stats) float64 { return float64(s.Settling) }),
		busGauge("log_bytes", "Bytes of the logs in Redis, when this node last looked: one node does each second.", func(s stats) float64 { return float64(s.LogBytes) }),
		busHistogram("lag_seconds", "Time from Redis's sending this node a sign of life to its coming.", func(s stats) hub.Histogram { return s.Lag }),
		busHistogram("publish_seconds", "Time that publishes took which Redis has taken.", func(s stats) hub.Histogram { return s.Publish }),
		busHistogram("beat_seconds", "Time that Redis took to answer this node's watch, each second.", func(s stats) hub.Histogram { return s.Beat }),
		busCounter("messages_total", "Messages that came from Redis.", func(s stats) uint64 { return s.Messages }),
		busCounter("received_bytes_total", "Bytes of messages that came from Redis.", func(s stats) uint64 { return s.Bytes }),
		busCounter("reconnects_total", "Connections by which messages come that had to be replaced.", func(s stats) uint64 { return s.Reconnects }),
		busCounter("gaps_total", "Breaks, by partition, after which messages had been missed.", func(s stats) uint64 { return s.Gaps }),
		busCounter("refilled_total", "Missed messages that were read from the log.", func(s stats) uint64 { return s.Refilled }),
		busCounter("lost_total", "Breaks, by partition, after which sockets were closed because messages were lost to them.", func(s stats) uint64 { return s.Lost }),
		busCounter("fences_total", "Times, by partition, that this node was declared dead by the others.", func(s stats) uint64 { return s.Fences }),
		busCounter("doubts_total", "Times, by partition, that Redis may have lost something, and was told again.", func(s stats) uint64 { return s.Doubts }),
		busCounter("failures_total", "Times, by partition, that Redis did not answer as it should.", func(s stats) uint64 { return s.Failures }),
		busCounter("rosters_total", "Rosters that were read again because they differed after a loss.", func(s stats) uint64 { return s.Rosters }),
		busCounter("unknown_kinds_total", "Messages that were skipped because only a newer version understands them.", func(s stats) uint64 { return s.UnknownKinds }),
		busCounter("unknown_publishes_total", "Publishes answered 503 that may have gone out.", func(s stats) uint64 { return s.Unknown }),
		busCounter("refused_publishes_total", "Publishes answered 503 that reached nobody.", func(s stats) uint64 { return s.Refused }),
	}
}

// busCollector shows the counters of a bus on /metrics.
type busCollector struct {
	bus     *redisbus.Bus
	metrics []busMetric
}

// Describe implements prometheus.Collector.
func (c busCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c busCollector) Collect(out chan<- prometheus.Metric) {
	s := c.bus.Stats()
	for _, m := range c.metrics {
		out <- m.show(m.desc, s)
	}
}
