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
	events   *rate.Limiter // published; nil = no limit
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

// newTraffic gives every app its token buckets. They hold the tokens of one second,
// and enough for a whole batch.
func newTraffic(apps []*hub.App, requestsPerSecond int) map[*hub.App]*appTraffic {
	traffic := make(map[*hub.App]*appTraffic, len(apps))
	for _, app := range apps {
		traffic[app] = &appTraffic{
			events:   bucket(app.EventsPerSecond, app.MaxBatch),
			requests: bucket(requestsPerSecond, 1),
		}
	}
	return traffic
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
	if allow(a.traffic[app].requests, 1) {
		return nil
	}
	return apiError(http.StatusTooManyRequests,
		"Request rate limit exceeded: this app may make "+strconv.Itoa(a.requestsPerSecond)+" requests per second, try again in a moment")
}

// checkEventRate takes events from the app's bucket, all or none.
func (a *API) checkEventRate(app *hub.App, events int) error {
	if allow(a.traffic[app].events, events) {
		return nil
	}
	a.countRefused(app, RefusedRate, events)
	return apiError(http.StatusTooManyRequests,
		"Event rate limit exceeded: this app may publish "+strconv.Itoa(app.EventsPerSecond)+" events per second, try again in a moment")
}
