package transport

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"channels/hub"
)

// Options configure a Transport. Zero values take the defaults named.
type Options struct {
	Hub *hub.Hub
	Log *slog.Logger

	QueueBytes     int   // bound of one client's queue; 0 = 1 MiB
	NodeQueueBytes int64 // bound of all queues together; 0 = 512 MiB

	// GoroutineReaders gives every socket a goroutine that reads, which it has
	// anyway where idle sockets cannot be parked: over TLS, and elsewhere than on
	// Linux. It is meant for tests.
	GoroutineReaders bool
}

// Transport takes clients in and carries what they send and get. Its methods may
// be called from any goroutine.
type Transport struct {
	hub     *hub.Hub
	log     *slog.Logger
	queues  *queueLimits
	buffers *buffers
	readers readers

	sessions atomic.Int64 // connections that are not closed yet
}

// New returns a Transport for a running hub; Close ends it.
func New(o Options) *Transport {
	t := &Transport{
		hub:     o.Hub,
		log:     o.Log,
		queues:  &queueLimits{perConn: o.QueueBytes, node: o.NodeQueueBytes},
		buffers: newBuffers(),
	}
	if t.queues.perConn <= 0 {
		t.queues.perConn = 1 << 20
	}
	if t.queues.node <= 0 {
		t.queues.node = 512 << 20
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.readers.off = o.GoroutineReaders
	t.readers.log = t.log
	return t
}

// QueuedBytes returns what is queued for clients that read slowly.
func (t *Transport) QueuedBytes() int64 { return t.queues.used.Load() }

// Sessions returns the number of connections that are not closed yet, also of
// those that the hub has refused.
func (t *Transport) Sessions() int64 { return t.sessions.Load() }

// Wait returns when the last connection is closed, or with ctx's error.
func (t *Transport) Wait(ctx context.Context) error {
	const step = 10 * time.Millisecond
	for t.sessions.Load() > 0 {
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return fmt.Errorf("waiting for sockets to close: %w", ctx.Err())
		}
	}
	return nil
}

// Close stops reading. It is called when there are no connections; see Wait.
func (t *Transport) Close() { t.readers.close() }
