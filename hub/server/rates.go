package server

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"channels/hub"
)

// appTraffic limits and counts an app's REST calls on this node.
type appTraffic struct {
	events   *rate.Limiter // published; nil = no limit
	requests *rate.Limiter // nil = no limit

	calls    atomic.Uint64
	received atomic.Uint64 // bytes
	sent     atomic.Uint64 // bytes
}

// newTraffic gives every app its buckets. They hold what a second brings, and a
// whole batch at least.
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
func (s *Server) checkRequestRate(app *hub.App) error {
	if allow(s.traffic[app].requests, 1) {
		return nil
	}
	return apiError(http.StatusTooManyRequests,
		"Request rate limit exceeded: this app may make "+strconv.Itoa(s.requestsPerSecond)+" requests per second, try again in a moment")
}

// checkEventRate takes events from the app's bucket, all or none.
func (s *Server) checkEventRate(app *hub.App, events int) error {
	if allow(s.traffic[app].events, events) {
		return nil
	}
	s.metrics.refused.WithLabelValues(app.ID, refusedRate).Add(float64(events))
	return apiError(http.StatusTooManyRequests,
		"Event rate limit exceeded: this app may publish "+strconv.Itoa(app.EventsPerSecond)+" events per second, try again in a moment")
}

// handshakes limits how many connections an address may open in a second.
type handshakes struct {
	perSecond int // 0 = no limit

	mu        sync.Mutex
	addresses map[string]*rate.Limiter
	swept     time.Time
}

// forgetAfter is when addresses whose buckets are full again are forgotten.
const forgetAfter = time.Minute

// allow takes one handshake from the bucket of the request's address.
func (h *handshakes) allow(r *http.Request) bool {
	if h.perSecond <= 0 {
		return true
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(now)
	l := h.addresses[address]
	if l == nil {
		l = bucket(h.perSecond, 1)
		h.addresses[address] = l
	}
	return l.AllowN(now, 1)
}

// forget keeps the table small, once in a while.
func (h *handshakes) forget(now time.Time) {
	if now.Sub(h.swept) < forgetAfter {
		return
	}
	h.swept = now
	if h.addresses == nil {
		h.addresses = make(map[string]*rate.Limiter)
	}
	for address, l := range h.addresses {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(h.addresses, address)
		}
	}
}

// tooManyHandshakes answers before the upgrade, which costs least.
func tooManyHandshakes(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "Too many connections from this address, try again in a moment", http.StatusTooManyRequests)
}
