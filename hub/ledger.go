package hub

import (
	"context"
	"sync"
	"sync/atomic"
)

// ledger counts the bytes that are held until they are delivered, of the node
// and of each app, and says who may add to them. An app is admitted while it
// holds less than its share, or while the node has room, so that no app's backlog
// refuses another's publishes.
type ledger struct {
	bound     int64 // bytes of the node
	share     int64 // bytes of each app that are never refused
	perWorker int64 // bytes of a mailbox up to which clients are read in any case

	total      atomic.Int64
	publishers waiters // for room
}

// newLedger divides the bound, in bytes.
func newLedger(bound, apps, workers int) *ledger {
	return &ledger{
		bound:     int64(bound),
		share:     max(int64(bound/max(apps, 1)), 1),
		perWorker: max(int64(bound/workers), 1),
	}
}

func (l *ledger) charge(u *usage, n int) {
	l.total.Add(int64(n))
	u.held.Add(int64(n))
}

// release gives back what was charged, and lets publishers in that wait for it.
func (l *ledger) release(u *usage, n int) {
	total, held := l.total.Add(int64(-n)), u.held.Add(int64(-n))
	if low(total, l.bound) || low(held, l.share) {
		l.publishers.wake()
	}
}

// low says whether so much room has come free under a bound that it is worth
// waking those who wait: woken for each message, they would make batches of one.
func low(held, bound int64) bool { return held <= bound-bound/4 }

// admits says whether the app may add something.
func (l *ledger) admits(u *usage) bool {
	return l.hasRoom() || u.held.Load() < l.share
}

// hasRoom says whether the node is below its bound.
func (l *ledger) hasRoom() bool { return l.total.Load() < l.bound }

// admitsCommand says whether a client of the app may send a command to a worker.
// A worker with little to do reads its clients whatever the others hold.
func (l *ledger) admitsCommand(u *usage, m *mailbox) bool {
	return m.held.Load() < l.perWorker || l.admits(u)
}

// await returns once ok says true, or with ctx's error.
func (l *ledger) await(ctx context.Context, ok func() bool) error {
	for !ok() {
		room := l.publishers.wait()
		if ok() {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			if ok() {
				return nil
			}
			return ctx.Err()
		}
	}
	return nil
}

// waiters are those who wait for something to change. A waiter calls wait, then
// looks again whether it has to wait; whoever changes something calls wake
// afterwards. The zero value is ready.
type waiters struct {
	any  atomic.Bool
	mu   sync.Mutex
	next chan struct{} // closed by wake; nil when nobody waits
}

// wait returns a channel that the next wake closes.
func (w *waiters) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		w.next = make(chan struct{})
	}
	w.any.Store(true)
	return w.next
}

// wake lets all who wait look again. It is cheap when there are none.
func (w *waiters) wake() {
	if !w.any.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
	w.any.Store(false)
}
