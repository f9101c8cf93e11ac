package report

import (
	"fmt"
	"strconv"
)

// metric is a figure that is shown, compared and expected.
type metric struct {
	name  string
	label string
	unit  string
	value func(*Result) (float64, bool) // false: not measured
}

// metrics lists all figures in the order in which they are shown.
func metrics() []metric {
	all := []metric{
		count("connections.wanted", "connections wanted", func(r *Result) float64 { return float64(r.Connections.Wanted) }),
		count("connections.subscribed", "subscribed", func(r *Result) float64 { return float64(r.Connections.Subscribed) }),
		count("connections.failed", "failed", func(r *Result) float64 { return float64(r.Connections.Failed) }),
		count("connections.closed_by_server", "closed by the server", func(r *Result) float64 { return float64(r.Connections.Closed) }),
		count("publish.sent", "published", func(r *Result) float64 { return float64(r.Publish.Sent) }),
		count("publish.errors", "publish errors", func(r *Result) float64 { return float64(r.Publish.Errors) }),
		{"publish.per_second", "publishes", "/s", func(r *Result) (float64, bool) { return r.Publish.PerSecond, r.Publish.Sent > 0 }},
		count("expected", "deliveries expected", func(r *Result) float64 { return float64(r.Expected) }),
		count("received", "received", func(r *Result) float64 { return float64(r.Received) }),
		count("lost", "lost", func(r *Result) float64 { return float64(r.Lost) }),
		count("duplicates", "duplicates", func(r *Result) float64 { return float64(r.Duplicates) }),
		count("out_of_order", "out of order", func(r *Result) float64 { return float64(r.OutOfOrder) }),
		{"deliveries_per_second", "deliveries", "/s", func(r *Result) (float64, bool) { return r.DeliveriesPerSecond, r.Received > 0 }},
	}
	all = append(all, times("delivery", "delivery", func(r *Result) *Times { return &r.Delivery })...)
	all = append(all, times("spread", "first to last receiver", func(r *Result) *Times { return &r.Spread })...)
	all = append(all, times("publish", "publish", func(r *Result) *Times { return &r.Publish.Times })...)
	all = append(all, times("connect", "connect", func(r *Result) *Times { return &r.Connect })...)
	all = append(all, times("subscribe", "subscribe", func(r *Result) *Times { return &r.Subscribe })...)
	all = append(all, times("storm.reconnect", "reconnect of the dropped", storm(func(s *Storm) *Times { return &s.Reconnect }))...)
	all = append(all, times("storm.others", "connect of others meanwhile", storm(func(s *Storm) *Times { return &s.Others }))...)
	all = append(all, times("slow.delivery_before", "delivery before the stall", func(r *Result) *Times {
		if r.Slow == nil {
			return nil
		}
		return &r.Slow.Before
	})...)
	return append(all,
		metric{"storm.recovery", "recovery", "ms", func(r *Result) (float64, bool) {
			if r.Storm == nil {
				return 0, false
			}
			return r.Storm.Recovery, true
		}},
		server("server.cpu_us_per_delivery", "server CPU per delivery", "µs", func(s *Server) float64 { return s.CPUPerDelivery }),
		server("server.cpu_us_per_publish", "server CPU per publish", "µs", func(s *Server) float64 { return s.CPUPerPublish }),
		server("server.cpu_us_per_connection", "server CPU per connection", "µs", func(s *Server) float64 { return s.CPUPerConnection }),
		server("server.cpu_share", "server CPU while measured", "of a processor", func(s *Server) float64 { return s.CPUShare }),
		server("server.rss_kib_per_connection", "server memory per connection", "KiB", func(s *Server) float64 { return s.RSSPerConnection }),
		metric{"generator.cpu_us_per_event", "generator CPU per event", "µs", func(r *Result) (float64, bool) {
			return r.Generator.CPUPerEvent, r.Generator.CPUPerEvent > 0
		}},
		metric{"generator.cpu_share", "generator CPU", "of its processors", func(r *Result) (float64, bool) {
			return r.Generator.CPUShare, true
		}},
	)
}

func count(name, label string, value func(*Result) float64) metric {
	return metric{name, label, "", func(r *Result) (float64, bool) { return value(r), true }}
}

func storm(of func(*Storm) *Times) func(*Result) *Times {
	return func(r *Result) *Times {
		if r.Storm == nil {
			return nil
		}
		return of(r.Storm)
	}
}

func server(name, label, unit string, value func(*Server) float64) metric {
	return metric{name, label, unit, func(r *Result) (float64, bool) {
		if r.Server == nil {
			return 0, false
		}
		v := value(r.Server)
		return v, v > 0
	}}
}

func times(name, label string, of func(*Result) *Times) []metric {
	part := func(suffix string, value func(*Times) float64) metric {
		return metric{name + "." + suffix + "_ms", label + " " + suffix, "ms", func(r *Result) (float64, bool) {
			t := of(r)
			if t == nil || t.Count == 0 {
				return 0, false
			}
			return value(t), true
		}}
	}
	return []metric{
		part("p50", func(t *Times) float64 { return t.P50 }),
		part("p90", func(t *Times) float64 { return t.P90 }),
		part("p99", func(t *Times) float64 { return t.P99 }),
		part("p999", func(t *Times) float64 { return t.P999 }),
		part("max", func(t *Times) float64 { return t.Max }),
	}
}

// figure writes a number with as many digits as say something.
func figure(v float64) string {
	switch {
	case v == float64(int64(v)) && v < 1e15:
		return thousands(int64(v))
	case v >= 1000:
		return thousands(int64(v + 0.5))
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (m metric) text(v float64) string {
	if m.unit == "" {
		return figure(v)
	}
	return fmt.Sprintf("%s %s", figure(v), m.unit)
}
