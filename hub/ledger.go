package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// ledger counts the bytes that are held until they are delivered, of the node
// and of each app, and says who may add to them. An app is admitted while it
// holds less than its share, or while the node has room, so that no app's backlog
// refuses another's publishes; see lateAfter for the other bound.
type ledger struct {
	bound     int64 // bytes of the node
	perWorker int64 // bytes of a mailbox up to which clients are read in any case

	accounts   atomic.Pointer[accounts]
	total      atomic.Int64
	publishers waiters // for room

	now    func() time.Duration // since the hub's start
	oldest []atomic.Int64       // by worker: when what it works off came, in ns since the hub's start; 0 = nothing
}

// A backlog is also bounded by its age. Where many small events are published,
// their bytes would take minutes to deliver, and publishing takes the processor
// from delivering. So while a worker is late, publishers of an app that has
// something waiting, and no less than half of what any other has, wait as well.
const (
	// lateAfter is how old what a worker works off may be.
	lateAfter = 250 * time.Millisecond
	// lateBytes is what an app may hold meanwhile.
	lateBytes = 64 << 10
)

// accounts are those of all apps. They do not change.
type accounts struct {
	of    []*usage
	share int64 // bytes of each app that are never refused
}

// share divides the bound among the apps that there are.
func (l *ledger) share(of []*usage) {
	l.accounts.Store(&accounts{of, max(l.bound/int64(max(len(of), 1)), 1)})
}

// newLedger divides the bound, in bytes, among workers.
func newLedger(bound, workers int, now func() time.Duration) *ledger {
	return &ledger{
		now:       now,
		oldest:    make([]atomic.Int64, workers),
		bound:     int64(bound),
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
	if (low(total, l.bound) || low(held, l.accounts.Load().share)) && l.admits(u) {
		l.publishers.wake()
	}
}

// upToDate says that a worker has worked off what it had taken.
func (l *ledger) upToDate(worker int) {
	l.oldest[worker].Store(0)
	l.publishers.wake()
}

// late says whether a worker is behind the time.
func (l *ledger) late() bool {
	for i := range l.oldest {
		if at := l.oldest[i].Load(); at != 0 && l.now()-time.Duration(at) > lateAfter {
			return true
		}
	}
	return false
}

// low says whether so much room has come free under a bound that it is worth
// waking those who wait: woken for each message, they would make batches of one.
func low(held, bound int64) bool { return held <= bound-bound/4 }

// admits says whether the app may add something.
func (l *ledger) admits(u *usage) bool {
	held := u.held.Load()
	return (l.hasRoom() || held < l.accounts.Load().share) && (held < lateBytes || !l.late() || !l.isHeavy(held))
}

// isHeavy says whether an app that holds so much is one of those whose events the
// others wait behind: it holds half as much as the one with the most.
func (l *ledger) isHeavy(held int64) bool {
	most := int64(0)
	for _, u := range l.accounts.Load().of {
		most = max(most, u.held.Load())
	}
	return 2*held >= most
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
