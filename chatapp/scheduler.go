package chatapp

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How long a stream that failed waits: twice as long after each failure.
const (
	leastBackoff = 50 * time.Millisecond
	mostBackoff  = time.Second
)

// scheduler runs a job for each stream that has something to publish: one job at
// a time for a stream, several streams at once. A stream whose job fails is tried
// again later and holds up no other. All methods may be called at once.
type scheduler struct {
	workers int
	job     func(ctx context.Context, stream string) error
	log     *slog.Logger

	wake chan struct{} // something was queued; a worker passes it on

	mu      sync.Mutex
	streams map[string]*streamState // those that have something to publish
	queue   []string                // those of them that wait for a worker
	trouble bool                    // the last job failed
}

// streamState is the state of a stream that has something to publish.
type streamState struct {
	running  bool
	again    bool // something was added while it was running
	failures int  // in a row
}

func newScheduler(workers int, job func(context.Context, string) error, log *slog.Logger) *scheduler {
	return &scheduler{workers: workers, job: job, log: log, wake: make(chan struct{}, 1), streams: map[string]*streamState{}}
}

// add says that these streams have something to publish. It never waits.
func (s *scheduler) add(streams []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range streams {
		if state := s.streams[name]; state != nil {
			state.again = true
		} else {
			s.streams[name] = &streamState{}
			s.enqueue(name)
		}
	}
}

// addIdle is add for streams that are perhaps known already: a job that runs is
// not run again for it.
func (s *scheduler) addIdle(streams []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range streams {
		if s.streams[name] == nil {
			s.streams[name] = &streamState{}
			s.enqueue(name)
		}
	}
}

// enqueue is called with mu.
func (s *scheduler) enqueue(name string) {
	s.queue = append(s.queue, name)
	s.wakeOne()
}

// wakeOne wakes a worker, unless one is about to wake already.
func (s *scheduler) wakeOne() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run works until the context ends; then it waits for the jobs that run.
func (s *scheduler) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(func() { s.work(ctx) })
	}
	workers.Wait()
}

func (s *scheduler) work(ctx context.Context) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			name, ok, more := s.take()
			if !ok {
				break
			}
			if more { // let another worker see to it
				s.wakeOne()
			}
			s.finish(ctx, name, s.job(ctx, name))
		}
	}
}

// take returns the next stream; more says that there is another one.
func (s *scheduler) take() (name string, ok, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return "", false, false
	}
	name, s.queue = s.queue[0], s.queue[1:]
	state := s.streams[name]
	state.running, state.again = true, false
	return name, true, len(s.queue) > 0
}

// finish puts a stream back if there is more to publish: at once, or later after
// an error.
func (s *scheduler) finish(ctx context.Context, name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.streams[name]
	state.running = false
	if err != nil {
		s.retryLater(ctx, name, state, err)
		return
	}
	if s.trouble {
		s.trouble = false
		s.log.Info("live delivery works again")
	}
	state.failures = 0
	if state.again {
		s.enqueue(name)
		return
	}
	delete(s.streams, name)
}

// retryLater is called with mu.
func (s *scheduler) retryLater(ctx context.Context, name string, state *streamState, err error) {
	pause := min(leastBackoff<<min(state.failures, 10), mostBackoff)
	state.failures++
	if ctx.Err() == nil && !s.trouble {
		s.trouble = true
		s.log.Warn("live delivery has stopped; it is tried again", "stream", name, "error", err)
	}
	time.AfterFunc(pause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.enqueue(name)
	})
}

// idle tells whether there is nothing left to publish but what fails.
func (s *scheduler) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.streams {
		if state.running && state.failures == 0 {
			return false
		}
	}
	return len(s.queue) == 0
}
