// Package hist is a histogram of times that can be added up and sent.
package hist

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range and precision: a microsecond to an hour, to three digits.
const (
	lowest  = 1
	highest = int64(time.Hour / time.Microsecond)
	digits  = 3
)

// Histogram counts times in microseconds. It is not safe for concurrent use. Its
// zero value is empty and costs nothing until the first time is recorded.
type Histogram struct{ h *hdrhistogram.Histogram }

// Record adds a time in nanoseconds.
func (h *Histogram) Record(ns int64) {
	if h.h == nil {
		h.h = hdrhistogram.New(lowest, highest, digits)
	}
	_ = h.h.RecordValue(min(max(ns/1000, lowest), highest)) // within the range
}

// Add adds the times of another.
func (h *Histogram) Add(o Histogram) {
	if o.h == nil {
		return
	}
	if h.h == nil {
		h.h = hdrhistogram.New(lowest, highest, digits)
	}
	h.h.Merge(o.h)
}

// Count returns how many times were recorded.
func (h *Histogram) Count() int64 {
	if h.h == nil {
		return 0
	}
	return h.h.TotalCount()
}

// Quantile returns the time in milliseconds that a share of all did not exceed.
func (h *Histogram) Quantile(percent float64) float64 {
	if h.h == nil {
		return 0
	}
	return float64(h.h.ValueAtQuantile(percent)) / 1000
}

// Max returns the longest time in milliseconds.
func (h *Histogram) Max() float64 {
	if h.h == nil {
		return 0
	}
	return float64(h.h.Max()) / 1000
}

// Mean returns the mean in milliseconds.
func (h *Histogram) Mean() float64 {
	if h.h == nil {
		return 0
	}
	return h.h.Mean() / 1000
}

// Take returns what was recorded and starts anew.
func (h *Histogram) Take() Histogram {
	taken := *h
	h.h = nil
	return taken
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (h Histogram) MarshalBinary() ([]byte, error) {
	if h.h == nil || h.h.TotalCount() == 0 {
		return []byte{}, nil
	}
	return h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (h *Histogram) UnmarshalBinary(data []byte) error {
	h.h = nil
	if len(data) == 0 {
		return nil
	}
	var err error
	h.h, err = hdrhistogram.Decode(data)
	return err
}
