package webhook

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"channels/hub"
)

// Disk is the Store of a single node that keeps everything in a file too, so that a restart
// loses nothing. Who was present when the process ended is noted as gone when it starts
// again.
//
// Where the disk is full, or fails, webhooks are delivered from memory, and what was not
// written is written later.
type Disk struct {
	*Memory
	db  *bbolt.DB
	log *slog.Logger

	mu      sync.Mutex
	queue   []change
	waiting []func() // called once what was queued before them is written
	failing bool
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

var _ Store = (*Disk)(nil)

// change is what is to be written.
type change func(tx *bbolt.Tx) error

// Buckets of the file. In each, an app has a bucket of its own, but for present, whose keys
// are of all apps.
var (
	bucketOccurrences = []byte("occurrences") // number -> occurrence
	bucketParcels     = []byte("parcels")     // id -> record
	bucketFailed      = []byte("failed")      // id -> record
	bucketTold        = []byte("told")        // number -> endpoints
	bucketPresent     = []byte("present")     // what would have to be noted as gone
)

const (
	// diskName is the file's, in the directory for data.
	diskName = "webhooks.db"
	// lockPatience is how long another process may hold the file.
	lockPatience = 5 * time.Second
	// diskPause is between two tries to write to a disk that fails, and mostQueued how
	// many changes wait for it. Further ones are not written.
	diskPause  = time.Second
	mostQueued = 200_000
	// writePatience is how long Commit waits for a disk.
	writePatience = 2 * time.Second
)

// OpenDisk opens the store in a directory, which it makes. Its errors say what is wrong with
// the directory. Close ends it.
func OpenDisk(dir string, log *slog.Logger) (*Disk, error) {
	return openDisk(dir, log, bbolt.Options{Timeout: lockPatience})
}

func openDisk(dir string, log *slog.Logger, o bbolt.Options) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	name := filepath.Join(dir, diskName)
	db, err := bbolt.Open(name, 0o600, &o)
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("data: %s is in use by another process: each server needs a directory of its own", name)
	}
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", name, err)
	}
	d := &Disk{Memory: NewMemory(), db: db, log: log, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	present, err := d.load()
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("data: %s: %w", name, err)
	}
	go d.write()
	for _, o := range present {
		d.Note(o)
	}
	return d, nil
}

// Close returns when everything is written.
func (d *Disk) Close() error {
	close(d.stop)
	<-d.done
	return d.db.Close()
}

// load reads the file into memory. It returns the departures of who was present.
func (d *Disk) load() (departures []hub.Occurrence, err error) {
	return departures, d.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketOccurrences, bucketParcels, bucketFailed, bucketTold, bucketPresent} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if err := d.loadApps(tx); err != nil {
			return err
		}
		now := time.Now()
		return tx.Bucket(bucketPresent).ForEach(func(_, text []byte) error {
			var o hub.Occurrence
			if err := json.Unmarshal(text, &o); err != nil {
				return err
			}
			o.At, o.Broken = now, true
			departures = append(departures, o)
			return nil
		})
	})
}

func (d *Disk) loadApps(tx *bbolt.Tx) error {
	each := func(bucket []byte, read func(a *memoryApp, key, value []byte) error) error {
		return tx.Bucket(bucket).ForEachBucket(func(app []byte) error {
			a := d.app(string(app))
			return tx.Bucket(bucket).Bucket(app).ForEach(func(key, value []byte) error { return read(a, key, value) })
		})
	}
	return errors.Join(
		each(bucketOccurrences, func(a *memoryApp, key, value []byte) error {
			var o hub.Occurrence
			if err := json.Unmarshal(value, &o); err != nil {
				return err
			}
			a.occurrences[o.ID] = o
			a.order = append(a.order, o.ID)
			a.bytes += bytesOf(o)
			d.next = max(d.next, binary.BigEndian.Uint64(key))
			return nil
		}),
		each(bucketParcels, func(a *memoryApp, key, value []byte) error {
			a.parcels[string(key)] = parcelOf(key, value)
			return nil
		}),
		each(bucketFailed, func(a *memoryApp, key, value []byte) error {
			a.failed = append(a.failed, parcelOf(key, value))
			return nil
		}),
		each(bucketTold, func(a *memoryApp, key, value []byte) error {
			var endpoints []string
			err := json.Unmarshal(value, &endpoints)
			a.told[string(key)] = endpoints
			return err
		}),
	)
}

func parcelOf(key, value []byte) hub.Parcel {
	return hub.Parcel{ID: string(key), Record: append([]byte(nil), value...)}
}

// Note takes an occurrence. It does not block; hub.Memory calls it.
func (d *Disk) Note(o hub.Occurrence) {
	id, ok := d.note(o)
	if !ok {
		return
	}
	o.ID = id
	d.enqueue(func(tx *bbolt.Tx) error {
		if err := put(tx, bucketOccurrences, o.Topic.App, numberKey(id), o); err != nil {
			return err
		}
		return notePresent(tx, o)
	}, nil)
}

// Written has a function be called once everything is on disk that was noted before.
func (d *Disk) Written(then func()) { d.enqueue(nil, then) }

