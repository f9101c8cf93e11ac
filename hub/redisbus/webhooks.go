package redisbus

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
)

// Webhooks keeps what webhooks tell of, and the deliveries, for all nodes: a
// webhook.Store. Occurrences are noted by the scripts that make them, in a stream of their
// app and partition. One node at a time delivers an app's.
type Webhooks struct {
	bus *Bus

	mu        sync.Mutex
	apps      map[string]*hooked
	following bool // the node is woken
}

// hooked is what a node knows of an app whose webhooks it delivers, or would.
type hooked struct {
	wake    func()
	at      [partitions]string // the last occurrence of each that was read; "" = none
	dirty   [partitions]bool   // there may be more
	scanned time.Time          // when all were looked at
	started time.Time          // the same, from their beginnings
}

const (
	// mostOccurrences is how many may wait of an app and a partition; further ones are
	// not noted.
	mostOccurrences = 20_000
	// readAtOnce is how many are read of a partition at a time.
	readAtOnce = 500
	// scanInterval is how often partitions are looked at of which nothing was heard, and
	// restartInterval how often from their beginnings: a master that was replaced may
	// have given new ones smaller numbers.
	scanInterval    = 5 * time.Second
	restartInterval = time.Minute
)

// Webhooks returns the bus's part for webhooks.
func (b *Bus) Webhooks() *Webhooks { return &Webhooks{bus: b, apps: make(map[string]*hooked)} }

// home is the partition in which an app's deliveries are kept.
func home(app string) int { return spread("hooks:" + app) }

func (w *Webhooks) key(app, name string) string {
	return w.bus.keys.tags[home(app)] + ":" + name + ":" + appKey(app)
}

func (w *Webhooks) app(id string) *hooked {
	h := w.apps[id]
	if h == nil {
		h = &hooked{}
		w.apps[id] = h
	}
	return h
}

// Watch implements webhook.Store.
func (w *Webhooks) Watch(app string, wake func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.app(app).wake = wake
}

// Own implements webhook.Store.
func (w *Webhooks) Own(ctx context.Context, app string) (bool, error) {
	reply, err := w.bus.call(ctx, home(app), deliverCall{app})
	if err != nil {
		return false, err
	}
	mine := len(reply) > 2 && reply[2] == int64(1)
	if mine {
		w.follow()
	}
	return mine, nil
}

// follow has the node be woken, of whatever app.
func (w *Webhooks) follow() {
	w.mu.Lock()
	first := !w.following
	w.following = true
	w.mu.Unlock()
	if !first {
		return
	}
	for p, in := range w.bus.in {
		in.follow(hub.Topic{Channel: wakeChannel}, waker{w, p}, func(error) {})
	}
}

// waker hears of occurrences in a partition.
type waker struct {
	of        *Webhooks
	partition int
}

// Receive implements hub.Receiver.
func (r waker) Receive(m hub.Message) { r.of.woken(m.User, r.partition) }

// Lost implements hub.Receiver.
func (r waker) Lost() {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	for _, h := range r.of.apps {
		h.started = time.Time{}
	}
}

// woken looks at a partition, and once more: scripts wake nobody again for some time.
func (w *Webhooks) woken(app string, partition int) {
	look := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for id, h := range w.apps {
			if appKey(id) == app && h.wake != nil {
				h.dirty[partition] = true
				h.wake()
			}
		}
	}
	look()
	time.AfterFunc(wakePause+wakePause/2, look)
}

// Occurrences implements webhook.Store.
func (w *Webhooks) Occurrences(ctx context.Context, app string, fromStart bool) ([]hub.Occurrence, error) {
	w.mu.Lock()
	h := w.app(app)
	now := time.Now()
	if fromStart || now.Sub(h.started) >= restartInterval {
		h.started, h.scanned, h.at = now, time.Time{}, [partitions]string{}
	}
	if now.Sub(h.scanned) >= scanInterval {
		h.scanned = now
		for p := range h.dirty {
			h.dirty[p] = true
		}
	}
	pipe := w.bus.reads.Pipeline()
	pages := map[int]*redis.XMessageSliceCmd{}
	for p, dirty := range h.dirty {
		if dirty {
			from := "-"
			if h.at[p] != "" {
				from = "(" + h.at[p]
			}
			pages[p] = pipe.XRangeN(ctx, w.bus.keys.occurred(p, app), from, "+", readAtOnce)
			h.dirty[p] = false
		}
	}
	w.mu.Unlock()
	if len(pages) == 0 {
		return nil, nil
	}
	_, _ = pipe.Exec(ctx) // every command has its error
	return w.readPages(app, pages)
}

