package main

import (
	"runtime"
	"testing"
)

func TestHasSpare(t *testing.T) {
	const mib = 1 << 20
	before := heap{allocated: 100 * mib}
	for name, test := range map[string]struct {
		now  heap
		want bool
	}{
		"garbage is left of a burst": {heap{100 * mib, 30 * mib, 15 * mib, mib}, true},
		"room is left of a burst":    {heap{100 * mib, 16 * mib, 15 * mib, 12 * mib}, true},
		"the burst goes on":          {heap{110 * mib, 30 * mib, 15 * mib, 12 * mib}, false},
		"little is left":             {heap{100 * mib, 17 * mib, 15 * mib, mib}, false},
		"little, beside a large use": {heap{100 * mib, 1200 * mib, 1000 * mib, 10 * mib}, false},
		"a small server":             {heap{100 * mib, 2 * mib, mib, mib}, false},
	} {
		if got := test.now.hasSpare(before); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestReadHeap holds the names of the metrics against the runtime.
func TestReadHeap(t *testing.T) {
	before := readHeap()
	kept := make([]byte, 8<<20)
	runtime.GC()
	now := readHeap()
	if now.allocated-before.allocated < 8<<20 || now.objects < 8<<20 || now.live < 8<<20 {
		t.Errorf("after 8 MiB were allocated: %+v, before %+v", now, before)
	}
	runtime.KeepAlive(kept)
}
