package webhook

import (
	"context"
	"crypto/x509"
	"log/slog"
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
	apps    []*hub.App
	store   Store
	sender  *sender
	stats   stats
	log     *slog.Logger
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Start returns an engine that delivers until Close.
func Start(o Options) *Engine {
	e := &Engine{store: o.Store, sender: newSender(o.AllowPrivate, o.Roots), log: o.Log}
	e.start(o.Apps)
	return e
}

func (e *Engine) start(apps []hub.App) {
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	for i := range apps {
		if app := &apps[i]; len(app.Webhooks) > 0 {
			e.apps = append(e.apps, app)
			c := newCourier(e, app)
			e.running.Go(func() { c.run(ctx) })
		}
	}
}

// Close ends the engine. What has not arrived stays in the Store.
func (e *Engine) Close() {
	e.stop()
	e.running.Wait()
	e.sender.close()
}
