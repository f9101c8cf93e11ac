package webhook

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"channels/hub"
)

const (
	// ownEvery is how often a courier asks whether it is still the one, and others
	// whether they are.
	ownEvery = time.Second
	// lookEvery is how often it looks for occurrences of which it was not woken, and
	// gather how long it waits after a wake-up for more of them.
	lookEvery = 2 * time.Second
	gather    = 20 * time.Millisecond
	// storePause is between two tries to reach a Store.
	storePause = 500 * time.Millisecond
	// reportEvery is how often it is shown how much waits.
	reportEvery = time.Second
	// retriedEvery is how often it looks for what the operator has sent again.
	retriedEvery = time.Second
	// sweepEvery is how often what has waited too long is looked for.
	sweepEvery = 10 * time.Second
)

// courier delivers an app's webhooks. Its goroutine owns all that it has.
type courier struct {
	app       *hub.App
	store     Store
	sender    *sender
	stats     *stats
	log       *slog.Logger
	wakes     chan struct{}
	results   chan result
	endpoints []*endpoint

	pace    *pace
	known   map[string]*waiting // occurrences that are not removed, by id
	removed map[string]bool     // those of the change, which the store may still return
	told    map[string][]string // of an earlier owner
	parcels map[string]*parcel  // recorded and not settled
	bytes   int                 // of those and of the occurrences that wait
	change  Change              // that the store was not told of yet
	unsent  []*parcel           // of the change, to be sent once it was
	dropped uint64              // that the store has told of
	read    bool                // everything that was there at the beginning

	reported time.Time // when it was last shown how much waits
	looked   time.Time // when it was last looked for parcels that the operator has sent again
}

// result is the end of a try.
type result struct {
	parcel  *parcel
	attempt Attempt
}

func newCourier(e *Engine, app *hub.App) *courier {
	c := &courier{
		app: app, store: e.store, sender: e.sender, stats: &e.stats, log: e.log.With("app", app.ID),
		wakes: make(chan struct{}, 1), results: make(chan result, 64),
	}
	c.store.Watch(app.ID, c.wake)
	return c
}

func (c *courier) wake() { wakeUp(c.wakes) }

