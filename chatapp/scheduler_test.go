package chatapp

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is jobs that note when they begin, since the start of the test.
type recorder struct {
	began time.Time

	mu      sync.Mutex
	running map[string]bool
	runs    map[string][]time.Duration
}

func newRecorder() *recorder {
	return &recorder{began: time.Now(), running: map[string]bool{}, runs: map[string][]time.Duration{}}
}

// note runs do as a stream's job, and fails the test if that runs already.
func (r *recorder) note(t *testing.T, stream string, do func() error) error {
	r.mu.Lock()
	if r.running[stream] {
		t.Errorf("%s runs twice at once", stream)
	}
	r.running[stream] = true
	r.runs[stream] = append(r.runs[stream], time.Since(r.began))
	r.mu.Unlock()
	err := do()
	r.mu.Lock()
	r.running[stream] = false
	r.mu.Unlock()
	return err
}

func (r *recorder) want(t *testing.T, stream string, want ...time.Duration) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.runs[stream], want) {
		t.Errorf("%s ran at %v, want %v", stream, r.runs[stream], want)
	}
}

// runScheduler runs one in a bubble until the test's function returns.
func runScheduler(t *testing.T, workers int, job func(context.Context, string) error, test func(*scheduler)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := newScheduler(workers, job, slog.New(slog.DiscardHandler))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.run(ctx)
	}()
	test(s)
	cancel()
	<-ended
}

func TestSchedulerOneJobForAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		job := func(_ context.Context, stream string) error {
			return r.note(t, stream, func() error { time.Sleep(time.Second); return nil })
		}
		runScheduler(t, 2, job, func(s *scheduler) {
			s.add([]string{"a", "b", "c"}) // two at once, c waits
			time.Sleep(500 * time.Millisecond)
			s.add([]string{"a", "a"}) // while it runs: once more, afterwards
			s.addIdle([]string{"b"})  // it runs already
			if s.idle() {
				t.Error("idle, while jobs run")
			}
			time.Sleep(10 * time.Second)
			if !s.idle() {
				t.Error("not idle, with nothing left")
			}
			r.want(t, "a", 0, time.Second)
			r.want(t, "b", 0)
			r.want(t, "c", time.Second)
			s.addIdle([]string{"b"})
			synctest.Wait()
			r.want(t, "b", 0, 10500*time.Millisecond)
			time.Sleep(time.Second)
		})
	})
}

func TestSchedulerRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		failures := 7
		job := func(_ context.Context, stream string) error {
			return r.note(t, stream, func() error {
				if stream == "good" {
					return nil
				}
				if failures--; failures >= 0 {
					return errors.New("away")
				}
				return nil
			})
		}
		runScheduler(t, 1, job, func(s *scheduler) {
			s.add([]string{"bad", "good"})
			time.Sleep(20 * time.Millisecond)
			r.want(t, "good", 0) // one that fails holds up no other
			if !s.idle() {
				t.Error("not idle, though only what fails is left")
			}
			time.Sleep(time.Minute)
			ms := time.Millisecond
			r.want(t, "bad", 0, 50*ms, 150*ms, 350*ms, 750*ms, 1550*ms, 2550*ms, 3550*ms)
		})
	})
}
