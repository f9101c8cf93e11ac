package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"channels/hub/webhook"
)

var (
	webhookLabels    = []string{"app_id"}
	webhookWaiting   = prometheus.NewDesc("channels_webhook_waiting_events", "Events that wait to be delivered by this node.", webhookLabels, nil)
	webhookBytes     = prometheus.NewDesc("channels_webhook_waiting_bytes", "What they take.", webhookLabels, nil)
	webhookAge       = prometheus.NewDesc("channels_webhook_oldest_seconds", "Age of the oldest of them.", webhookLabels, nil)
	webhookRequests  = prometheus.NewDesc("channels_webhook_requests_total", "Requests to endpoints by result: delivered, refused (answered, but not with 2xx) or failed (not answered).", append(webhookLabels, "result"), nil)
	webhookGivenUp   = prometheus.NewDesc("channels_webhook_given_up_events_total", "Events that were given up.", webhookLabels, nil)
	webhookDropped   = prometheus.NewDesc("channels_webhook_dropped_events_total", "Events that were not noted, since too many waited.", webhookLabels, nil)
	webhookDurations = prometheus.NewDesc("channels_webhook_request_seconds", "How long requests to endpoints took.", webhookLabels, nil)
)

// webhookDescs are all of them.
func webhookDescs() []*prometheus.Desc {
	return []*prometheus.Desc{webhookWaiting, webhookBytes, webhookAge, webhookRequests, webhookGivenUp, webhookDropped, webhookDurations}
}

// webhookCollector shows the metrics of webhooks.
type webhookCollector struct{ engine *webhook.Engine }

// Describe implements prometheus.Collector.
func (c webhookCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range webhookDescs() {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c webhookCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, app string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, app)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for app, s := range c.engine.Stats() {
		gauge(webhookWaiting, float64(s.Waiting), app)
		gauge(webhookBytes, float64(s.WaitingBytes), app)
		gauge(webhookAge, s.Age.Seconds(), app)
		counter(webhookRequests, s.Delivered, app, "delivered")
		counter(webhookRequests, s.Refused, app, "refused")
		counter(webhookRequests, s.Failed, app, "failed")
		counter(webhookGivenUp, s.GivenUp, app)
		counter(webhookDropped, s.Dropped, app)
		to <- prometheus.MustNewConstHistogram(webhookDurations, s.Took.Count, s.Took.Sum, s.Took.Buckets, app)
	}
}
