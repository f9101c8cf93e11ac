package fleet

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"channels/loadtest/account"
	"channels/loadtest/hist"
	"channels/loadtest/target"
)

// Config is what a fleet is made of.
type Config struct {
	Targets  []target.Target // nodes of one cluster
	Run      uint32          // number of the run, for the marks of its events
	Channels []string        // names; connection i subscribes to the one of number i modulo their count
	Endpoint string          // that signs subscribes; "" signs here
	Header   http.Header     // of requests to it
	Origin   string          // that sockets say they come from

	Transport Transport     // over which the connections go; "" = WebSocket
	Sources   []string      // addresses to connect from in turn; none: the system's choice
	Timeout   time.Duration // of a connect and of a subscribe
	Loops     int           // goroutines that read
}

// Transport is what carries a connection.
type Transport string

// Transports, by the names that pusher-js has for them.
const (
	WebSocket    Transport = "ws"
	XHRStreaming Transport = "xhr_streaming"
	XHRPolling   Transport = "xhr_polling"
)

// Fleet is a number of connections. Its methods may be called at once.
type Fleet struct {
	Config
	clock account.Clock
	tag   account.Tag
	auth  *target.Authorizer
	sends *http.Client // of the HTTP transports
	loops []*loop

	measured atomic.Int64 // events that were to be sent before are of the warm-up

	mu      sync.Mutex
	opened  Opened
	stalled []*socket
	readers sync.WaitGroup
}

// MaxSends is how many connections to a node bring messages of clients over HTTP at
// once.
const MaxSends = 64

// New makes a fleet without connections.
func New(c Config) (*Fleet, error) {
	f := &Fleet{
		Config: c, clock: account.NewClock(), tag: account.NewTag(c.Run),
		auth:   target.NewAuthorizer(c.Targets[0], c.Endpoint, c.Header),
		opened: Opened{Failed: map[string]int64{}},
		sends:  &http.Client{Timeout: c.Timeout, Transport: &http.Transport{MaxIdleConnsPerHost: MaxSends, MaxConnsPerHost: MaxSends}},
	}
	f.measured.Store(1<<63 - 1)
	for range max(c.Loops, 1) {
		l, err := newLoop(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		f.loops = append(f.loops, l)
	}
	return f, nil
}

// Opened is what became of attempts to connect.
type Opened struct {
	Wanted, Connected, Subscribed int64
	Failed                        map[string]int64 // by what went wrong
	Connect, Subscribe            hist.Histogram
	Elapsed                       time.Duration
}

// Add adds other attempts, made at the same time.
func (o *Opened) Add(p Opened) {
	o.Wanted += p.Wanted
	o.Connected += p.Connected
	o.Subscribed += p.Subscribed
	if o.Failed == nil {
		o.Failed = map[string]int64{}
	}
	for text, n := range p.Failed {
		o.Failed[text] += n
	}
	o.Connect.Add(p.Connect)
	o.Subscribe.Add(p.Subscribe)
	o.Elapsed = max(o.Elapsed, p.Elapsed)
}

// Measure says from when on events count, by Clock.
func (f *Fleet) Measure(from int64) { f.measured.Store(from) }

// Interval is what happened since the last call.
type Interval struct {
	Received int64 // events, those of the warm-up too
	Open     int64
	Delivery hist.Histogram // of events that count
}

// Add adds what another fleet says.
func (i *Interval) Add(o Interval) {
	i.Received += o.Received
	i.Open += o.Open
	i.Delivery.Add(o.Delivery)
}

// Progress returns what happened since the last call.
func (f *Fleet) Progress() Interval {
	var i Interval
	for _, l := range f.loops {
		i.Add(l.progress())
	}
	return i
}

// Settled is what a fleet received.
type Settled struct {
	Tally    account.Tally
	Delivery hist.Histogram
	Events   int64            // all that came, those of the warm-up too
	Last     int64            // when the last event that counts came, by Clock
	Closed   map[string]int64 // connections that the server closed, by code and reason
}

// Add adds what another fleet received.
func (s *Settled) Add(o Settled) {
	s.Tally.Add(o.Tally)
	s.Delivery.Add(o.Delivery)
	s.Events += o.Events
	s.Last = max(s.Last, o.Last)
	if s.Closed == nil {
		s.Closed = map[string]int64{}
	}
	for text, n := range o.Closed {
		s.Closed[text] += n
	}
}

// Settle compares what was received with what was published.
func (f *Fleet) Settle(pubs []account.Publication) Settled {
	var s Settled
	for _, l := range f.loops {
		s.Add(l.settle(pubs))
	}
	return s
}

// Received returns how many events have come.
func (f *Fleet) Received() int64 {
	var n int64
	for _, l := range f.loops {
		n += l.received()
	}
	return n
}

// Drop closes a share of the connections at once, as a network that fails does,
// and returns how many.
func (f *Fleet) Drop(share float64) int64 {
	var n int64
	for _, l := range f.loops {
		n += l.drop(share)
	}
	return n
}

// Close closes all connections and waits for all readers.
func (f *Fleet) Close() {
	for _, l := range f.loops {
		l.close()
	}
	f.mu.Lock()
	for _, s := range f.stalled {
		_ = s.conn.Close() // nothing is left to be lost
	}
	f.stalled = nil
	f.mu.Unlock()
	f.readers.Wait()
	f.sends.CloseIdleConnections()
}

// take returns what became of attempts since the last call.
func (f *Fleet) take() Opened {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.opened
	o.Failed = maps.Clone(f.opened.Failed)
	f.opened = Opened{Failed: map[string]int64{}}
	return o
}

// note changes what became of attempts.
func (f *Fleet) note(change func(*Opened)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.opened)
}

func (f *Fleet) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.Timeout)
}
