package webhook

import (
	"context"
	"crypto/x509"
	"log/slog"
	"reflect"
	"sync"

	"channels/hub"
)

// Options configure an Engine.
type Options struct {
	Apps  []hub.App // those without webhooks cost nothing
	Store Store
	Log   *slog.Logger

	AllowPrivate bool           // endpoints may be on this machine and in private networks
	Roots        *x509.CertPool // who may sign their certificates; nil = the system's
}

// Engine delivers the webhooks of apps.
type Engine struct {
	store    Store
	sender   *sender
	stats    stats
	log      *slog.Logger
	setting  sync.Mutex // one SetApps at a time
	mu       sync.Mutex
	couriers map[string]*running // by the id of an app that has webhooks
}

// running is a courier that runs.
type running struct {
	app  *hub.App
	stop context.CancelFunc
	done chan struct{} // closed when it has ended
}

// Start returns an engine that delivers until Close.
func Start(o Options) *Engine {
	e := &Engine{store: o.Store, sender: newSender(o.AllowPrivate, o.Roots), log: o.Log, couriers: make(map[string]*running)}
	e.SetApps(o.Apps)
	return e
}

// SetApps puts these apps in place of those that the engine has. What has not arrived is
// delivered as the new settings say. It waits for the couriers of apps that have changed to
// end, and must not be called after Close.
func (e *Engine) SetApps(apps []hub.App) {
	e.setting.Lock()
	defer e.setting.Unlock()
	next := make(map[string]*running)
	var added []*hub.App
	for i := range apps {
		app := &apps[i]
		switch r := e.couriers[app.ID]; {
		case len(app.Webhooks) == 0:
		case r != nil && sameDelivery(r.app, app):
			next[app.ID] = r
		default:
			added = append(added, app)
		}
	}
	var ended []*running
	for id, r := range e.couriers {
		if next[id] == nil {
			r.stop()
			ended = append(ended, r)
		}
	}
	for _, r := range ended {
		<-r.done
	}
	for _, app := range added {
		next[app.ID] = e.run(app)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.couriers = next
}

// sameDelivery says whether the webhooks of two versions of an app go the same way.
func sameDelivery(a, b *hub.App) bool {
	return a.Key == b.Key && a.Secret == b.Secret && reflect.DeepEqual(a.Webhooks, b.Webhooks)
}

// run starts a courier.
func (e *Engine) run(app *hub.App) *running {
	ctx, stop := context.WithCancel(context.Background())
	r := &running{app: app, stop: stop, done: make(chan struct{})}
	c := newCourier(e, app)
	go func() {
		defer close(r.done)
		c.run(ctx)
	}()
	return r
}

// apps are those that have webhooks.
func (e *Engine) apps() []*hub.App {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*hub.App, 0, len(e.couriers))
	for _, r := range e.couriers {
		all = append(all, r.app)
	}
	return all
}

// Close ends the engine. What has not arrived stays in the Store.
func (e *Engine) Close() {
	e.SetApps(nil)
	e.sender.close()
}
