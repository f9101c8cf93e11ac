package api

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"channels/hub"
)

// appTraffic limits and counts an app's REST calls on this node.
type appTraffic struct {
	events   atomic.Pointer[eventLimit]
	requests *rate.Limiter // nil = no limit

	calls       atomic.Uint64
	received    atomic.Uint64                // bytes of bodies
	sent        atomic.Uint64                // bytes of answers
	failedInfos atomic.Uint64                // publishes whose info could not be looked up
	refused     [len(Refusals)]atomic.Uint64 // events that were not published, in the order of Refusals
}

func (t *appTraffic) count(received, sent int) {
	t.calls.Add(1)
	t.received.Add(uint64(received))
	t.sent.Add(uint64(sent))
}

// eventLimit bounds the events that an app publishes. It does not change.
type eventLimit struct {
	perSecond, batch int           // the settings that it is made of
	bucket           *rate.Limiter // nil = no limit
}

// trafficOf returns an app's. Its token buckets hold the tokens of one second, and enough
// for a whole batch.
func (a *API) trafficOf(app *hub.App) *appTraffic {
	known, ok := a.traffic.Load(app.ID)
	if !ok {
		known, _ = a.traffic.LoadOrStore(app.ID, &appTraffic{requests: bucket(a.requestsPerSecond, 1)})
	}
	return known.(*appTraffic)
}

// eventsOf returns the bucket of the events that an app publishes, a new one when its
// settings have changed.
func (t *appTraffic) eventsOf(app *hub.App) *rate.Limiter {
	now := t.events.Load()
	if now == nil || now.perSecond != app.EventsPerSecond || now.batch != app.MaxBatch {
		next := &eventLimit{app.EventsPerSecond, app.MaxBatch, bucket(app.EventsPerSecond, app.MaxBatch)}
		if t.events.CompareAndSwap(now, next) {
			return next.bucket
		}
		return t.events.Load().bucket
	}
	return now.bucket
}

func bucket(perSecond, atLeast int) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(perSecond, atLeast))
}

func allow(l *rate.Limiter, n int) bool { return l == nil || l.AllowN(time.Now(), n) }

// checkRequestRate takes one request from the app's bucket.
func (a *API) checkRequestRate(app *hub.App) error {
	if allow(a.trafficOf(app).requests, 1) {
		return nil
	}
	return apiError(http.StatusTooManyRequests,
		"Request rate limit exceeded: this app may make "+strconv.Itoa(a.requestsPerSecond)+" requests per second, try again in a moment")
}

// checkEventRate takes events from the app's bucket, all or none.
func (a *API) checkEventRate(app *hub.App, events int) error {
	if allow(a.trafficOf(app).eventsOf(app), events) {
		return nil
	}
	a.countRefused(app, RefusedRate, events)
	return apiError(http.StatusTooManyRequests,
		"Event rate limit exceeded: this app may publish "+strconv.Itoa(app.EventsPerSecond)+" events per second, try again in a moment")
}
