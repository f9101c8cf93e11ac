package api

import (
	"net/http"
	"slices"
	"sync/atomic"

	"channels/hub"
)

// Refusal is why the API did not publish an event, or does not know that it did.
type Refusal string

// The reasons of refusals.
const (
	RefusedOverload    Refusal = "overload"    // the node has too much to deliver; nobody gets the event
	RefusedUnavailable Refusal = "unavailable" // the bus is out of reach; nobody gets the event
	RefusedRate        Refusal = "rate"        // over events_per_second; nobody gets the event
	RefusedUnknown     Refusal = "unknown"     // the bus did not answer for all; some may get the event
	RefusedCanceled    Refusal = "canceled"    // the publisher hung up; some may get the event
)

// Refusals are all reasons.
var Refusals = [...]Refusal{RefusedOverload, RefusedUnavailable, RefusedRate, RefusedUnknown, RefusedCanceled}

// AppStats is what an app's publishers have used of this node since its start.
type AppStats struct {
	Requests    uint64
	Received    uint64             // bytes of bodies
	Sent        uint64             // bytes of answers
	Refused     map[Refusal]uint64 // events, with a key for every reason
	FailedInfos uint64             // publishes that were answered without the info they asked for
}

// Stats is what the API has done since its start.
type Stats struct {
	Apps      map[string]AppStats // by the app's id
	Responses map[int]uint64      // by status, with a key for every status that the API answers
}

// Stats returns the counters. It may be called from any goroutine.
func (a *API) Stats() Stats {
	s := Stats{Apps: make(map[string]AppStats), Responses: a.responses.snapshot()}
	for _, app := range a.hub.Apps() {
		t := a.trafficOf(app)
		refused := make(map[Refusal]uint64, len(Refusals))
		for i, why := range Refusals {
			refused[why] = t.refused[i].Load()
		}
		s.Apps[app.ID] = AppStats{
			Requests: t.calls.Load(), Received: t.received.Load(), Sent: t.sent.Load(),
			Refused: refused, FailedInfos: t.failedInfos.Load(),
		}
	}
	return s
}

// countRefused counts events that were not published.
func (a *API) countRefused(app *hub.App, why Refusal, events int) {
	a.trafficOf(app).refused[slices.Index(Refusals[:], why)].Add(uint64(events))
}

// statuses are all that the API answers.
var statuses = [...]int{
	http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests,
	statusClosedRequest, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// responses counts answers by status. The map does not change after newResponses.
type responses map[int]*atomic.Uint64

func newResponses() responses {
	r := make(responses, len(statuses))
	for _, status := range statuses {
		r[status] = new(atomic.Uint64)
	}
	return r
}

func (r responses) count(status int) { r[status].Add(1) }

func (r responses) snapshot() map[int]uint64 {
	all := make(map[int]uint64, len(r))
	for status, n := range r {
		all[status] = n.Load()
	}
	return all
}
