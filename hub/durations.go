package hub

import (
	"sync/atomic"
	"time"
)

// Durations counts how often something took how long. Any goroutine may use it.
type Durations struct {
	bounds []float64 // in seconds, rising
	counts []atomic.Uint64
	micros atomic.Uint64
}

// NewDurations counts by upper bounds in seconds, which rise.
func NewDurations(bounds ...float64) *Durations {
	return &Durations{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts one.
func (d *Durations) Observe(took time.Duration) {
	at := 0
	for at < len(d.bounds) && took.Seconds() > d.bounds[at] {
		at++
	}
	d.counts[at].Add(1)
	d.micros.Add(uint64(max(0, took.Microseconds())))
}

// Histogram is how often something took how long.
type Histogram struct {
	Buckets map[float64]uint64 // by upper bound in seconds: how many took no longer
	Count   uint64
	Sum     float64 // seconds
}

// Read returns what was counted.
func (d *Durations) Read() Histogram {
	h := Histogram{Buckets: make(map[float64]uint64, len(d.bounds))}
	for i := range d.counts {
		h.Count += d.counts[i].Load()
		if i < len(d.bounds) {
			h.Buckets[d.bounds[i]] = h.Count
		}
	}
	h.Sum = float64(d.micros.Load()) / 1e6
	return h
}
