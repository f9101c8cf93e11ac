package hub

import (
	"errors"
	"sync"

	"channels/protocol"
)

// quota counts the connections of an app that has a limit, and has the State
// count them over all nodes.
type quota struct {
	app   *App
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
	if q.app.MaxConnections == 0 {
		done(nil)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count++
	q.state.Reserve(q.app.ID, q.count, q.app.MaxConnections, func(err error) {
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
	if q.app.MaxConnections == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	q.state.Release(q.app.ID, q.count, ignoreError)
}
