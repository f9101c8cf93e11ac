package hub

import (
	"context"
	"sync"
	"time"
)

// item is one thing for a worker to do: deliver a message to its subscribers of
// a channel, or run a function. Messages are most of them and need no closure.
type item struct {
	channel *channel // of a message
	seq     uint64
	frame   []byte
	exclude string
	at      time.Time // of its arrival

	do func(*worker) // instead of a message
}

// itemOverhead is what an item counts in a mailbox beside its frame, in bytes.
const itemOverhead = 64

// mailbox is the ordered queue in front of a worker. Putting in never blocks;
// whoever feeds it from outside first waits for room, so that its bound holds
// but for what is under way.
type mailbox struct {
	bound int           // bytes over which it has no room
	wake  chan struct{} // holds a token while there may be items

	mu    sync.Mutex
	items []item
	bytes int
	room  chan struct{} // closed when emptied; nil when nobody waits
}

func newMailbox(bound int) *mailbox {
	return &mailbox{bound: bound, wake: make(chan struct{}, 1)}
}

// put appends an item.
func (m *mailbox) put(it item) {
	m.mu.Lock()
	m.items = append(m.items, it)
	m.bytes += itemOverhead + len(it.frame)
	first := len(m.items) == 1
	m.mu.Unlock()
	if first {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// take empties the mailbox. The worker gives back the slice it has worked off,
// which becomes the next one to fill.
func (m *mailbox) take(worked []item) []item {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items, m.bytes = worked[:0], 0
	if m.room != nil {
		close(m.room)
		m.room = nil
	}
	return items
}

// waitForRoom returns once the mailbox is below its bound, or with ctx's error.
func (m *mailbox) waitForRoom(ctx context.Context) error {
	for {
		room := m.full()
		if room == nil {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// full returns nil while there is room, else a channel that is closed when the
// mailbox has been emptied.
func (m *mailbox) full() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes < m.bound {
		return nil
	}
	if m.room == nil {
		m.room = make(chan struct{})
	}
	return m.room
}

// size returns the bytes in the mailbox.
func (m *mailbox) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}
