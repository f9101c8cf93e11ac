package redisbus

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestTheServersClock holds what a node thinks that the time is at Redis.
func TestTheServersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{bus: &Bus{began: time.Now()}}
		if s.now() != 0 || s.deadline() != 0 {
			t.Errorf("it is %d at a server that has not answered", s.now())
		}
		const theirs = 1_700_000_000_000_000 // far from the time here
		expect := func(since time.Duration) {
			t.Helper()
			want := uint64(theirs + since.Microseconds())
			if got := s.now(); got < want || got > want+1 {
				t.Errorf("it is %d at the server, want %d", got, want)
			}
		}
		time.Sleep(time.Minute)
		sent := time.Now()
		time.Sleep(fastTrip)
		s.noteClock(strconv.Itoa(theirs), sent, time.Now())
		expect(fastTrip / 2)
		time.Sleep(time.Hour)
		expect(time.Hour + fastTrip/2)
		if got, want := s.deadline(), s.now()+uint64(doneBy.Microseconds()); got != want {
			t.Errorf("the deadline is %d, want %d", got, want)
		}
		sent = time.Now()
		time.Sleep(fastTrip + 1)
		s.noteClock("1", sent, time.Now()) // too slow to tell
		expect(time.Hour + fastTrip/2 + fastTrip)
		s.noteLate([]any{answeredLate, strconv.Itoa(theirs)})
		expect(0)
	})
}
