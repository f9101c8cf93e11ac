package server

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"channels/hub"
)

// sharedPrefix starts the names of the metrics that other servers for this
// protocol have too, so that dashboards made for those show ours.
const sharedPrefix = "soketi_"

// Metrics is what the operator's /metrics shows. It reads the hub's tables when
// it is asked, and keeps only what has no table.
type Metrics struct {
	registry *prometheus.Registry
	latency  prometheus.Histogram
	refused  *prometheus.CounterVec
	api      *prometheus.CounterVec

	mu     sync.Mutex
	source *Server
}

// NewMetrics returns metrics without a server; Server.New adds it.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "channels_delivery_latency_seconds",
			Help:    "Time from an event's arrival on this node to its having been given to all of its sockets.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "channels_refused_publishes_total",
			Help: "Events that were not published, by reason.",
		}, []string{"app_id", "reason"}),
		api: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "channels_api_responses_total",
			Help: "Answers of the REST API, by status.",
		}, []string{"status"}),
	}
	m.registry.MustRegister(m.latency, m.refused, m.api, tables{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Delivered notes how long a message took; it is made for hub.Options.
func (m *Metrics) Delivered(d time.Duration) { m.latency.Observe(d.Seconds()) }

// Handler serves the page.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Registry gives access to what is registered, for tests.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

func (m *Metrics) setSource(s *Server) {
	m.mu.Lock()
	m.source = s
	m.mu.Unlock()
}

func (m *Metrics) server() *Server {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.source
}

// Reasons for which a publish is refused.
const (
	refusedOverload    = "overload"
	refusedUnavailable = "unavailable"
	refusedRate        = "rate"
)

// tables collects what the server counts by itself.
type tables struct{ metrics *Metrics }

type appMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(hub.AppStats) float64
}

func perApp(name, help string, kind prometheus.ValueType, of func(hub.AppStats) float64) appMetric {
	return appMetric{prometheus.NewDesc(name, help, []string{"app_id", "port"}, nil), kind, of}
}

// appMetrics lists what is known of each app. Bytes are not typed as counters,
// since their shared names do not end in _total.
func appMetrics() []appMetric {
	const counter, gauge, plain = prometheus.CounterValue, prometheus.GaugeValue, prometheus.UntypedValue
	return []appMetric{
		perApp(sharedPrefix+"connected", "Sockets that are open.", gauge,
			func(s hub.AppStats) float64 { return float64(s.Connections) }),
		perApp(sharedPrefix+"new_connections_total", "Sockets that were opened.", counter,
			func(s hub.AppStats) float64 { return float64(s.Opened) }),
		perApp(sharedPrefix+"new_disconnections_total", "Sockets that were closed.", counter,
			func(s hub.AppStats) float64 { return float64(s.Closed) }),
		perApp(sharedPrefix+"ws_messages_received_total", "Messages from clients.", counter,
			func(s hub.AppStats) float64 { return float64(s.MessagesReceived) }),
		perApp(sharedPrefix+"ws_messages_sent_total", "Messages to clients.", counter,
			func(s hub.AppStats) float64 { return float64(s.MessagesSent) }),
		perApp(sharedPrefix+"socket_received_bytes", "Bytes of messages from clients.", plain,
			func(s hub.AppStats) float64 { return float64(s.BytesReceived) }),
		perApp(sharedPrefix+"socket_transmitted_bytes", "Bytes of messages to clients.", plain,
			func(s hub.AppStats) float64 { return float64(s.BytesSent) }),
		perApp("channels_subscribed_channels", "Channels with subscribers on this node.", gauge,
			func(s hub.AppStats) float64 { return float64(s.Channels) }),
		perApp("channels_subscriptions", "Subscriptions on this node.", gauge,
			func(s hub.AppStats) float64 { return float64(s.Subscriptions) }),
	}
}

// apiMetrics are those of the REST API, per app.
type apiMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*appTraffic) uint64
}

func apiMetrics() []apiMetric {
	labels := []string{"app_id", "port"}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(sharedPrefix+name, help, labels, nil)
	}
	return []apiMetric{
		{desc("http_calls_received_total", "Calls of the REST API."), prometheus.CounterValue,
			func(t *appTraffic) uint64 { return t.calls.Load() }},
		{desc("http_received_bytes", "Bytes of the bodies of REST calls."), prometheus.UntypedValue,
			func(t *appTraffic) uint64 { return t.received.Load() }},
		{desc("http_transmitted_bytes", "Bytes of the answers to REST calls."), prometheus.UntypedValue,
			func(t *appTraffic) uint64 { return t.sent.Load() }},
	}
}

// Describe implements prometheus.Collector. The names depend on nothing, but
// nothing is known without a server, so it is left unchecked.
func (tables) Describe(chan<- *prometheus.Desc) {}

var (
	queueDesc   = prometheus.NewDesc("channels_queue_bytes", "Bytes queued for clients that read slowly.", nil, nil)
	mailboxDesc = prometheus.NewDesc("channels_mailbox_bytes", "Bytes waiting to be delivered.", nil, nil)
	closesDesc  = prometheus.NewDesc("channels_closes_total", "Connections closed by the server, by code and reason.", []string{"code", "reason"}, nil)
)

// Collect implements prometheus.Collector.
func (t tables) Collect(out chan<- prometheus.Metric) {
	s := t.metrics.server()
	if s == nil {
		return
	}
	stats := s.hub.Stats()
	port := s.port()
	for _, m := range appMetrics() {
		for _, app := range stats.Apps {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(app), app.App.ID, port)
		}
	}
	for _, m := range apiMetrics() {
		for _, app := range stats.Apps {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.of(s.traffic[app.App])), app.App.ID, port)
		}
	}
	out <- prometheus.MustNewConstMetric(queueDesc, prometheus.GaugeValue, float64(s.queues.used.Load()))
	out <- prometheus.MustNewConstMetric(mailboxDesc, prometheus.GaugeValue, float64(stats.MailboxBytes))
	for how, n := range stats.Closes {
		out <- prometheus.MustNewConstMetric(closesDesc, prometheus.CounterValue, float64(n),
			strconv.Itoa(int(how.Code)), string(how.Reason))
	}
}
