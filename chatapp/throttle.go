package chatapp

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often somebody may try to sign in: a number at once, then one each time
// that refill passes. Behind an address there may be many people.
const (
	refill         = 5 * time.Second
	burstOfName    = 10
	burstOfAddress = 60
	maxThrottled   = 10000 // names and addresses that are remembered
)

var errTooMany = Fault{http.StatusTooManyRequests, "too_many_attempts", "Too many attempts; wait a few seconds and try again."}

// throttle bounds how often each key may do something. It remembers a bounded
// number of keys. All methods may be called at once.
type throttle struct {
	burst  int
	refill time.Duration // for one more

	mu   sync.Mutex
	keys map[string]*rate.Limiter
}

func newThrottle(burst int, refill time.Duration) *throttle {
	return &throttle{burst: burst, refill: refill, keys: map[string]*rate.Limiter{}}
}

// allow takes one attempt from a key.
func (t *throttle) allow(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.keys[key]
	if !ok {
		t.makeRoom()
		l = rate.NewLimiter(rate.Every(t.refill), t.burst)
		t.keys[key] = l
	}
	return l.Allow()
}

// makeRoom forgets those that could begin anew anyway, and if there are none,
// any.
func (t *throttle) makeRoom() {
	if len(t.keys) < maxThrottled {
		return
	}
	for key, l := range t.keys {
		if l.Tokens() >= float64(t.burst) {
			delete(t.keys, key)
		}
	}
	for key := range t.keys {
		if len(t.keys) < maxThrottled {
			return
		}
		delete(t.keys, key)
	}
}

// clientAddress is who sends a request, as far as throttling goes: networks of
// IPv6 count as one. Behind a proxy on this machine or its network it is what
// that one says last.
func clientAddress(r *http.Request, behindProxy bool) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := peer.Addr().Unmap()
	if behindProxy && (addr.IsLoopback() || addr.IsPrivate()) {
		all := r.Header.Values("X-Forwarded-For")
		said := strings.Join(all, ",")
		said = strings.TrimSpace(said[strings.LastIndexByte(said, ',')+1:])
		if client, err := netip.ParseAddr(said); err == nil {
			addr = client.Unmap()
		}
	}
	if addr.Is6() {
		if network, err := addr.WithZone("").Prefix(64); err == nil {
			return network.String()
		}
	}
	return addr.String()
}
