package transport

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"channels/hub"
	"channels/hub/transport/outbox"
	"channels/hub/transport/poller"
)

// Options configure a Transport. Zero values take the defaults named.
type Options struct {
	Hub *hub.Hub
	Log *slog.Logger

	QueueBytes int              // bound of one client's queue; 0 = 1 MiB
	Budget     *hub.QueueBudget // of all queues of the node; nil = one of its own

	// GoroutineReaders gives every socket a goroutine that reads. It has one
	// anyway where idle sockets cannot be parked, which is elsewhere than on
	// Linux. It is meant for tests.
	GoroutineReaders bool
}

// Transport accepts clients and carries what they send and get. Its methods may
// be called from any goroutine.
type Transport struct {
	hub     *hub.Hub
	log     *slog.Logger
	limits  outbox.Limits
	readers poller.Readers

	sessions atomic.Int64 // connections that are not closed yet
}

// New returns a Transport for a running hub; Close ends it.
func New(o Options) *Transport {
	t := &Transport{hub: o.Hub, log: o.Log}
	t.limits.PerConn, t.limits.Node = o.QueueBytes, o.Budget
	if t.limits.PerConn <= 0 {
		t.limits.PerConn = 1 << 20
	}
	if t.limits.Node == nil {
		t.limits.Node = hub.NewQueueBudget(0)
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.readers.Off = o.GoroutineReaders
	t.readers.Log = t.log
	return t
}

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
func (t *Transport) Close() { t.readers.Close() }
