package ops

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"channels/hub"
	"channels/hub/api"
	"channels/hub/refusals"
	"channels/hub/transport"
	"channels/hub/transport/fallback"
)

// Metrics is the operator's /metrics. A scrape reads the counters of the other
// packages; Metrics itself counts only the latency of deliveries.
type Metrics struct {
	registry *prometheus.Registry
	latency  prometheus.Histogram

	mu      sync.Mutex
	sources *Sources // nil until Show
}

// Sources are the parts of a node that the metrics are read from.
type Sources struct {
	Hub       *hub.Hub
	API       *api.API
	Queued    *hub.QueueBudget // for clients that read slowly
	Refusals  *refusals.Log
	Transport *transport.Transport
	Fallback  *fallback.Transport // nil = there is none

	Soketi bool   // show the metrics that Soketi has under its names as well
	Port   string // of the public listener; a label of Soketi's metrics
}

// NewMetrics returns metrics that show nothing of the node until Show.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "channels_delivery_latency_seconds",
			Help:    "Time from the arrival of an event on this node until all of its connections have been given it.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	m.registry.MustRegister(m.latency, newCollector(m.shown),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Delivered notes how long the delivery of a message took; it is made for
// hub.Options.
func (m *Metrics) Delivered(d time.Duration) { m.latency.Observe(d.Seconds()) }

// Handler serves the page.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Registry gives access to what is registered.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Show makes scrapes read from the sources from now on.
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

// collector turns one reading of the sources into metrics.
type collector struct {
	sources func() *Sources // nil: nothing to show yet
	own     []metric
	soketi  []metric
}

func newCollector(sources func() *Sources) *collector {
	return &collector{sources: sources, own: ownMetrics(), soketi: soketiMetrics()}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, metrics := range [][]metric{c.own, c.soketi} {
		for _, m := range metrics {
			out <- m.desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	sources := c.sources()
	if sources == nil {
		return
	}
	now := read(sources)
	for _, m := range c.own {
		m.collect(now, out)
	}
	if sources.Soketi {
		for _, m := range c.soketi {
			m.collect(now, out)
		}
	}
}

// reading is what one scrape shows.
type reading struct {
	apps         []appReading
	responses    map[int]uint64
	ends         map[hub.End]uint64
	refused      map[refusals.Key]uint64
	carried      map[string]int64 // connections by transport
	forwarded    uint64           // requests that another node has answered
	orphaned     uint64           // and those that none has
	queueBytes   int64
	mailboxBytes int
	port         string
}

// appReading is what is known of an app.
type appReading struct {
	hub.AppStats
	API api.AppStats
}

// refused returns the counts of refusals, with a zero for each kind and app.
func (s *Sources) refused(apps []hub.AppStats) map[refusals.Key]uint64 {
	counts := map[refusals.Key]uint64{}
	if s.Refusals != nil {
		counts = s.Refusals.Counts()
	}
	seen := map[refusals.Key]bool{}
	for key := range counts {
		seen[refusals.Key{App: key.App, Kind: key.Kind}] = true
	}
	for _, app := range apps {
		for _, kind := range refusals.Kinds {
			if key := (refusals.Key{App: app.App.ID, Kind: kind}); !seen[key] {
				counts[key] = 0
			}
		}
	}
	return counts
}

func read(s *Sources) *reading {
	engine, requests := s.Hub.Stats(), s.API.Stats()
	r := &reading{
		apps:         make([]appReading, len(engine.Apps)),
		responses:    requests.Responses,
		ends:         withZeros(engine.Closes),
		refused:      s.refused(engine.Apps),
		carried:      map[string]int64{"websocket": s.Transport.Sessions()},
		queueBytes:   s.Queued.Used(),
		mailboxBytes: engine.MailboxBytes,
		port:         s.Port,
	}
	if s.Fallback != nil {
		now := s.Fallback.Stats()
		r.carried["xhr_streaming"], r.carried["xhr_polling"], r.carried["sockjs"] = now.Streaming, now.Polling, now.SockJS
		r.forwarded, r.orphaned = now.Forwarded-now.Orphaned, now.Orphaned
	}
	for i, app := range engine.Apps {
		r.apps[i] = appReading{app, requests.Apps[app.App.ID]}
	}
	return r
}
