package fallback

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"channels/hub"
	"channels/protocol"
)

// Options configure a Transport. Zero values take the defaults named.
type Options struct {
	Hub *hub.Hub
	Log *slog.Logger

	QueueBytes int              // bound of one client's queue; 0 = 1 MiB
	Budget     *hub.QueueBudget // of all queues of the node; nil = one of its own

	// Peers lead requests to the nodes that have their sessions; nil = there is
	// this node only, or a balancer leads them. PeerTransport makes the requests
	// to other nodes; nil = http.DefaultTransport.
	Peers         Peers
	PeerTransport http.RoundTripper

	// PublicHostname is by which name clients reach this node and no other one. They
	// are told to make the other requests of their session there. "" = that by which
	// they have come.
	PublicHostname string
}

// Transport holds the sessions. Its methods may be called from any goroutine.
type Transport struct {
	hub    *hub.Hub
	log    *slog.Logger
	limits limits

	id            string // of this node, for other nodes
	peers         Peers
	peerTransport http.RoundTripper
	relays        relays
	openFrame     []byte

	forwarded atomic.Uint64 // requests, to other nodes
	orphaned  atomic.Uint64 // of those, without an answer of the owner

	receivers atomic.Int64 // requests that bring messages
	streaming atomic.Int64 // sessions that began with one that streams
	polling   atomic.Int64 // and those that began with a poll
	sockJS    atomic.Int64 // sessions of SockJS clients, which are none of the two

	mu       sync.Mutex
	sessions map[string]*session // by app key and session
}

// New returns a Transport for a running hub; Close ends it.
func New(o Options) *Transport {
	t := &Transport{hub: o.Hub, log: o.Log, sessions: make(map[string]*session)}
	t.id, t.peers, t.peerTransport = rand.Text(), o.Peers, o.PeerTransport
	t.openFrame = protocol.AppendHTTPOpen(nil, o.PublicHostname)
	t.limits.perConn, t.limits.node = o.QueueBytes, o.Budget
	if t.limits.perConn <= 0 {
		t.limits.perConn = 1 << 20
	}
	if t.limits.node == nil {
		t.limits.node = hub.NewQueueBudget(0)
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	return t
}

// Stats are the numbers of a Transport.
type Stats struct {
	Streaming, Polling, SockJS int64 // sessions

	Forwarded uint64 // requests for sessions of other nodes
	Orphaned  uint64 // of those, whose session has ended since its owner did not answer
}

// Stats returns the numbers now.
func (t *Transport) Stats() Stats {
	orphaned := t.orphaned.Load() // before the greater number
	return Stats{
		Streaming: t.streaming.Load(), Polling: t.polling.Load(), SockJS: t.sockJS.Load(),
		Forwarded: t.forwarded.Load(), Orphaned: orphaned,
	}
}

// Sessions returns the number of sessions that have not ended.
func (t *Transport) Sessions() int64 {
	return t.streaming.Load() + t.polling.Load() + t.sockJS.Load()
}

// Receivers returns the number of requests that wait for messages, or bring them.
func (t *Transport) Receivers() int64 { return t.receivers.Load() + t.Relays() }

// Relays returns the number of those requests that wait for another node, to which
// each has a connection of its own.
func (t *Transport) Relays() int64 { return t.relays.count() }

// Wait returns when the last session has ended, or with ctx's error.
func (t *Transport) Wait(ctx context.Context) error {
	const step = 10 * time.Millisecond
	for t.Sessions() > 0 {
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return fmt.Errorf("waiting for HTTP sessions to end: %w", ctx.Err())
		}
	}
	return nil
}

// Close ends all sessions at once and without a word; see Wait.
func (t *Transport) Close() {
	t.mu.Lock()
	all := make([]*session, 0, len(t.sessions))
	for _, s := range t.sessions {
		all = append(all, s)
	}
	t.mu.Unlock()
	for _, s := range all {
		s.finish(disconnected)
	}
}

// find returns a session, nil when there is none.
func (t *Transport) find(route Route) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions[route.id()]
}

// open returns the session of a route, which is new unless another request has
// just opened it. app is nil when the first message is to name it. from is the
// client's address.
func (t *Transport) open(route Route, app *hub.App, visitor hub.Visitor, from netip.AddrPort) *session {
	s := newSession(t, route)
	s.from = from
	t.mu.Lock()
	if other := t.sessions[s.route.id()]; other != nil {
		t.mu.Unlock()
		return other
	}
	t.sessions[s.route.id()] = s
	t.count(s).Add(1)
	t.mu.Unlock()
	if app != nil {
		s.connect(app, visitor)
	}
	s.turn <- struct{}{}
	return s
}

// forget removes a session that has ended.
func (t *Transport) forget(s *session) {
	t.mu.Lock()
	delete(t.sessions, s.route.id())
	t.mu.Unlock()
	t.count(s).Add(-1)
	t.release(s.route)
}

func (t *Transport) count(s *session) *atomic.Int64 {
	switch {
	case s.route.Key == "":
		return &t.sockJS
	case s.route.Kind == Streaming:
		return &t.streaming
	}
	return &t.polling
}

// id names the session on this node. Sessions of two apps have nothing in common,
// even when their clients have chosen the same.
func (r Route) id() string { return r.Key + "/" + r.Session }