func (w *Webhooks) readPages(app string, pages map[int]*redis.XMessageSliceCmd) ([]hub.Occurrence, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.app(app)
	var found []hub.Occurrence
	var failed error
	for p, page := range pages {
		entries, err := page.Result()
		if err != nil {
			h.dirty[p], failed = true, unavailable(err)
			continue
		}
		for _, e := range entries {
			h.at[p] = e.ID
			found = append(found, w.occurrenceOf(app, p, e))
		}
		h.dirty[p] = h.dirty[p] || len(entries) == readAtOnce
	}
	if len(found) > 0 {
		return found, nil // what has failed is read next time
	}
	return nil, failed
}

// occurrenceOf reads what lua/occur.lua has written. Its time becomes one of this machine's.
func (w *Webhooks) occurrenceOf(app string, partition int, e redis.XMessage) hub.Occurrence {
	field := func(name string) string {
		s, _ := e.Values[name].(string)
		return s
	}
	flags := field("f")
	o := hub.Occurrence{
		ID:        strconv.Itoa(partition) + "/" + e.ID,
		Kind:      hub.Hooks(min(digitsOf(field("k")), 255)),
		Topic:     hub.Topic{App: app, Channel: field("c")},
		At:        w.bus.out[partition].server.Load().localTime(digitsOf(field("t"))),
		User:      field("u"),
		Count:     number(field("n")),
		Broken:    strings.Contains(flags, "b"),
		Unsettled: strings.Contains(flags, "u"),
		Again:     strings.Contains(flags, "a"),
		Event:     field("e"),
		SocketID:  field("s"),
	}
	if data := field("d"); data != "" {
		o.Data = []byte(data)
	}
	return o
}

// Commit implements webhook.Store. Deliveries are taken in before occurrences are removed.
func (w *Webhooks) Commit(ctx context.Context, app string, c hub.HookChange) error {
	_, err := w.bus.reads.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		w.take(ctx, pipe, app, c)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return unavailable(err)
	}
	if err := w.removeOccurrences(ctx, app, c.Remove); err != nil {
		return err
	}
	if len(c.GiveUp) > 0 {
		return w.boundFailed(ctx, app)
	}
	return nil
}

func (w *Webhooks) take(ctx context.Context, pipe redis.Pipeliner, app string, c hub.HookChange) {
	for _, p := range c.Take {
		pipe.HSet(ctx, w.key(app, "parcels"), p.ID, p.Record)
	}
	for id, endpoints := range c.Told {
		text, err := json.Marshal(endpoints)
		if err == nil {
			pipe.HSet(ctx, w.key(app, "told"), id, text)
		}
	}
	if len(c.Untell) > 0 {
		pipe.HDel(ctx, w.key(app, "told"), c.Untell...)
	}
	if len(c.Settle) > 0 {
		pipe.HDel(ctx, w.key(app, "parcels"), c.Settle...)
	}
	for _, p := range c.GiveUp {
		pipe.HSet(ctx, w.key(app, "failed"), p.ID, p.Record)
	}
	if len(c.Recent) > 0 {
		recent := make([]any, len(c.Recent))
		for i, text := range c.Recent {
			recent[i] = text
		}
		pipe.RPush(ctx, w.key(app, "recent"), recent...)
		pipe.LTrim(ctx, w.key(app, "recent"), -hub.KeptRecent, -1)
	}
}

