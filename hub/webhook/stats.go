package webhook

import (
	"sync"
	"time"

	"channels/hub"
)

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
	Took         hub.Histogram // how long requests took
}

// backlog is what waits.
type backlog struct {
	events, bytes int
	age           time.Duration
}

// stats are those of all apps. Any goroutine may use them.
type stats struct {
	mu   sync.Mutex
	apps map[string]*counts
}

// counts are an app's.
type counts struct {
	Stats
	took *hub.Durations
}

// of returns an app's, with the lock held.
func (s *stats) of(app string) *counts {
	if s.apps == nil {
		s.apps = make(map[string]*counts)
	}
	if s.apps[app] == nil {
		s.apps[app] = &counts{took: hub.NewDurations(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)}
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
	of.took.Observe(a.Took)
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
	apps := e.apps()
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	all := make(map[string]Stats, len(apps))
	for _, app := range apps {
		of := e.stats.of(app.ID)
		stats := of.Stats
		stats.Took = of.took.Read()
		all[app.ID] = stats
	}
	return all
}
