package transport

import (
	"log/slog"
	"runtime"
	"sync"
)

// pollBatch is how many sockets one reader takes over at a time.
const pollBatch = 32

// readers serve the sockets that wait in a poller: a few goroutines, one for
// each processor, take turns waiting and handle what has arrived. They wait
// neither for a client nor for a worker of the hub. They start with the first
// socket.
type readers struct {
	log *slog.Logger

	mu     sync.Mutex
	off    bool // no socket is parked
	poller *poller
	done   sync.WaitGroup
}

// get returns the poller to park sockets in; nil when there is none.
func (r *readers) get() *poller {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.poller == nil && !r.off {
		r.start()
	}
	if r.off {
		return nil
	}
	return r.poller
}

func (r *readers) start() {
	p, err := newPoller()
	if err != nil {
		r.off = true
		r.log.Debug("sockets are read by a goroutine each", "reason", err)
		return
	}
	r.poller = p
	for range runtime.GOMAXPROCS(0) {
		r.done.Go(func() { serveParked(p) })
	}
}

// close returns when the readers have ended.
func (r *readers) close() {
	r.mu.Lock()
	r.off = true
	if r.poller != nil {
		r.poller.close()
	}
	r.mu.Unlock()
	r.done.Wait()
}

// serveParked is a reader, until the poller is closed.
func serveParked(p *poller) {
	buf := make([]byte, readSize)
	waiter := p.newWaiter()
	defer waiter.close()
	batch := make([]*session, 0, pollBatch)
	for {
		var err error
		if batch, err = waiter.next(batch[:0]); err != nil {
			return
		}
		for i, s := range batch {
			if s.line.claim() {
				s.serve(buf)
			}
			batch[i] = nil
		}
		runtime.Gosched() // when thousands leave at once, the workers come in between
	}
}
