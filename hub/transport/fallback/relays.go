package fallback

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"channels/hub"
	"channels/protocol"
)

// relays are the requests for messages that this node has forwarded and that have
// not ended.
type relays struct {
	mu      sync.Mutex
	all     map[*relay]struct{}
	leaving bool // none may be added
}

// add is false when the node shuts down.
func (l *relays) add(y *relay) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaving {
		return false
	}
	if l.all == nil {
		l.all = make(map[*relay]struct{})
	}
	l.all[y] = struct{}{}
	return true
}

func (l *relays) remove(y *relay) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, y)
}

func (l *relays) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.all))
}

// Leave is for a node that shuts down: clients whose sessions are at other nodes
// must not depend on it. The answers that it passes on end with 4200, spread over d,
// and requests for messages are not forwarded any more.
func (t *Transport) Leave(d time.Duration) {
	t.relays.mu.Lock()
	defer t.relays.mu.Unlock()
	t.relays.leaving = true
	for y := range t.relays.all {
		time.AfterFunc(rand.N(d+1), func() { y.end(errLeave) })
	}
}

// sendAway answers a request for messages that is not forwarded, since this node
// shuts down. A client that polls makes the next request elsewhere.
func (t *Transport) sendAway(w http.ResponseWriter, kind Kind) {
	line := heartbeat
	if kind != Polling {
		t.hub.CountClose(protocol.Reconnect(), hub.Draining)
		line = lastLine(kind)
	}
	_, _ = w.Write(line) // nothing is left to do
}
