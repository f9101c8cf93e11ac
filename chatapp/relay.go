package chatapp

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// How the outbox is emptied.
const (
	relayWorkers  = 8   // streams that are published at once
	relayBatch    = 100 // rows that are read at once
	relayStreams  = 1000
	relayInterval = time.Second // between two looks for what another process, or a crash, has left
	lockPatience  = 10 * time.Second
)

// relay publishes what was committed: the rows of each stream of the outbox, in
// their order. A scheduler decides which stream is next, a publisher knows what a
// row means.
type relay struct {
	store     *Store
	publisher *publisher
	scheduler *scheduler
	log       *slog.Logger
}

func newRelay(store *Store, p *publisher, log *slog.Logger) *relay {
	r := &relay{store: store, publisher: p, log: log}
	r.scheduler = newScheduler(relayWorkers, r.drain, log)
	return r
}

// run publishes until the context ends; then it waits for what is under way.
func (r *relay) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { r.scheduler.run(ctx) })
	all.Go(func() { every(ctx, relayInterval, r.look) })
	all.Wait()
}

// look finds streams that nobody has added to the scheduler: those that another
// process has written to, and those that a crash has left.
func (r *relay) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	streams, err := r.store.waitingStreams(ctx, relayStreams)
	if err != nil {
		r.log.Debug("look into the outbox", "error", err)
		return
	}
	r.scheduler.addIdle(streams)
}

// drain publishes all rows of a stream, alone of all processes.
func (r *relay) drain(ctx context.Context, stream string) error {
	lockCtx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	unlock, err := r.store.lockStream(lockCtx, stream)
	if err != nil {
		return err
	}
	defer unlock()
	for {
		rows, err := r.read(ctx, stream)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := r.publishRows(ctx, stream, rows); err != nil || len(rows) < relayBatch {
			return err
		}
	}
}

// read returns the next rows of a stream, after it was collapsed if it has become
// old and long.
func (r *relay) read(ctx context.Context, stream string) ([]outRow, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rows, err := r.store.waiting(ctx, stream, relayBatch)
	if err != nil || !stale(rows, now()) {
		return rows, err
	}
	if room, ok := strings.CutPrefix(stream, roomStream("")); ok {
		if err := r.store.collapse(ctx, room); err != nil {
			return nil, err
		}
	}
	return r.store.waiting(ctx, stream, relayBatch)
}

// publishRows publishes rows in their order, and removes those that were.
func (r *relay) publishRows(ctx context.Context, stream string, rows []outRow) error {
	published := 0
	var failure error
	for _, row := range rows {
		if failure = r.publish(ctx, stream, row); failure != nil {
			break
		}
		published++
	}
	if published == 0 {
		return failure
	}
	// What was published is removed also when the process is about to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.store.removePublished(ctx, stream, rows[published-1]); err != nil {
		return err
	}
	return failure
}

// publish publishes one row. One that the server will never take is dropped.
func (r *relay) publish(ctx context.Context, stream string, row outRow) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := r.publisher.publish(ctx, stream, row)
	if err != nil && permanent(err) {
		r.log.Error("an event was refused, and is dropped", "stream", stream, "rev", row.Rev, "event", row.Event, "error", err)
		return nil
	}
	return err
}
