package hub

import (
	"errors"
	"sync"

	"channels/protocol"
)

// quotaChannel is a channel that nobody can subscribe to: an app's connections
// are its subscribers, so the State counts them on all nodes, and refuses one
// too many.
const quotaChannel = "#connections"

// quota counts the connections of an app that has a limit.
type quota struct {
	app   *App
	state State

	mu    sync.Mutex // gives takes and returns their order
	count int        // on this node, with those that are being asked for
}

// take asks for one more connection. done(nil): it is counted. Else it is not,
// and the error is a protocol.Fault to close the connection with. done may be
// called before take returns.
func (q *quota) take(done func(error)) {
	if q.app.MaxConnections == 0 {
		done(nil)
		return
	}
	answered := func(_ Joined, err error) {
		switch {
		case err == nil:
			done(nil)
		case errors.Is(err, ErrFull):
			done(protocol.OverQuota())
		default:
			done(protocol.OverCapacity())
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count++
	q.state.Join(Join{
		Topic: q.topic(), Subscribers: q.count, MaxSubscribers: q.app.MaxConnections,
	}, answered)
}

// put gives back what take has counted, or has refused.
func (q *quota) put() {
	if q.app.MaxConnections == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	q.state.Leave(Leave{Topic: q.topic(), Subscribers: q.count}, ignoreError)
}

func (q *quota) topic() Topic { return Topic{App: q.app.ID, Channel: quotaChannel} }
