package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"channels/hub"
)

// agreement tells the nodes that share a Redis which settings this one has for its apps, and
// finds out whether they have others: a file was changed on one machine only, or a node
// could not read it. Settings are compared by their hashes.
type agreement struct {
	bus  hub.Bus
	apps func() []hub.App
	log  *slog.Logger
	node string

	hears chan declaration
	speak chan struct{} // has this node look at its apps, and declare itself

	// Of run's goroutine.
	own      map[string]string // hashes of this node's settings, by the app's id
	declared map[string]heardFrom

	mu      sync.Mutex
	differs map[string]int // nodes that have other settings, by the app's id
}

// declaration is what a node says of itself.
type declaration struct {
	Node string            `json:"node"`
	Apps map[string]string `json:"apps"` // hashes of their settings, by id
}

// heardFrom is a node's last declaration.
type heardFrom struct {
	apps map[string]string
	at   time.Time
}

const (
	// declareEvery is how often a node says what it has, and compareEvery how often it
	// looks who differs. Who does so twice in a row is told of: while a file is rolled out,
	// nodes read it one after the other.
	declareEvery = time.Minute
	compareEvery = 10 * time.Second
	// declarationLife is how long what a node has said holds.
	declarationLife = 150 * time.Second
)

// settingsTopic is where nodes declare themselves. No client can subscribe to it.
var settingsTopic = hub.Topic{App: "#", Channel: "#settings"}

func newAgreement(bus hub.Bus, apps func() []hub.App, log *slog.Logger) *agreement {
	var node [8]byte
	_, _ = rand.Read(node[:]) // never fails
	return &agreement{
		bus: bus, apps: apps, log: log, node: hex.EncodeToString(node[:]),
		hears: make(chan declaration, 256), speak: make(chan struct{}, 1),
		differs: make(map[string]int), declared: make(map[string]heardFrom),
	}
}

// start begins to declare and to compare; stop ends that.
func (a *agreement) start() (stop func()) {
	if a == nil {
		return func() {}
	}
	ignore := func(error) {}
	done := make(chan struct{})
	var running sync.WaitGroup
	a.bus.Follow(settingsTopic, a, ignore)
	running.Go(func() { a.run(done) })
	return func() {
		a.bus.Unfollow(settingsTopic, a)
		close(done)
		running.Wait()
	}
}

// changed says that the apps may have changed: the node declares itself anew.
func (a *agreement) changed() {
	if a == nil {
		return
	}
	select {
	case a.speak <- struct{}{}:
	default:
	}
}

// Receive implements hub.Receiver.
func (a *agreement) Receive(m hub.Message) {
	var d declaration
	if json.Unmarshal(m.Frame, &d) != nil || d.Node == a.node {
		return
	}
	select {
	case a.hears <- d:
	default: // it comes again
	}
}

// Lost implements hub.Receiver: what was missed comes again.
func (a *agreement) Lost() {}

func (a *agreement) run(done <-chan struct{}) {
	declare, compare := time.NewTicker(declareEvery), time.NewTicker(compareEvery)
	defer declare.Stop()
	defer compare.Stop()
	before := map[string]int{}
	a.changed()
	for {
		select {
		case <-done:
			return
		case <-declare.C:
			a.declare()
		case <-a.speak:
			a.own = hashesOf(a.apps())
			a.declare()
		case d := <-a.hears:
			if a.hear(d, time.Now()) {
				a.changed() // the other one knows nothing of this node yet
			}
		case now := <-compare.C:
			found := a.compare(now)
			a.tell(before, found)
			before = found
		}
	}
}

// declare says what this node has.
func (a *agreement) declare() {
	text, err := json.Marshal(declaration{a.node, a.own})
	if err == nil {
		a.bus.Publish(hub.Message{Topic: settingsTopic, Frame: text}, func(error) {}) // it is said again
	}
}

// hear notes what another node has. true: it is a new one.
func (a *agreement) hear(d declaration, now time.Time) bool {
	_, known := a.declared[d.Node]
	a.declared[d.Node] = heardFrom{d.Apps, now}
	return !known
}

// compare counts, for each app, the nodes that have other settings or do not have it.
func (a *agreement) compare(now time.Time) map[string]int {
	found := make(map[string]int)
	for node, heard := range a.declared {
		if now.Sub(heard.at) > declarationLife {
			delete(a.declared, node)
			continue
		}
		for id, hash := range a.own {
			if heard.apps[id] != hash {
				found[id]++
			}
		}
		for id := range heard.apps {
			if a.own[id] == "" {
				found[id]++
			}
		}
	}
	return found
}

// tell logs which apps have differed twice now, and which do not any more.
func (a *agreement) tell(before, now map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range a.differs {
		if now[id] == 0 {
			delete(a.differs, id)
			a.log.Info("all nodes have the same settings of the app again", "app", id)
		}
	}
	for id, nodes := range now {
		if before[id] == 0 {
			continue
		}
		if a.differs[id] == 0 {
			a.log.Warn("other nodes have other settings of the app, or only some nodes have it: give all nodes the same file", "app", id, "nodes", nodes)
		}
		a.differs[id] = nodes
	}
}

// hashesOf are the hashes of the apps' settings, by their ids. Only what differs from the
// defaults counts, so that nodes of neighbouring versions agree.
func hashesOf(apps []hub.App) map[string]string {
	hashes := make(map[string]string, len(apps))
	table, standard := appSettings(), standardApp()
	for i := range apps {
		sum := sha256.New()
		for _, s := range table {
			if v := s.field(&apps[i]).String(); v != s.field(&standard).String() {
				_, _ = fmt.Fprintf(sum, "%s=%s\n", s.name, v)
			}
		}
		endpoints := slices.Clone(apps[i].Webhooks)
		slices.SortFunc(endpoints, func(a, b hub.Webhook) int { return strings.Compare(a.URL+a.ChannelPrefix, b.URL+b.ChannelPrefix) })
		writeEndpoints(sum, endpoints)
		hashes[apps[i].ID] = hex.EncodeToString(sum.Sum(nil)[:8])
	}
	return hashes
}

// standardApp has all defaults.
func standardApp() hub.App {
	var l loader
	return newApp(&l)
}

func writeEndpoints(w io.Writer, endpoints []hub.Webhook) {
	for _, each := range endpoints {
		_, _ = fmt.Fprintf(w, "%q %v %q %t %v %v\n", each.URL, each.Hooks, each.ChannelPrefix, each.Batch, each.Timeout, each.Headers)
	}
}

var appDiffers = prometheus.NewDesc("channels_app_settings_differ_nodes", "Nodes on the same Redis that have other settings of the app, or do not have it; an app that all agree about is not shown.", []string{"app_id"}, nil)

// Describe implements prometheus.Collector.
func (a *agreement) Describe(to chan<- *prometheus.Desc) { to <- appDiffers }

// Collect implements prometheus.Collector.
func (a *agreement) Collect(to chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, nodes := range a.differs {
		to <- prometheus.MustNewConstMetric(appDiffers, prometheus.GaugeValue, float64(nodes), id)
	}
}