func (w *Webhooks) removeOccurrences(ctx context.Context, app string, all []hub.Occurrence) error {
	if len(all) == 0 {
		return nil
	}
	ids := map[int][]string{}
	for _, o := range all {
		partition, id, ok := strings.Cut(o.ID, "/")
		if p := number(partition); ok && p >= 0 && p < partitions {
			ids[p] = append(ids[p], id)
		}
	}
	_, err := w.bus.reads.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for p, of := range ids {
			pipe.XDel(ctx, w.bus.keys.occurred(p, app), of...)
		}
		return nil
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// boundFailed removes the oldest deliveries that were given up.
func (w *Webhooks) boundFailed(ctx context.Context, app string) error {
	ids, err := w.bus.reads.HKeys(ctx, w.key(app, "failed")).Result()
	if err != nil {
		return unavailable(err)
	}
	if len(ids) <= hub.KeptFailed {
		return nil
	}
	slices.Sort(ids)
	if err := w.bus.reads.HDel(ctx, w.key(app, "failed"), ids[:len(ids)-hub.KeptFailed]...).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

// Parcels implements webhook.Store.
func (w *Webhooks) Parcels(ctx context.Context, app string) ([]hub.Parcel, map[string][]string, error) {
	kept, err := w.parcels(ctx, app, "parcels")
	if err != nil {
		return nil, nil, err
	}
	marks, err := w.bus.reads.HGetAll(ctx, w.key(app, "told")).Result()
	if err != nil {
		return nil, nil, unavailable(err)
	}
	told := make(map[string][]string, len(marks))
	for id, text := range marks {
		var endpoints []string
		if json.Unmarshal([]byte(text), &endpoints) == nil {
			told[id] = endpoints
		}
	}
	return kept, told, nil
}

// parcels returns those of a hash, oldest first.
func (w *Webhooks) parcels(ctx context.Context, app, name string) ([]hub.Parcel, error) {
	records, err := w.bus.reads.HGetAll(ctx, w.key(app, name)).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	all := make([]hub.Parcel, 0, len(records))
	for id, record := range records {
		all = append(all, hub.Parcel{ID: id, Record: []byte(record)})
	}
	slices.SortFunc(all, func(a, b hub.Parcel) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// Dropped implements webhook.Store.
func (w *Webhooks) Dropped(ctx context.Context, app string) (uint64, error) {
	pipe := w.bus.reads.Pipeline()
	var counts []*redis.StringCmd
	for p := range partitions {
		counts = append(counts, pipe.Get(ctx, w.bus.keys.unnoted(p, app)))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return 0, unavailable(err)
	}
	sum := uint64(0)
	for _, c := range counts {
		sum += digitsOf(c.Val())
	}
	return sum, nil
}

// Failed implements webhook.Store.
func (w *Webhooks) Failed(ctx context.Context, app string) ([]hub.Parcel, error) {
	return w.parcels(ctx, app, "failed")
}

// Recent implements webhook.Store.
func (w *Webhooks) Recent(ctx context.Context, app string) ([][]byte, error) {
	texts, err := w.bus.reads.LRange(ctx, w.key(app, "recent"), 0, -1).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	all := make([][]byte, len(texts))
	for i, text := range texts {
		all[i] = []byte(text)
	}
	return all, nil
}

// Retry implements webhook.Store.
func (w *Webhooks) Retry(ctx context.Context, app string, again hub.Parcel) (bool, error) {
	was, err := w.bus.reads.HDel(ctx, w.key(app, "failed"), again.ID).Result()
	if err != nil {
		return false, unavailable(err)
	}
	if was == 0 {
		return false, nil
	}
	_, err = w.bus.reads.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.HSet(ctx, w.key(app, "parcels"), again.ID, again.Record)
		pipe.SAdd(ctx, w.key(app, "retried"), again.ID)
		return nil
	})
	if err != nil {
		return false, unavailable(err)
	}
	return true, nil
}

// Retried implements webhook.Store.
func (w *Webhooks) Retried(ctx context.Context, app string) ([]hub.Parcel, error) {
	ids, err := w.bus.reads.SPopN(ctx, w.key(app, "retried"), 100).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, unavailable(err)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	records, err := w.bus.reads.HMGet(ctx, w.key(app, "parcels"), ids...).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	var all []hub.Parcel
	for i, record := range records {
		if text, ok := record.(string); ok {
			all = append(all, hub.Parcel{ID: ids[i], Record: []byte(text)})
		}
	}
	return all, nil
}
