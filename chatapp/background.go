package chatapp

import (
	"context"
	"sync"
	"time"
)

// How often the store is kept tidy.
const (
	expiryInterval = time.Second // sessions that are over hear nothing more after that
	purgeInterval  = time.Hour
)

// Run publishes changes, stores what was read and ends what is over, until the
// context ends.
func (s *Server) Run(ctx context.Context) {
	var all sync.WaitGroup
	if !s.store.Silent {
		all.Go(func() { s.relay.run(ctx) })
		all.Go(func() { every(ctx, onlineInterval, s.online.look) })
	}
	all.Go(func() { every(ctx, readsInterval, s.reads.flushDue) })
	all.Go(func() { every(ctx, expiryInterval, s.expire) })
	all.Go(func() { every(ctx, purgeInterval, s.purge) })
	all.Wait()
	s.reads.flushAll(context.WithoutCancel(ctx))
}

// Drain waits until what was committed is published, as far as that goes just
// now, or the context ends. Run has to run.
func (s *Server) Drain(ctx context.Context) {
	s.reads.flushAll(ctx)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !s.store.Silent && !s.relay.scheduler.idle() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) expire(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.store.expireSessions(ctx); err != nil {
		s.log.Debug("expire sessions", "error", err)
	}
}

func (s *Server) purge(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.store.purgeInvites(ctx); err != nil {
		s.log.Debug("remove old invites", "error", err)
	}
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