// wakeUp has a goroutine look that waits for something to do. The channel has room for one:
// who is woken already looks once.
func wakeUp(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run delivers until ctx ends, whenever this node is the one that does.
func (c *courier) run(ctx context.Context) {
	for ctx.Err() == nil {
		asked := time.Now()
		mine, err := c.store.Own(ctx, c.app.ID)
		if err == nil && mine {
			c.deliver(ctx, asked)
		}
		sleep(ctx, ownEvery)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// deliver does so for as long as this node is the one. What is under way when it is not any
// more ends by itself; another node then sends it again, in the same form.
func (c *courier) deliver(ctx context.Context, owned time.Time) {
	c.begin()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer c.stats.set(c.app.ID, backlog{})
	if !c.load(ctx) {
		return
	}
	asked, swept := owned, owned
	for ctx.Err() == nil {
		now := time.Now()
		if now.Sub(asked) >= ownEvery {
			mine, err := c.store.Own(ctx, c.app.ID)
			if err == nil && !mine || err != nil && now.Sub(owned) >= OwnFor-ownEvery {
				return
			}
			if asked = now; err == nil {
				owned = now
			}
		}
		if now.Sub(swept) >= sweepEvery || c.bytes > MaxBytes {
			swept = now
			c.sweep(now)
		}
		next := c.round(ctx, now)
		c.wait(ctx, next)
	}
}

// begin forgets everything: what is known is read from the store.
func (c *courier) begin() {
	c.pace, c.known, c.parcels = newPace(), make(map[string]*waiting), make(map[string]*parcel)
	c.removed = make(map[string]bool)
	c.bytes, c.change, c.unsent, c.read = 0, Change{}, nil, false
	c.endpoints = nil
	for i := range c.app.Webhooks {
		c.endpoints = append(c.endpoints, newEndpoint(&c.app.Webhooks[i]))
	}
	for len(c.results) > 0 {
		<-c.results
	}
}

// load takes over what an earlier owner has recorded.
func (c *courier) load(ctx context.Context) bool {
	kept, told, err := c.store.Parcels(ctx, c.app.ID)
	if err != nil {
		c.log.Warn("webhooks cannot be read", "error", err)
		return false
	}
	c.told = told
	slices.SortFunc(kept, func(a, b hub.Parcel) int { return strings.Compare(a.ID, b.ID) })
	for _, each := range kept {
		p, err := unpack(each)
		if err != nil {
			c.log.Error("a delivery cannot be read, and is removed", "error", err)
			c.change.Settle = append(c.change.Settle, each.ID)
			continue
		}
		c.takeOver(p)
	}
	return true
}

func (c *courier) takeOver(p *parcel) {
	for _, id := range p.Members {
		c.told[id] = append(c.told[id], p.Endpoint)
	}
	p.takenOver = true
	c.keep(p)
	e := c.endpoint(p.Endpoint)
	if e == nil {
		c.giveUp(p, "the endpoint is not configured any more")
		return
	}
	e.hold(p)
	e.later(p, time.Now())
}

func (c *courier) endpoint(id string) *endpoint {
	for _, e := range c.endpoints {
		if e.id == id {
			return e
		}
	}
	return nil
}

// round does what there is to do, and returns when there will be more; zero = nothing
// is due.
func (c *courier) round(ctx context.Context, now time.Time) time.Time {
	more := c.readNew(ctx)
	if now.Sub(c.looked) >= retriedEvery {
		c.looked = now
		c.readRetried(ctx)
	}
	var v verdict
	next := c.pace.pass(now, &v)
	c.apply(v, now)
	next = earlier(next, c.fill(now))
	if !c.flush(ctx) {
		return now.Add(storePause)
	}
	if more {
		return now
	}
	c.report(now)
	return next
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// readNew takes what has occurred. It says whether there is more.
func (c *courier) readNew(ctx context.Context) (more bool) {
	occurrences, err := c.store.Occurrences(ctx, c.app.ID, !c.read)
	if err != nil {
		return false // the next look tries again
	}
	c.read = true
	now := time.Now()
	var v verdict
	for _, o := range occurrences {
		if c.known[o.ID] == nil && !c.removed[o.ID] {
			c.known[o.ID] = &waiting{of: o}
			c.bytes += bytesOf(o)
			c.pace.add(o, &v)
		}
	}
	c.apply(v, now)
	return len(occurrences) > 0
}

// readRetried takes what the operator has sent again.
func (c *courier) readRetried(ctx context.Context) {
	retried, err := c.store.Retried(ctx, c.app.ID)
	if err != nil {
		return // they are found when another node takes over, at the latest
	}
	for _, each := range retried {
		if p, err := unpack(each); err == nil && c.parcels[p.ID] == nil {
			c.takeOver(p)
		}
	}
}

// bytesOf is about what an occurrence takes.
func bytesOf(o hub.Occurrence) int {
	return 200 + len(o.Topic.Channel) + len(o.User) + len(o.Event) + len(o.Data)
}

// apply has endpoints be told what is to be told.
func (c *courier) apply(v verdict, now time.Time) {
	for _, o := range v.tell {
		item := c.known[o.ID]
		if item == nil {
			continue
		}
		item.told = c.told[o.ID]
		delete(c.told, o.ID)
		for _, e := range c.endpoints {
			if e.settings.Wants(o.Kind, o.Topic.Channel) && !slices.Contains(item.told, e.id) {
				item.left++
				e.add(item, now)
			}
		}
		switch {
		case item.left == 0:
			c.remove(item)
		case len(item.told) > 0: // in a parcel of an earlier owner, which may arrive first
			c.noteTold(item)
		}
	}
	for _, o := range v.drop {
		if item := c.known[o.ID]; item != nil {
			c.remove(item)
		}
	}
}

func (c *courier) remove(item *waiting) {
	delete(c.known, item.of.ID)
	c.removed[item.of.ID] = true
	c.bytes -= bytesOf(item.of)
	c.change.Remove = append(c.change.Remove, item.of)
	if len(item.told) > 0 {
		c.change.Untell = append(c.change.Untell, item.of.ID)
	}
}

// fill makes parcels of what waits, as far as requests may be made, and takes those that
// are to be tried again. It returns when there is more to do; zero = when something ends.
func (c *courier) fill(now time.Time) (next time.Time) {
	for _, e := range c.endpoints {
		again, at := e.dueRetries(now)
		for _, p := range again {
			e.retrying++
			c.send(e, p)
		}
		next = earlier(next, at)
		for {
			yes, at := e.takes(now)
			if !yes {
				next = earlier(next, at)
				break
			}
			if p := e.take(now); p != nil {
				c.record(e, p)
			}
		}
	}
	return next
}

// record has a parcel be kept, before it is sent.
func (c *courier) record(e *endpoint, p *parcel) {
	e.inFlight++
	c.change.Take = append(c.change.Take, p.pack())
	c.unsent = append(c.unsent, p)
	c.enclose(p)
}

// enclose keeps a parcel that was made of what waits. An occurrence that stands in all its
// parcels is kept by them.
func (c *courier) enclose(p *parcel) {
	c.keep(p)
	for _, item := range p.occurring {
		if item.left--; item.left == 0 {
			c.remove(item)
		}
	}
}

func (c *courier) keep(p *parcel) {
	c.parcels[p.ID] = p
	c.bytes += len(p.Body)
}

// flush tells the store what has changed, and sends what was recorded. It says whether the
// store could be told.
func (c *courier) flush(ctx context.Context) bool {
	if isEmpty(&c.change) {
		return true
	}
	if err := c.store.Commit(ctx, c.app.ID, c.change); err != nil {
		if ctx.Err() == nil {
			c.log.Warn("webhooks cannot be recorded: trying again", "error", err)
		}
		return false
	}
	c.change = Change{}
	clear(c.removed)
	for _, p := range c.unsent {
		c.try(c.endpoint(p.Endpoint), p)
	}
	c.unsent = nil
	return true
}

// send makes another try.
func (c *courier) send(e *endpoint, p *parcel) {
	e.inFlight++
	c.try(e, p)
}

func (c *courier) try(e *endpoint, p *parcel) {
	p.tries++
	number, results := p.tries, c.results
	c.sender.running.Go(func() {
		attempt := c.sender.post(c.app, e.settings, p)
		attempt.Try = number
		select {
		case results <- result{p, attempt}:
		case <-c.sender.closing:
		}
	})
}

// wait returns when there is something to do.
func (c *courier) wait(ctx context.Context, next time.Time) {
	pause := lookEvery
	if !next.IsZero() {
		pause = min(pause, max(0, time.Until(next)))
	}
	pause = min(pause, ownEvery)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-c.wakes:
		sleep(ctx, gather)
	case r := <-c.results:
		c.ended(r)
	}
	for {
		select {
		case r := <-c.results:
			c.ended(r)
			continue
		default:
		}
		return
	}
}

// ended draws the conclusions from a try.
func (c *courier) ended(r result) {
	p := c.parcels[r.parcel.ID]
	if p != r.parcel {
		return // of an earlier ownership
	}
	now := time.Now()
	e := c.endpoint(p.Endpoint)
	e.inFlight--
	if r.attempt.Try > 1 || p.takenOver {
		e.retrying--
	}
	c.stats.observe(c.app.ID, &r.attempt)
	c.change.Recent = append(c.change.Recent, r.attempt.pack())
	switch {
	case r.attempt.ok():
		c.settle(p)
		e.release(p, now)
	case now.Sub(p.oldest) >= lifetime:
		c.giveUp(p, r.attempt.reason())
		e.release(p, now)
	default:
		c.log.Debug("a webhook was not taken", "delivery", p.ID, "url", shownURL(p.URL), "try", r.attempt.Try, "reason", r.attempt.reason())
		e.later(p, now.Add(backoff(r.attempt.Try)))
	}
}

// settle removes a parcel that needs no more tries.
func (c *courier) settle(p *parcel) {
	delete(c.parcels, p.ID)
	c.bytes -= len(p.Body)
	c.change.Settle = append(c.change.Settle, p.ID)
	for _, item := range p.occurring {
		if item.left > 0 { // another endpoint is still to be told
			item.told = append(item.told, p.Endpoint)
			c.noteTold(item)
		}
	}
}

// noteTold has it be kept which endpoints were told of an occurrence, while others are not.
func (c *courier) noteTold(item *waiting) {
	if c.change.Told == nil {
		c.change.Told = make(map[string][]string)
	}
	c.change.Told[item.of.ID] = item.told
}

// giveUp keeps a parcel for the operator only.
func (c *courier) giveUp(p *parcel, reason string) {
	c.settle(p)
	p.Reason = reason
	c.change.GiveUp = append(c.change.GiveUp, p.pack())
	c.stats.gaveUp(c.app.ID, len(p.Members))
	c.log.Warn("a webhook was given up; channels webhooks replay sends it again", "delivery", p.ID, "url", shownURL(p.URL), "events", len(p.Members), "reason", reason)
}

// sweep gives up what has waited too long behind a parcel that does not arrive, and the
// oldest of what is too much.
func (c *courier) sweep(now time.Time) {
	for _, e := range c.endpoints {
		c.discard(e, e.expired(now), "not tried: an earlier delivery of the channel did not arrive for five minutes")
	}
	for _, e := range c.endpoints {
		if c.bytes <= MaxBytes {
			break
		}
		c.discard(e, e.oldest(c.bytes-MaxBytes), "not tried: more than 64 MiB waited")
	}
	for _, e := range c.endpoints {
		for c.bytes > MaxBytes && len(e.retries) > 0 {
			p := e.oldestRetry()
			c.giveUp(p, "more than 64 MiB waited")
			e.release(p, now)
		}
	}
	if n, err := c.store.Dropped(context.Background(), c.app.ID); err == nil && n > c.dropped {
		c.log.Warn("occurrences were not noted for webhooks: too many waited", "count", n-c.dropped)
		c.stats.drop(c.app.ID, n-c.dropped)
		c.dropped = n
	}
}

// discard gives up occurrences that stand in no parcel.
func (c *courier) discard(e *endpoint, items []*waiting, reason string) {
	for len(items) > 0 {
		n := min(len(items), maxBatch)
		p := newParcel(e.settings, time.Now(), items[:n])
		items = items[n:]
		c.enclose(p)
		c.giveUp(p, reason)
	}
}

// report shows how much waits.
func (c *courier) report(now time.Time) {
	if now.Sub(c.reported) < reportEvery {
		return
	}
	c.reported = now
	b := backlog{events: len(c.known), bytes: c.bytes}
	for _, item := range c.known {
		b.age = max(b.age, now.Sub(item.of.At))
	}
	for _, p := range c.parcels {
		b.events += len(p.Members)
		b.age = max(b.age, now.Sub(p.oldest))
	}
	c.stats.set(c.app.ID, b)
}
