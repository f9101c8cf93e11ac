package redisbus

import (
	"testing"
	"time"
)

// TestSilence: a connection by which no sign of life comes is replaced, later when the
// node does not read it, but not never.
func TestSilence(t *testing.T) {
	const old = 10 * roomPatience
	for name, test := range map[string]struct {
		began, sign, open time.Duration // how long ago
		full              bool
		want              bool
	}{
		"a sign of life has come":          {began: old, sign: time.Second, open: time.Second},
		"none has come":                    {began: old, sign: canaryPatience + 1, open: canaryPatience + 1, want: true},
		"none could come yet":              {began: canaryPatience, sign: old, open: old},
		"the reader waits":                 {began: old, sign: canaryPatience + 1, open: canaryPatience + 1, full: true},
		"the reader waited until now":      {began: old, sign: roomPatience, open: canaryPatience},
		"and still none has come":          {began: old, sign: roomPatience, open: canaryPatience + 1, want: true},
		"the reader waits for too long":    {began: old, sign: roomPatience + 1, open: 0, full: true, want: true},
		"the reader waits on a new one":    {began: canaryPatience + 1, sign: old, open: old, full: true},
		"and does so for too long as well": {began: roomPatience + 1, sign: old, open: old, full: true, want: true},
	} {
		now := time.Now()
		f := &feed{signAt: now.Add(-test.sign), openAt: now.Add(-test.open)}
		l := &line{began: now.Add(-test.began)}
		l.full.Store(test.full)
		if got := f.isSilent(l, now); got != test.want {
			t.Errorf("%s: silent is %v, want %v", name, got, test.want)
		}
	}
}
