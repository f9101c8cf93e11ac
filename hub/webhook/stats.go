package webhook

import (
	"sync"
	"time"
)

// Buckets are the upper bounds of Stats.Took, in seconds.
var Buckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// Stats are what is known of an app's webhooks.
type Stats struct {
	Waiting      int           // occurrences that wait at this node
	WaitingBytes int           // what they take
	Age          time.Duration // of the oldest
	Delivered    uint64        // requests that were answered 2xx
	Refused      uint64        // that were answered otherwise
	Failed       uint64        // that were not answered
	GivenUp      uint64        // events that were given up
	Dropped      uint64        // events that were not noted, since too many waited
	Took         []uint64      // requests by how long they took, for each of Buckets and above
	TookSum      float64       // seconds
}

// backlog is what waits.
type backlog struct {
	events, bytes int
	age           time.Duration
}

// stats are those of all apps. Any goroutine may use them.
type stats struct {
	mu   sync.Mutex
	apps map[string]*Stats
}

// of returns an app's, with the lock held.
func (s *stats) of(app string) *Stats {
	if s.apps == nil {
		s.apps = make(map[string]*Stats)
	}
	if s.apps[app] == nil {
		s.apps[app] = &Stats{Took: make([]uint64, len(Buckets)+1)}
	}
	return s.apps[app]
}

func (s *stats) set(app string, b backlog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of(app)
	of.Waiting, of.WaitingBytes, of.Age = b.events, b.bytes, b.age
}

func (s *stats) observe(app string, a *Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of(app)
	switch {
	case a.ok():
		of.Delivered++
	case a.Error != "":
		of.Failed++
	default:
		of.Refused++
	}
	at, seconds := 0, a.Took.Seconds()
	for at < len(Buckets) && seconds > Buckets[at] {
		at++
	}
	of.Took[at]++
	of.TookSum += seconds
}

func (s *stats) gaveUp(app string, events int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(app).GivenUp += uint64(events)
}

func (s *stats) drop(app string, events uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(app).Dropped += events
}

// Stats returns those of each app that has webhooks, by its id.
func (e *Engine) Stats() map[string]Stats {
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	all := make(map[string]Stats, len(e.apps))
	for _, app := range e.apps {
		of := *e.stats.of(app.ID)
		of.Took = append([]uint64(nil), of.Took...)
		all[app.ID] = of
	}
	return all
}
