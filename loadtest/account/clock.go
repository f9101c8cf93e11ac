package account

import "time"

// Clock gives nanoseconds that agree between the processes of one machine, and
// never go back within one.
type Clock struct{ began time.Time }

// NewClock starts a clock.
func NewClock() Clock { return Clock{time.Now()} }

// Now returns nanoseconds since 1970.
func (c Clock) Now() int64 { return c.began.UnixNano() + int64(time.Since(c.began)) }

// At returns what Now returns at a time.
func (c Clock) At(t time.Time) int64 { return c.began.UnixNano() + int64(t.Sub(c.began)) }

// Until returns how long it is until a time of this clock.
func (c Clock) Until(t int64) time.Duration { return time.Duration(t - c.Now()) }
