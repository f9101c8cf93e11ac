package main

import "channels/loadtest/report"

// work is a run of the load tester, and what is read from its result.
type work struct {
	name    string
	args    []string
	warm    bool // do it once before
	figures []figure
}

// figure is a line of the table. Less is better, unless more is.
type figure struct {
	label string
	unit  string
	more  bool
	value func(*report.Result) float64
}

func perDelivery(r *report.Result) float64 { return r.Server.CPUPerDelivery }

// works is the plan.
func works() []work {
	return []work{
		{"steady", []string{"fanout", "--connections", "1000", "--rate", "20", "--duration", "8s", "--warmup", "1s"}, false, []figure{
			{"20 events/s of 100 B to 1,000 sockets on one channel: server CPU per delivery", "µs", false, perDelivery},
			{"the same: delivery, p99", "ms", false, func(r *report.Result) float64 { return r.Delivery.P99 }},
		}},
		{"flatout", []string{"fanout", "--connections", "1000", "--rate", "0", "--workers", "16", "--duration", "6s", "--warmup", "1s"}, false, []figure{
			{"flat out, 16 publishers: server CPU per delivery", "µs", false, perDelivery},
			{"the same: deliveries per second", "", true, func(r *report.Result) float64 { return r.DeliveriesPerSecond }},
		}},
		{"hot", []string{"fanout", "--connections", "15000", "--rate", "2", "--duration", "6s", "--settle", "8s"}, false, []figure{
			{"one channel with 15,000 subscribers: first to last receiver, p50", "ms", false, func(r *report.Result) float64 { return r.Spread.P50 }},
			{"resident memory per idle subscribed connection at 15,000", "KiB", false, func(r *report.Result) float64 { return r.Server.RSSPerConnection }},
		}},
		{"wide", []string{"fanout", "--connections", "15000", "--channels", "1500", "--rate", "200", "--duration", "8s"}, false, []figure{
			{"15,000 sockets over 1,500 channels, 200 events/s: server CPU", "% of a processor", false, func(r *report.Result) float64 { return 100 * r.Server.CPUShare }},
		}},
		{"publish", []string{"publish", "--duration", "6s", "--warmup", "1s"}, false, []figure{
			{"signed REST publishes to one subscriber: server CPU each", "µs", false, func(r *report.Result) float64 { return r.Server.CPUPerPublish }},
			{"the same: publishes per second", "", true, func(r *report.Result) float64 { return r.Publish.PerSecond }},
		}},
		{"connect", []string{"connect", "--connections", "15000", "--connect-rate", "0", "--connect-workers", "256", "--timeout", "60s"}, true, []figure{
			{"connect and subscribe, 15,000 in a storm of 256 at a time, warmed: server CPU each", "µs", false, func(r *report.Result) float64 { return r.Server.CPUPerConnection }},
		}},
		{"storm", []string{"storm", "--connections", "15000", "--channels", "1500", "--stay-away", "--duration", "8s", "--timeout", "60s"}, false, []figure{
			{"15,000 sockets dropped at once: connects of others meanwhile, p99", "ms", false, func(r *report.Result) float64 { return r.Storm.Others.P99 }},
		}},
		{"slow", []string{"slow", "--connections", "1000", "--stalled", "1", "--rate", "20", "--size", "2000", "--duration", "8s"}, false, []figure{
			{"one stalled reader among 1,000: delivery to the others, p99", "ms", false, func(r *report.Result) float64 { return r.Delivery.P99 }},
		}},
	}
}
