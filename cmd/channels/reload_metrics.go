package main

import "github.com/prometheus/client_golang/prometheus"

var (
	reloads      = prometheus.NewDesc("channels_reloads_total", "Reloads of the settings by result: taken or refused.", []string{"result"}, nil)
	reloadFailed = prometheus.NewDesc("channels_reload_failed", "1 = the last reload was refused, and the settings before it are in force.", nil, nil)
)

// reloadDescs are the metrics of reloads.
func reloadDescs() []*prometheus.Desc { return []*prometheus.Desc{reloads, reloadFailed, appDiffers} }

// Describe implements prometheus.Collector.
func (r *reloader) Describe(to chan<- *prometheus.Desc) {
	to <- reloads
	to <- reloadFailed
}

// Collect implements prometheus.Collector.
func (r *reloader) Collect(to chan<- prometheus.Metric) {
	counter := func(n uint64, result string) {
		to <- prometheus.MustNewConstMetric(reloads, prometheus.CounterValue, float64(n), result)
	}
	counter(r.taken.Load(), "taken")
	counter(r.refused.Load(), "refused")
	failing := 0.
	if r.failing.Load() {
		failing = 1
	}
	to <- prometheus.MustNewConstMetric(reloadFailed, prometheus.GaugeValue, failing)
}
