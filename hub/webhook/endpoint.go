package webhook

import (
	"slices"
	"time"

	"channels/hub"
)

const (
	// maxInFlight is how many requests are made to an endpoint at a time.
	maxInFlight = 8
	// maxRetrying is how many of them are repeats while something waits for its first try:
	// those of channels that are not taken must not keep the others from being told.
	maxRetrying = maxInFlight / 2
	// maxBatch is how many events a request has, and batchWait how long they wait to be
	// so many.
	maxBatch  = 20
	batchWait = 250 * time.Millisecond
	// lifetime is for how long a delivery is tried, from its first event on.
	lifetime = 5 * time.Minute
)

// waiting is an occurrence that was not told to all endpoints that want it.
type waiting struct {
	of   hub.Occurrence
	left int      // endpoints for which it is in no parcel yet
	told []string // endpoints that were told already, while others are not
}

// endpoint is what waits for one receiver, in order for each channel. Its courier owns it.
type endpoint struct {
	settings *hub.Webhook
	id       string
	channels map[string]*line
	ready    []*line   // those that may send, longest waiting first
	events   int       // of those
	since    time.Time // when the first of them became ready
	inFlight int
	retrying int // of those in flight, the ones that are not the first try
	retries  []*retry
}

// line is what waits of a channel. Nothing of it is sent while an earlier parcel that has
// something of it is under way.
type line struct {
	channel string
	items   []*waiting
	busy    bool
	listed  bool // it is among the ready
}

// retry is a parcel that waits for its next try.
type retry struct {
	parcel *parcel
	at     time.Time
}

func newEndpoint(w *hub.Webhook) *endpoint {
	return &endpoint{settings: w, id: idOf(w), channels: make(map[string]*line)}
}

func (e *endpoint) line(channel string) *line {
	l := e.channels[channel]
	if l == nil {
		l = &line{channel: channel}
		e.channels[channel] = l
	}
	return l
}

// add puts an occurrence behind those of its channel.
func (e *endpoint) add(item *waiting, now time.Time) {
	l := e.line(item.of.Topic.Channel)
	l.items = append(l.items, item)
	switch {
	case l.listed:
		e.events++
	case !l.busy:
		e.list(l, now)
	}
}

// list notes that a channel may send.
func (e *endpoint) list(l *line, now time.Time) {
	if len(e.ready) == 0 {
		e.since = now
	}
	l.listed = true
	e.ready = append(e.ready, l)
	e.events += len(l.items)
}

// takes says whether a request can be made now; else when it can, zero = when something
// else happens.
func (e *endpoint) takes(now time.Time) (yes bool, at time.Time) {
	if e.inFlight >= maxInFlight || e.events == 0 {
		return false, time.Time{}
	}
	if !e.settings.Batch || e.events >= maxBatch {
		return true, now
	}
	at = e.since.Add(batchWait)
	return !now.Before(at), at
}

// take makes a parcel of what has waited longest; nil = that was given up meanwhile.
func (e *endpoint) take(now time.Time) *parcel {
	most := 1
	if e.settings.Batch {
		most = maxBatch
	}
	var items []*waiting
	for len(e.ready) > 0 && len(items) < most {
		l := e.ready[0]
		e.ready[0] = nil
		e.ready = e.ready[1:]
		if l.listed = false; len(l.items) == 0 { // what waited was given up
			delete(e.channels, l.channel)
			continue
		}
		n := min(len(l.items), most-len(items))
		items = append(items, l.items[:n]...)
		e.events -= len(l.items)
		l.items = l.items[n:]
		l.busy = true
	}
	if e.since = now; len(items) == 0 {
		return nil
	}
	return newParcel(e.settings, now, items)
}

// hold keeps the channels of a parcel from sending: it was recorded by an earlier owner.
func (e *endpoint) hold(p *parcel) {
	for _, channel := range p.Channels {
		e.line(channel).busy = true
	}
}

// release lets the channels of a parcel go on, which has arrived or was given up.
func (e *endpoint) release(p *parcel, now time.Time) {
	for _, channel := range p.Channels {
		l := e.channels[channel]
		if l == nil || !l.busy {
			continue
		}
		l.busy = false
		if len(l.items) == 0 {
			delete(e.channels, channel)
		} else {
			e.list(l, now)
		}
	}
}

// later has a parcel be tried again.
func (e *endpoint) later(p *parcel, at time.Time) { e.retries = append(e.retries, &retry{p, at}) }

// dueRetries takes the parcels that are to be tried now, as many as may be sent, and
// returns when the next one is; zero = none waits.
func (e *endpoint) dueRetries(now time.Time) (parcels []*parcel, next time.Time) {
	free := maxInFlight - e.inFlight
	if e.events > 0 {
		free = min(free, maxRetrying-e.retrying)
	}
	kept := e.retries[:0]
	for _, r := range e.retries {
		switch {
		case !now.Before(r.at) && len(parcels) < free:
			parcels = append(parcels, r.parcel)
			continue
		case !now.Before(r.at): // when another request has ended
		case next.IsZero() || r.at.Before(next):
			next = r.at
		}
		kept = append(kept, r)
	}
	clear(e.retries[len(kept):])
	e.retries = kept
	return parcels, next
}

// oldestRetry takes the parcel that waits for another try and was made first.
func (e *endpoint) oldestRetry() *parcel {
	first := 0
	for i, r := range e.retries {
		if r.parcel.oldest.Before(e.retries[first].parcel.oldest) {
			first = i
		}
	}
	p := e.retries[first].parcel
	e.retries = slices.Delete(e.retries, first, first+1)
	return p
}

// expired takes what has waited for longer than a delivery is tried, without a try: its
// channel was held up.
func (e *endpoint) expired(now time.Time) []*waiting {
	var old []*waiting
	for _, l := range e.channels {
		n := 0
		for l.busy && n < len(l.items) && now.Sub(l.items[n].of.At) > lifetime {
			n++
		}
		old = append(old, l.items[:n]...)
		l.items = l.items[n:]
	}
	return old
}

// oldest takes of each channel what has waited longest, until so many bytes are freed.
func (e *endpoint) oldest(bytes int) []*waiting {
	var old []*waiting
	for bytes > 0 {
		before := len(old)
		for _, l := range e.channels {
			if len(l.items) == 0 || bytes <= 0 {
				continue
			}
			old = append(old, l.items[0])
			bytes -= bytesOf(l.items[0].of)
			l.items = l.items[1:]
			if l.listed {
				e.events--
			}
		}
		if len(old) == before {
			break
		}
	}
	return old
}