// notePresent keeps what would have to be noted as gone.
func notePresent(tx *bbolt.Tx, o hub.Occurrence) error {
	gone := hub.Occurrence{Topic: o.Topic, User: o.User}
	arrives := true
	switch o.Kind {
	case hub.HookOccupied:
		gone.Kind = hub.HookVacated
	case hub.HookMemberAdded:
		gone.Kind = hub.HookMemberRemoved
	case hub.HookVacated, hub.HookMemberRemoved:
		gone.Kind, arrives = o.Kind, false
	default:
		return nil
	}
	// Members are before their channel, so that they are noted as gone before it.
	order := "1"
	if gone.Kind == hub.HookMemberRemoved {
		order = "0"
	}
	key := []byte(order + "\x00" + o.Topic.App + "\x00" + o.Topic.Channel + "\x00" + o.User)
	if !arrives {
		return tx.Bucket(bucketPresent).Delete(key)
	}
	text, err := json.Marshal(gone)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketPresent).Put(key, text)
}

func numberKey(id string) []byte {
	n, _ := strconv.ParseUint(id, 10, 64) // Memory has written it
	return binary.BigEndian.AppendUint64(nil, n)
}

func put(tx *bbolt.Tx, bucket []byte, app string, key []byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return putRaw(tx, bucket, app, key, text)
}

func putRaw(tx *bbolt.Tx, bucket []byte, app string, key, value []byte) error {
	of, err := tx.Bucket(bucket).CreateBucketIfNotExists([]byte(app))
	if err != nil {
		return err
	}
	return of.Put(key, value)
}

func remove(tx *bbolt.Tx, bucket []byte, app string, key []byte) error {
	if of := tx.Bucket(bucket).Bucket([]byte(app)); of != nil {
		return of.Delete(key)
	}
	return nil
}

// Commit implements Store.
func (d *Disk) Commit(ctx context.Context, app string, c Change) error {
	if err := d.Memory.Commit(ctx, app, c); err != nil {
		return err
	}
	kept := make(map[string]bool)
	if len(c.GiveUp) > 0 {
		failed, _ := d.Failed(ctx, app)
		for _, p := range failed {
			kept[p.ID] = true
		}
	}
	d.writeNow(func(tx *bbolt.Tx) error { return writeChange(tx, app, c, kept) })
	return nil
}

// writeNow returns once a change is written, or the disk has had its time: then it is
// written later.
func (d *Disk) writeNow(c change) {
	written := make(chan struct{})
	d.enqueue(c, func() { close(written) })
	select {
	case <-written:
	case <-time.After(writePatience):
	case <-d.done:
	}
}

// writeChange writes what has become of occurrences and parcels; kept are those that were
// given up and are still listed.
func writeChange(tx *bbolt.Tx, app string, c Change, kept map[string]bool) error {
	var failed error
	keep := func(err error) { failed = errors.Join(failed, err) }
	for _, p := range c.Take {
		keep(putRaw(tx, bucketParcels, app, []byte(p.ID), p.Record))
	}
	for id, endpoints := range c.Told {
		keep(put(tx, bucketTold, app, []byte(id), endpoints))
	}
	for _, o := range c.Remove {
		keep(remove(tx, bucketOccurrences, app, numberKey(o.ID)))
	}
	for _, id := range c.Untell {
		keep(remove(tx, bucketTold, app, []byte(id)))
	}
	for _, id := range c.Settle {
		keep(remove(tx, bucketParcels, app, []byte(id)))
	}
	for _, p := range c.GiveUp {
		keep(putRaw(tx, bucketFailed, app, []byte(p.ID), p.Record))
	}
	if of := tx.Bucket(bucketFailed).Bucket([]byte(app)); of != nil && len(c.GiveUp) > 0 {
		keep(of.ForEach(func(key, _ []byte) error {
			if kept[string(key)] {
				return nil
			}
			return of.Delete(key)
		}))
	}
	return failed
}

// Retry implements Store.
func (d *Disk) Retry(ctx context.Context, app string, again hub.Parcel) (bool, error) {
	done, err := d.Memory.Retry(ctx, app, again)
	if done {
		d.writeNow(func(tx *bbolt.Tx) error {
			return errors.Join(remove(tx, bucketFailed, app, []byte(again.ID)), putRaw(tx, bucketParcels, app, []byte(again.ID), again.Record))
		})
	}
	return done, err
}

// enqueue has a change be written, and then a function be called; nil = none.
func (d *Disk) enqueue(c change, then func()) {
	d.mu.Lock()
	if c != nil && len(d.queue) < mostQueued {
		d.queue = append(d.queue, c)
	}
	failing := d.failing
	if then != nil && !failing {
		d.waiting = append(d.waiting, then)
	}
	d.mu.Unlock()
	wakeUp(d.wake)
	if then != nil && failing { // nobody waits for a disk that fails
		then()
	}
}

// write writes what is queued, all of it together, until the end.
func (d *Disk) write() {
	defer close(d.done)
	for {
		select {
		case <-d.wake:
			d.writeQueue()
		case <-d.stop:
			d.writeQueue()
			return
		}
	}
}

func (d *Disk) writeQueue() {
	d.mu.Lock()
	queue, waiting := d.queue, d.waiting
	d.queue, d.waiting = nil, nil
	d.mu.Unlock()
	var err error
	if len(queue) > 0 {
		err = d.db.Update(func(tx *bbolt.Tx) error {
			for _, c := range queue {
				if err := c(tx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	d.mu.Lock()
	if err != nil {
		d.queue = append(queue, d.queue...)
		waiting = append(waiting, d.waiting...)
		d.waiting = nil
	}
	changed := d.failing != (err != nil)
	d.failing = err != nil
	d.mu.Unlock()
	if changed && err != nil {
		d.log.Error("webhooks cannot be written to disk: they are delivered from memory, and a restart would lose them", "error", err)
	} else if changed {
		d.log.Info("webhooks are written to disk again")
	}
	for _, then := range waiting {
		then()
	}
	if err != nil {
		time.AfterFunc(diskPause, func() { wakeUp(d.wake) })
	}
}
