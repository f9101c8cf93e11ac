package fleet

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"channels/loadtest/account"
	"channels/loadtest/hist"
	"channels/loadtest/wire"
)

// sweepEvery is how often a loop looks for sockets that have to ping.
const sweepEvery = 5 * time.Second

// loop owns some sockets and what they receive.
type loop struct {
	fleet  *Fleet
	poller poller

	// mu guards what follows. It is held across reads and writes of descriptors,
	// which never block here, so that none is closed and used anew meanwhile.
	mu       sync.Mutex
	sockets  map[*socket]struct{}
	receipts account.Receipts
	delivery hist.Histogram
	interval Interval
	events   int64
	last     int64
	closed   map[string]int64
	over     bool
	stop     chan struct{}
}

func newLoop(f *Fleet) (*loop, error) {
	l := &loop{fleet: f, sockets: map[*socket]struct{}{}, closed: map[string]int64{}, stop: make(chan struct{})}
	if err := l.poller.open(l); err != nil {
		return nil, fmt.Errorf("prepare to read: %w", err)
	}
	f.readers.Go(l.sweep)
	return l, nil
}

// take makes an open socket the loop's own.
func (l *loop) take(s *socket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		s.abandon()
		return nil
	}
	if s.sub != nil {
		l.receipts.Add(s.sub)
	}
	l.sockets[s] = struct{}{}
	now := l.fleet.clock.Now()
	n, err := l.feed(s, s.rest, now)
	s.rest = append([]byte(nil), s.rest[n:]...)
	if err == nil {
		err = l.poller.add(s)
	}
	if err != nil {
		l.lost(s, err)
	}
	return err
}

// lost notes that the server closed a socket. The lock is held.
func (l *loop) lost(s *socket, err error) {
	if _, open := l.sockets[s]; !open {
		return
	}
	text := s.farewell
	if text == "" && errors.Is(err, io.EOF) {
		text = "without a close frame"
	}
	if text == "" {
		text = brief(err)
	}
	l.closed[text]++
	l.forget(s)
}

// forget closes a socket. The lock is held.
func (l *loop) forget(s *socket) {
	delete(l.sockets, s)
	if s.sub != nil {
		s.sub.Gone = true
	}
	l.poller.remove(s)
	s.rest, s.fragments = nil, nil
}

func farewell(code int, reason string) string {
	if reason == "" {
		return fmt.Sprint(code)
	}
	return fmt.Sprintf("%d %s", code, reason)
}

// sweep pings where nothing was heard for long, as SDKs do: a server closes those
// that stay silent.
func (l *loop) sweep() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		now := l.fleet.clock.Now()
		for s := range l.sockets {
			if s.idle > 0 && now-s.heard > s.idle*3/4 {
				s.write(wire.Append(nil, wire.Text, pingMessage))
				s.heard = now // not again before as long
			}
		}
		l.mu.Unlock()
	}
}

func (l *loop) progress() Interval {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := Interval{l.interval.Received, int64(len(l.sockets)), l.interval.Delivery.Take()}
	l.interval.Received = 0
	return i
}

func (l *loop) received() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events
}

func (l *loop) settle(pubs []account.Publication) Settled {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Settled{Tally: l.receipts.Settle(pubs), Events: l.events, Last: l.last, Closed: map[string]int64{}}
	s.Delivery.Add(l.delivery)
	for text, n := range l.closed {
		s.Closed[text] = n
	}
	return s
}

// drop closes a share of the sockets.
func (l *loop) drop(share float64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := int64(share*float64(len(l.sockets)) + 0.5)
	var n int64
	for s := range l.sockets {
		if n == want {
			break
		}
		l.forget(s)
		n++
	}
	return n
}

func (l *loop) close() {
	l.mu.Lock()
	if !l.over {
		l.over = true
		close(l.stop)
	}
	for s := range l.sockets {
		l.forget(s)
	}
	l.mu.Unlock()
	l.poller.close()
}
