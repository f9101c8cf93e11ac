package ops

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"channels/hub"
	"channels/hub/api"
	"channels/hub/transport"
)

// sharedPrefix starts the names of the metrics that other servers for this
// protocol have too, so that dashboards made for those show ours.
const sharedPrefix = "soketi_"

// Metrics is what the operator's /metrics shows. It reads the tables of the
// others when it is asked, and keeps only what has no table.
type Metrics struct {
	registry *prometheus.Registry
	latency  prometheus.Histogram

	mu      sync.Mutex
	sources *Sources
}

// Sources are what the metrics are read from.
type Sources struct {
	Hub       *hub.Hub
	API       *api.API
	Transport *transport.Transport
	Port      string // of the public listener; a label
}

// NewMetrics returns metrics that show nothing of the server until Show.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "channels_delivery_latency_seconds",
			Help:    "Time from an event's arrival on this node to its having been given to all of its sockets.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	m.registry.MustRegister(m.latency, tables{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Delivered notes how long a message took; it is made for hub.Options.
func (m *Metrics) Delivered(d time.Duration) { m.latency.Observe(d.Seconds()) }

// Handler serves the page.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Registry gives access to what is registered.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Show has the metrics read from the sources from now on.
func (m *Metrics) Show(s Sources) {
	m.mu.Lock()
	m.sources = &s
	m.mu.Unlock()
}

func (m *Metrics) shown() *Sources {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sources
}

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
	of   func(api.AppStats) uint64
}

func apiMetrics() []apiMetric {
	labels := []string{"app_id", "port"}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(sharedPrefix+name, help, labels, nil)
	}
	return []apiMetric{
		{desc("http_calls_received_total", "Calls of the REST API."), prometheus.CounterValue,
			func(s api.AppStats) uint64 { return s.Requests }},
		{desc("http_received_bytes", "Bytes of the bodies of REST calls."), prometheus.UntypedValue,
			func(s api.AppStats) uint64 { return s.Received }},
		{desc("http_transmitted_bytes", "Bytes of the answers to REST calls."), prometheus.UntypedValue,
			func(s api.AppStats) uint64 { return s.Sent }},
	}
}

// Describe implements prometheus.Collector. The names depend on nothing, but
// nothing is known without a server, so it is left unchecked.
func (tables) Describe(chan<- *prometheus.Desc) {}

var (
	refusedDesc   = prometheus.NewDesc("channels_refused_publishes_total", "Events that were not published, by reason.", []string{"app_id", "reason"}, nil)
	responsesDesc = prometheus.NewDesc("channels_api_responses_total", "Answers of the REST API, by status.", []string{"status"}, nil)
	queueDesc     = prometheus.NewDesc("channels_queue_bytes", "Bytes queued for clients that read slowly.", nil, nil)
	mailboxDesc   = prometheus.NewDesc("channels_mailbox_bytes", "Bytes waiting to be delivered.", nil, nil)
	closesDesc    = prometheus.NewDesc("channels_closes_total", "Connections closed by the server, by code and reason.", []string{"code", "reason"}, nil)
)

// Collect implements prometheus.Collector.
func (t tables) Collect(out chan<- prometheus.Metric) {
	from := t.metrics.shown()
	if from == nil {
		return
	}
	stats := from.Hub.Stats()
	requests := from.API.Stats()
	for _, m := range appMetrics() {
		for _, app := range stats.Apps {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(app), app.App.ID, from.Port)
		}
	}
	for _, m := range apiMetrics() {
		for _, app := range stats.Apps {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.of(requests.Apps[app.App])), app.App.ID, from.Port)
		}
	}
	for app, s := range requests.Apps {
		for why, n := range s.Refused {
			out <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(n), app.ID, string(why))
		}
	}
	for status, n := range requests.Responses {
		out <- prometheus.MustNewConstMetric(responsesDesc, prometheus.CounterValue, float64(n), strconv.Itoa(status))
	}
	out <- prometheus.MustNewConstMetric(queueDesc, prometheus.GaugeValue, float64(from.Transport.QueuedBytes()))
	out <- prometheus.MustNewConstMetric(mailboxDesc, prometheus.GaugeValue, float64(stats.MailboxBytes))
	for how, n := range stats.Closes {
		out <- prometheus.MustNewConstMetric(closesDesc, prometheus.CounterValue, float64(n),
			strconv.Itoa(int(how.Code)), string(how.Reason))
	}
}
