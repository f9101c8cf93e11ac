package api

import (
	"maps"
	"sync"
	"sync/atomic"

	"channels/hub"
)

// Refusal says why an event was not published.
type Refusal string

// Refusals.
const (
	RefusedOverload    Refusal = "overload"
	RefusedUnavailable Refusal = "unavailable"
	RefusedRate        Refusal = "rate"
)

// AppStats is what an app's publishers have used of this node since its start.
type AppStats struct {
	Requests uint64
	Received uint64             // bytes of bodies
	Sent     uint64             // bytes of answers
	Refused  map[Refusal]uint64 // events
}

// Stats is what the API has done since its start.
type Stats struct {
	Apps      map[*hub.App]AppStats
	Responses map[int]uint64 // by status
}

// Stats returns the counters. It may be called from any goroutine.
func (a *API) Stats() Stats {
	s := Stats{Apps: make(map[*hub.App]AppStats, len(a.traffic)), Responses: a.responses.snapshot()}
	for app, t := range a.traffic {
		s.Apps[app] = AppStats{
			Requests: t.calls.Load(), Received: t.received.Load(), Sent: t.sent.Load(),
			Refused: map[Refusal]uint64{
				RefusedOverload:    t.overload.Load(),
				RefusedUnavailable: t.unavailable.Load(),
				RefusedRate:        t.rate.Load(),
			},
		}
	}
	return s
}

// refused counts events that were not published.
func (a *API) refused(app *hub.App, why Refusal, events int) {
	t := a.traffic[app]
	counter := &t.rate
	switch why {
	case RefusedOverload:
		counter = &t.overload
	case RefusedUnavailable:
		counter = &t.unavailable
	}
	counter.Add(uint64(events))
}

// responses counts answers by status. Nearly all are 200, which takes no lock.
type responses struct {
	ok atomic.Uint64

	mu     sync.Mutex
	others map[int]uint64
}

func (r *responses) count(status int) {
	if status == 200 {
		r.ok.Add(1)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.others == nil {
		r.others = make(map[int]uint64)
	}
	r.others[status]++
}

func (r *responses) snapshot() map[int]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[int]uint64, len(r.others)+1)
	maps.Copy(all, r.others)
	all[200] = r.ok.Load()
	return all
}
