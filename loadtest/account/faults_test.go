package account

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// faulty delivers the publications of a run to subscribers as a server does that
// has a fault, in the bubble's time.
type faulty struct {
	mu       sync.Mutex
	clock    Clock
	receipts *Receipts
	subs     []*Subscriber
	n        int // deliveries
	lost     int64
	doubled  int64
	times    []time.Duration // from intended to delivery
}

func newFaulty(subscribers int) *faulty {
	f := &faulty{clock: NewClock(), receipts: &Receipts{}}
	for range subscribers {
		s := NewSubscriber(0)
		s.Acked = f.clock.Now()
		f.receipts.Add(s)
		f.subs = append(f.subs, s)
	}
	time.Sleep(time.Millisecond)
	return f
}

func (f *faulty) deliver(m Mark, drop, double bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs {
		f.n++
		if drop && f.n%100 == 0 {
			f.lost++
			continue
		}
		now := f.clock.Now()
		f.times = append(f.times, time.Duration(now-m.Intended))
		f.receipts.Receive(s, m, now)
		if double && f.n%50 == 0 {
			f.doubled++
			f.receipts.Receive(s, m, now)
		}
	}
}

// TestFaultsAreFoundExactly runs publishers on a schedule against servers that
// drop, double, delay and stall.
func TestFaultsAreFoundExactly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		drop, double bool
		delay        time.Duration
		stallAt      int // number of the publish whose answer takes a second
		longest      time.Duration
	}{
		{name: "a good server"},
		{name: "drops every hundredth", drop: true},
		{name: "doubles every fiftieth", double: true},
		{name: "delays", delay: 70 * time.Millisecond, longest: 70 * time.Millisecond},
		{name: "stalls for a second", stallAt: 100, longest: time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFaulty(10)
				l := NewLedger(1)
				begin := f.clock.Now()
				var deliveries sync.WaitGroup
				for i := range 300 { // one publisher, a publish each 10 ms
					due := begin + int64(i)*int64(10*time.Millisecond)
					time.Sleep(f.clock.Until(due))
					m := l.Begin(0, due, 0, f.clock.Now)
					if tt.stallAt > 0 && i == tt.stallAt {
						time.Sleep(time.Second)
					}
					deliveries.Go(func() {
						time.Sleep(tt.delay)
						f.deliver(m, tt.drop, tt.double)
					})
					l.End(m.ID, f.clock.Now(), Confirmed)
				}
				deliveries.Wait()
				tally := f.receipts.Settle(l.Publications())
				if tally.Expected != 3000 || tally.Lost() != f.lost || tally.Duplicates != f.doubled {
					t.Errorf("expected %d lost %d duplicates %d, want 3000, %d, %d", tally.Expected, tally.Lost(), tally.Duplicates, f.lost, f.doubled)
				}
				var longest time.Duration
				late := 0
				for _, d := range f.times {
					longest = max(longest, d)
					if d > tt.delay {
						late++
					}
				}
				if longest != tt.longest {
					t.Errorf("the longest delivery took %s, want %s", longest, tt.longest)
				}
				// The stall delays the hundred publishes that were due in it, too.
				if want := 1000; tt.stallAt > 0 && late != want {
					t.Errorf("%d deliveries were late, want %d: what the stall held up must count", late, want)
				}
			})
		})
	}
}
