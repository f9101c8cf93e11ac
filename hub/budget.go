package hub

import "sync/atomic"

// QueueBudget bounds what all transports of a node queue for their clients together.
// Its methods may be called from any goroutine.
type QueueBudget struct {
	bytes int64
	used  atomic.Int64
}

// NewQueueBudget returns one of so many bytes; 0 = 512 MiB.
func NewQueueBudget(bytes int64) *QueueBudget {
	if bytes <= 0 {
		bytes = 512 << 20
	}
	return &QueueBudget{bytes: bytes}
}

// Add says that so many bytes more are queued, or fewer.
func (b *QueueBudget) Add(bytes int) { b.used.Add(int64(bytes)) }

// Used is how many bytes are queued.
func (b *QueueBudget) Used() int64 { return b.used.Load() }

// Over says whether more is queued than should be.
func (b *QueueBudget) Over() bool { return b.used.Load() > b.bytes }
