package chatapp

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How the outbox is told.
const (
	relayWorkers  = 8   // streams that are told at once
	relayBatch    = 100 // rows that are read at once
	relayStreams  = 1000
	relayInterval = time.Second            // between two looks for what another process, or a crash, has left
	readsTick     = 250 * time.Millisecond // between two looks for reads that are due
	purgeInterval = time.Hour
	lockPatience  = 10 * time.Second
	leastBackoff  = 50 * time.Millisecond
	mostBackoff   = time.Second
)

// relay tells browsers of what was committed: each stream in its order, several
// streams at once. A stream that cannot be told now is tried again later and
// holds up no other.
type relay struct {
	store     *Store
	publisher *publisher
	log       *slog.Logger

	wake chan struct{} // something was queued; a worker passes it on

	mu      sync.Mutex
	streams map[string]*relayed // those that have something to tell
	queue   []string            // those of them that wait for a worker
	trouble bool                // the last one told failed
}

// relayed is the state of a stream that has something to tell.
type relayed struct {
	running  bool
	again    bool // something was added while it was running
	failures int  // in a row
}

func newRelay(store *Store, p *publisher, log *slog.Logger) *relay {
	return &relay{store: store, publisher: p, log: log, wake: make(chan struct{}, 1), streams: map[string]*relayed{}}
}

// notify says that these streams have something to tell. It never waits.
func (r *relay) notify(streams []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range streams {
		if s := r.streams[name]; s == nil {
			r.streams[name] = &relayed{}
			r.enqueue(name)
		} else {
			s.again = true
		}
	}
}

// enqueue is called with mu.
func (r *relay) enqueue(name string) {
	r.queue = append(r.queue, name)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take returns a stream to tell; more says that there is another one.
func (r *relay) take() (name string, ok, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return "", false, false
	}
	name, r.queue = r.queue[0], r.queue[1:]
	s := r.streams[name]
	s.running, s.again = true, false
	return name, true, len(r.queue) > 0
}

// finish puts a stream back if there is more to tell: at once, or later after an
// error.
func (r *relay) finish(ctx context.Context, name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[name]
	s.running = false
	if err != nil {
		pause := min(leastBackoff<<min(s.failures, 10), mostBackoff)
		s.failures++
		if ctx.Err() == nil && !r.trouble {
			r.trouble = true
			r.log.Warn("live delivery has stopped; it is tried again", "stream", name, "error", err)
		}
		time.AfterFunc(pause, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.enqueue(name)
		})
		return
	}
	if r.trouble {
		r.trouble = false
		r.log.Info("live delivery works again")
	}
	s.failures = 0
	if s.again {
		r.enqueue(name)
		return
	}
	delete(r.streams, name)
}

// run tells the outbox until the context ends; then it waits for what is being
// told.
func (r *relay) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range relayWorkers {
		workers.Go(func() { r.work(ctx) })
	}
	workers.Go(func() { every(ctx, relayInterval, r.look) })
	workers.Wait()
}

// every calls do at once, and again each time that the interval has passed.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look finds streams that nobody has notified of: those that another process
// has added to, and those that a crash has left.
func (r *relay) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	streams, err := r.store.waitingStreams(ctx, relayStreams)
	if err != nil {
		r.log.Debug("look into the outbox", "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range streams {
		if r.streams[name] == nil {
			r.streams[name] = &relayed{}
			r.enqueue(name)
		}
	}
}

func (r *relay) work(ctx context.Context) {
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			name, ok, more := r.take()
			if !ok {
				break
			}
			if more { // let another worker see to it
				select {
				case r.wake <- struct{}{}:
				default:
				}
			}
			r.finish(ctx, name, r.tell(ctx, name))
		}
	}
}

// tell tells all of a stream, alone of all processes.
func (r *relay) tell(ctx context.Context, stream string) error {
	lockCtx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	unlock, err := r.store.lockStream(lockCtx, stream)
	if err != nil {
		return err
	}
	defer unlock()
	for {
		rows, err := r.read(ctx, stream)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := r.tellRows(ctx, stream, rows); err != nil || len(rows) < relayBatch {
			return err
		}
	}
}

func (r *relay) read(ctx context.Context, stream string) ([]outRow, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.store.waiting(ctx, stream, relayBatch)
}

// tellRows tells rows in their order, and removes those that were told.
func (r *relay) tellRows(ctx context.Context, stream string, rows []outRow) error {
	told := 0
	var failure error
	for _, row := range rows {
		err := ctx.Err()
		if err == nil {
			err = r.publisher.tell(ctx, stream, row, func(room, but string) ([]string, error) {
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				return r.store.memberIDs(ctx, room, but)
			})
		}
		if err != nil && permanent(err) {
			r.log.Error("an event was refused, and is dropped", "stream", stream, "rev", row.Rev, "event", row.Event, "error", err)
			err = nil
		}
		if err != nil {
			failure = err
			break
		}
		told++
	}
	if told == 0 {
		return failure
	}
	// What was told is noted also when the process is told to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.store.told(ctx, stream, rows[told-1]); err != nil {
		return err
	}
	return failure
}

// idle tells whether there is nothing left to tell but what fails.
func (r *relay) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.streams {
		if s.running && s.failures == 0 {
			return false
		}
	}
	return len(r.queue) == 0
}

// Run tells browsers of changes and keeps the store tidy, until the context
// ends.
func (s *Server) Run(ctx context.Context) {
	var all sync.WaitGroup
	if !s.store.Silent {
		all.Go(func() { s.relay.run(ctx) })
	}
	all.Go(func() { every(ctx, readsTick, s.bundleReads) })
	all.Go(func() { every(ctx, purgeInterval, s.purge) })
	all.Wait()
}

// Drain waits until what was committed was told, as far as that goes just now,
// or the context ends. Run has to run.
func (s *Server) Drain(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !s.store.Silent && !s.relay.idle() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// bundleReads tells rooms what was read. The store sees to it that a room is told
// once a second at most; looking more often keeps the delay at that.
func (s *Server) bundleReads(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rooms, err := s.store.roomsWithReads(ctx, relayStreams)
	for _, room := range rooms {
		if err == nil {
			err = s.store.bundleReads(ctx, room)
		}
	}
	if err != nil {
		s.log.Debug("tell what was read", "error", err)
	}
}

func (s *Server) purge(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.store.purge(ctx); err != nil {
		s.log.Debug("remove what is over", "error", err)
	}
}
