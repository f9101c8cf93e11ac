package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a burst Go keeps what it has used until the heap has doubled, or for two
// minutes: on an idle server with thousands of connections that is as much as they
// need themselves. So it is given back once nothing much happens any more.
const (
	// spareInterval is how often it is looked whether the server is quiet.
	spareInterval = 5 * time.Second
	// quietBytes is what a quiet server allocates in that time at most.
	quietBytes = 1 << 20
	// spareBytes is how much there must be to give back, beside a quarter of what is in
	// use: it costs as much time as that has bytes.
	spareBytes = 2 << 20
)

// heap is what the runtime knows of its memory, in bytes.
type heap struct {
	allocated uint64 // since the start
	objects   uint64 // now, those included that nobody uses any more
	live      uint64 // that were in use when the collector ran last
	free      uint64 // that no object has, and that were not given back
}

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()}
}

// hasSpare says whether the server has been quiet since before, and has much to give
// back.
func (h heap) hasSpare(before heap) bool {
	return h.allocated-before.allocated <= quietBytes && h.objects+h.free > h.live+h.live/4+spareBytes
}

// giveBackSpareMemory does so until ctx ends.
func giveBackSpareMemory(ctx context.Context) {
	tick := time.NewTicker(spareInterval)
	defer tick.Stop()
	before := readHeap()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := readHeap()
		if now.hasSpare(before) {
			debug.FreeOSMemory()
		}
		before = now
	}
}
