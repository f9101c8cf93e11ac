package hub

import (
	"sync"
	"sync/atomic"
	"time"
)

// mailbox is the ordered queue in front of a worker. Putting in never blocks;
// what feeds it from outside asks the ledger first.
type mailbox struct {
	wake chan struct{} // holds a token while there may be items
	held atomic.Int64  // bytes of items that the worker has not worked off yet
	room waiters       // clients whose commands wait

	mu    sync.Mutex
	items queue
	since time.Duration // when the oldest item came, since the hub's start
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// put appends an item. now is called when the mailbox was empty.
func (m *mailbox) put(it *item, now func() time.Duration) {
	m.held.Add(int64(it.cost))
	m.mu.Lock()
	first := m.items.empty()
	m.items.push(it)
	if first {
		m.since = now()
	}
	m.mu.Unlock()
	if first {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// take empties the mailbox. It also returns when the oldest item came.
func (m *mailbox) take() (queue, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = queue{}
	return items, m.since
}
