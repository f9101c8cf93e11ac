package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"channels/hub/redisbus"
)

// busMetric is one metric of the node's part in the cluster.
type busMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(redisbus.Stats) float64
}

func busMetrics() []busMetric {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	made := func(name, help string, kind prometheus.ValueType, of func(redisbus.Stats) float64) busMetric {
		return busMetric{prometheus.NewDesc("channels_bus_"+name, help, nil, nil), kind, of}
	}
	return []busMetric{
		made("up", "1 while Redis answers.", gauge, func(s redisbus.Stats) float64 {
			if s.Up {
				return 1
			}
			return 0
		}),
		made("canary_age_seconds", "Time since something came by the quietest connection to Redis.", gauge,
			func(s redisbus.Stats) float64 { return s.CanaryAge.Seconds() }),
		made("lag_seconds", "Time that the last message took from Redis to this node.", gauge,
			func(s redisbus.Stats) float64 { return s.Lag.Seconds() }),
		made("publish_seconds", "Time that the last publish took.", gauge,
			func(s redisbus.Stats) float64 { return s.Publish.Seconds() }),
		made("messages_total", "Messages that came from Redis.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Messages) }),
		made("received_bytes_total", "Bytes of messages that came from Redis.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Bytes) }),
		made("reconnects_total", "Connections for messages that had to be replaced.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Reconnects) }),
		made("gaps_total", "Breaks, per partition, in which messages were missed.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Gaps) }),
		made("refilled_total", "Missed messages that were read from the log.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Refilled) }),
		made("lost_total", "Breaks, per partition, that were too long for the log, so that connections were closed.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Lost) }),
		made("fences_total", "Times that the other nodes declared this node dead.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Fences) }),
		made("doubts_total", "Times that Redis had lost data, which this node then restored.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Doubts) }),
		made("unknown_publishes_total", "Publishes answered 503 that may have gone out.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Unknown) }),
		made("refused_publishes_total", "Publishes answered 503 that reached nobody.", counter,
			func(s redisbus.Stats) float64 { return float64(s.Refused) }),
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
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s))
	}
}
