package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Order says which connections to open, and how.
type Order struct {
	First, Count int
	Rate         float64 // connects a second, each measured from when it was due; 0: see AtOnce
	AtOnce       int     // how many connect at the same time; 0: all, each measured from the beginning
	Stalled      bool    // they subscribe, and never read again
	Channel      bool    // subscribe; otherwise they only connect
	Keep         bool    // otherwise they are closed when they are open
}

// Open opens connections and returns when all are open or have failed. Those that
// have not begun when the context ends are not counted.
func (f *Fleet) Open(ctx context.Context, o Order) Opened {
	began := time.Now()
	var all sync.WaitGroup
	slots := make(chan struct{}, atLeastOne(o.AtOnce, o.Count))
	for i := range o.Count {
		due := began
		if o.Rate > 0 {
			due = began.Add(time.Duration(float64(i) / o.Rate * float64(time.Second)))
			if wait(ctx, time.Until(due)) != nil {
				break
			}
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		if o.Rate == 0 && o.AtOnce > 0 {
			due = time.Now()
		}
		all.Go(func() {
			defer func() { <-slots }()
			f.openOne(ctx, o.First+i, o, due)
		})
	}
	all.Wait()
	opened := f.take()
	opened.Elapsed = time.Since(began)
	return opened
}

func atLeastOne(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return max(otherwise, 1)
}

// wait sleeps, unless the context ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openOne opens a connection, and hands it to a loop.
func (f *Fleet) openOne(ctx context.Context, index int, o Order, due time.Time) {
	bounded, cancel := f.bounded(ctx)
	defer cancel()
	f.note(func(p *Opened) { p.Wanted++ })
	s := &socket{fleet: f, index: index, fd: -1}
	err := s.connect(bounded)
	if err == nil {
		took := time.Since(due)
		f.note(func(p *Opened) { p.Connected++; p.Connect.Record(int64(took)) })
	}
	if err == nil && o.Channel {
		began := time.Now()
		if err = s.subscribe(bounded); err == nil {
			took := time.Since(began)
			f.note(func(p *Opened) { p.Subscribed++; p.Subscribe.Record(int64(took)) })
		}
	}
	switch {
	case err != nil:
		s.abandon()
		if ctx.Err() == nil { // not because the user said stop
			f.note(func(p *Opened) { p.Failed[brief(err)]++ })
		}
	case !o.Keep:
		s.abandon()
	case o.Stalled:
		f.mu.Lock()
		f.stalled = append(f.stalled, s)
		f.mu.Unlock()
	default:
		if err := f.loops[index%len(f.loops)].take(s); err != nil {
			f.note(func(p *Opened) { p.Failed[brief(err)]++ })
		}
	}
}

// brief leaves out the addresses and ports of an error, which are different for
// each connection.
func brief(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Sprintf("%s: %s", op.Op, op.Err)
	}
	return err.Error()
}
