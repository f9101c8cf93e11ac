package server

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// handshakeLimit limits how many sockets a client's address may open in a second.
// Its methods may be called from any goroutine.
type handshakeLimit struct {
	perSecond int // 0 = no limit

	mu        sync.Mutex
	addresses map[string]*rate.Limiter
	swept     time.Time
}

// forgetAfter is how often addresses whose buckets are full again are forgotten.
const forgetAfter = time.Minute

// allow takes one handshake from the bucket of an address. Where the connection has
// no IP address, other stands for it.
func (h *handshakeLimit) allow(address netip.Addr, other string) bool {
	if h.perSecond <= 0 {
		return true
	}
	source := sourceOf(address)
	if source == "" {
		source = other
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(now)
	l := h.addresses[source]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(h.perSecond), h.perSecond)
		h.addresses[source] = l
	}
	return l.AllowN(now, 1)
}

// sourceOf returns what shares a bucket: an IPv4 address, or the /64 network of an
// IPv6 address, which is the least that one customer of a provider has.
func sourceOf(address netip.Addr) string {
	const network = 64
	switch address = address.Unmap(); {
	case !address.IsValid():
		return ""
	case address.Is4():
		return address.String()
	}
	prefix, err := address.WithZone("").Prefix(network)
	if err != nil {
		return address.String()
	}
	return prefix.String()
}

// forget keeps the table small. The lock is held.
func (h *handshakeLimit) forget(now time.Time) {
	if now.Sub(h.swept) < forgetAfter {
		return
	}
	h.swept = now
	if h.addresses == nil {
		h.addresses = make(map[string]*rate.Limiter)
	}
	for source, l := range h.addresses {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(h.addresses, source)
		}
	}
}

const tooMany = "Too many connections from this address, try again in a moment"

// tooManyHandshakes answers before the upgrade, which costs least.
func tooManyHandshakes(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, tooMany, http.StatusTooManyRequests)
}
