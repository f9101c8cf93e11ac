package fallback

import (
	"time"

	"channels/hub"
)

// perFrame is what a queued frame costs beside its bytes: its place in the queue.
const perFrame = 24

// stuckAfter is how long a client over its bound may take nothing while a request
// of it is there. It is counted while somebody looks, longestLook at most for each
// time, so that a pause of this process closes nobody.
const (
	stuckAfter  = 5 * time.Second
	longestLook = 100 * time.Millisecond
)

// limits bound what is queued for clients.
type limits struct {
	perConn int              // bytes for one client
	node    *hub.QueueBudget // for all clients of the node
}

// queue is what one client is to get, in order. A receiver takes frames from the
// front, writes them, and then either commits or returns them, so that none is
// lost with a request that fails. The session's lock guards it.
//
// A frame is one of a WebSocket, which the hub shares among all subscribers, or a
// line of this transport.
type queue struct {
	limits *limits
	frames [][]byte
	taken  int       // of frames, by the receiver
	cost   int       // in bytes
	since  time.Time // when the client took something last, or something began to wait

	looked time.Time     // when the client was over its bound last
	waited time.Duration // for how long it has been, without taking anything
}

// add appends frames.
func (q *queue) add(frames ...[]byte) {
	if len(q.frames) == 0 {
		q.since = time.Now()
	}
	q.frames = append(q.frames, frames...)
	q.charge(costOf(frames))
}

func costOf(frames [][]byte) int {
	cost := 0
	for _, frame := range frames {
		cost += len(frame) + perFrame
	}
	return cost
}

func (q *queue) charge(cost int) {
	q.cost += cost
	q.limits.node.Add(cost)
}

// take returns frames that have not been taken yet, of most bytes together, but
// at least one if there is one. They stay as they are until commit or putBack.
func (q *queue) take(most int) [][]byte {
	from, size := q.taken, 0
	for q.taken < len(q.frames) {
		size += len(q.frames[q.taken]) + perFrame
		if size > most && q.taken > from {
			break
		}
		q.taken++
	}
	return q.frames[from:q.taken:q.taken]
}

// commit removes the first n frames, which the client has got, and returns the
// others that were taken.
func (q *queue) commit(n int) {
	q.charge(-costOf(q.frames[:n]))
	clear(q.frames[:n])
	q.frames, q.taken = q.frames[n:], 0
	q.since, q.waited = time.Now(), 0
	if len(q.frames) == 0 {
		q.frames = nil
	}
}

// putBack returns what was taken.
func (q *queue) putBack() { q.taken = 0 }

// drop removes all but the first keep frames, and what has been taken.
func (q *queue) drop(keep int) {
	keep = min(max(keep, q.taken), len(q.frames))
	q.charge(-costOf(q.frames[keep:]))
	clear(q.frames[keep:])
	q.frames = q.frames[:keep]
}

// release drops everything.
func (q *queue) release() {
	q.charge(-q.cost)
	q.frames, q.taken = nil, 0
}

// backlog judges how far the client is behind. The first frame does not count,
// however large it is. Where no request is there to bring anything, the client is
// given time to make one; see absence.
func (q *queue) backlog(received bool) hub.Backlog {
	if len(q.frames) == 0 {
		return hub.Clear
	}
	behind := q.cost - len(q.frames[0]) - perFrame
	if behind == 0 || behind <= q.limits.perConn && !q.limits.node.Over() {
		return hub.Clear
	}
	now := time.Now()
	if received {
		q.waited += min(now.Sub(q.looked), longestLook)
	}
	q.looked = now
	if q.waited >= stuckAfter {
		return hub.Stuck
	}
	return hub.Full
}

// stalled returns how long something has been waiting while the client took
// nothing; 0 = nothing waits.
func (q *queue) stalled() time.Duration {
	if len(q.frames) == 0 {
		return 0
	}
	return time.Since(q.since)
}
