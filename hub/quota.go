package hub

import (
	"errors"
	"math"
	"sync"

	"channels/protocol"
)

// quota counts the connections of an app and, where it has a limit, has the State
// count them over all nodes.
type quota struct {
	usage *usage
	state State

	mu    sync.Mutex // gives takes and returns their order
	count int        // on this node, those included that the State has refused or not answered yet
}

// Refusal is why a connection was not taken: what its client is told, and as what it
// is counted.
type Refusal struct {
	Fault  protocol.Fault
	Reason CloseReason
}

// Error implements error.
func (r Refusal) Error() string { return r.Fault.Error() }

// Unwrap returns the Fault.
func (r Refusal) Unwrap() error { return r.Fault }

// take asks for one more connection. done(nil): it is admitted. Else it is not,
// and the error is a Refusal. Either way it is in the count until put. done may be
// called before take returns.
func (q *quota) take(done func(error)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	app := q.usage.app()
	q.count++
	if app.MaxConnections == 0 {
		done(nil)
		return
	}
	q.state.Reserve(app.ID, q.count, app.MaxConnections, func(err error) {
		switch {
		case err == nil:
			done(nil)
		case errors.Is(err, ErrFull):
			done(Refusal{protocol.OverQuota(), Quota})
		default:
			done(Refusal{protocol.OverCapacity(), Backend})
		}
	})
}

// put takes one connection out of the count, whether take admitted it or not.
func (q *quota) put() {
	q.mu.Lock()
	defer q.mu.Unlock()
	app := q.usage.app()
	q.count--
	if app.MaxConnections > 0 {
		q.state.Release(app.ID, q.count, ignoreError)
	}
}

// changed is told that the limit is another one. Connections that are there stay, also
// where they are more than it.
func (q *quota) changed(before, limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case before == 0 && limit > 0 && q.count > 0:
		q.state.Reserve(q.usage.app().ID, q.count, math.MaxInt32, ignoreError)
	case before > 0 && limit == 0:
		q.state.Release(q.usage.app().ID, 0, ignoreError)
	}
}
