package server

import (
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

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
		l = rate.NewLimiter(rate.Limit(h.perSecond), h.perSecond)
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
