// Package poller lets idle sockets wait without a goroutine: in an epoll set, which
// a few readers share. It exists on Linux; elsewhere sockets have a goroutine each.
package poller

import (
	"log/slog"
	"runtime"
	"sync"
)

// Parked is a socket that waits.
type Parked interface {
	// Claim takes the socket out of waiting. One caller gets true, and then owns it.
	Claim() bool
	// Serve handles what has arrived on a socket that the caller owns. It uses buf
	// meanwhile, does not wait, and has the socket wait again.
	Serve(buf []byte)
}

// ReadSize is the size of a reader's buffer, in bytes.
const ReadSize = 32 << 10

// pollBatch is how many sockets one reader takes over at a time.
const pollBatch = 32

// Readers serve the sockets that wait in a Set: a few goroutines, one for
// each processor, take turns waiting and handle what has arrived. They wait
// neither for a client nor for a worker of the hub. They start with the first
// socket.
type Readers struct {
	Log *slog.Logger
	Off bool // no socket waits; guarded by mu once the readers are used

	mu   sync.Mutex
	set  *Set
	done sync.WaitGroup
}

// Get returns the set in which sockets wait; nil when there is none.
func (r *Readers) Get() *Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil && !r.Off {
		r.start()
	}
	if r.Off {
		return nil
	}
	return r.set
}

func (r *Readers) start() {
	p, err := NewSet()
	if err != nil {
		r.Off = true
		r.Log.Debug("sockets are read by a goroutine each", "reason", err)
		return
	}
	r.set = p
	for range runtime.GOMAXPROCS(0) {
		r.done.Go(func() { serveParked(p) })
	}
}

// Close returns when the readers have ended. Sockets are not touched.
func (r *Readers) Close() {
	r.mu.Lock()
	r.Off = true
	if r.set != nil {
		r.set.Close()
	}
	r.mu.Unlock()
	r.done.Wait()
}

// serveParked is a reader, until the set is closed.
func serveParked(p *Set) {
	buf := make([]byte, ReadSize)
	waiter := p.NewWaiter()
	defer waiter.Close()
	batch := make([]Parked, 0, pollBatch)
	for {
		var err error
		if batch, err = waiter.Next(batch[:0]); err != nil {
			return
		}
		for i, s := range batch {
			if s.Claim() {
				s.Serve(buf)
			}
			batch[i] = nil
		}
		runtime.Gosched() // when thousands leave at once, the workers come in between
	}
}
