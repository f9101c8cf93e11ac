package hub

import (
	"context"
	"errors"
	"sort"
	"sync"
	"time"
)

// pasts reads histories for those who come back. All who want one of a channel while it is
// read share the next reading of it: so a crowd that comes back costs a few readings.
type pasts struct {
	mu      sync.Mutex
	reading map[Topic]*pastReading
	slots   chan struct{} // as many as may be read at a time
}

const (
	// pastsAtATime is how many channels' histories are read at a time.
	pastsAtATime = 32
	// pastsPage is how many events are read at once, and pastsPatience how long that may
	// take.
	pastsPage     = 1000
	pastsPatience = 5 * time.Second
)

// pastReading are those who wait for the next reading of a channel's history.
type pastReading struct{ waiting []pastAsk }

// pastAsk wants the events behind one number, up to another one.
type pastAsk struct {
	after, upTo uint64
	done        func([]PastEvent, error)
}

// errForgotten is the error of a pastAsk when some of the events are not there any more.
var errForgotten = errors.New("events are not kept any more")

// readPast calls done, on another goroutine, with the events behind a number up to another one,
// all of them, or an error.
func (h *Hub) readPast(t Topic, age time.Duration, ask pastAsk) {
	p := &h.resumes.pasts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading == nil {
		p.reading, p.slots = make(map[Topic]*pastReading), make(chan struct{}, pastsAtATime)
	}
	r := p.reading[t]
	if r == nil {
		r = new(pastReading)
		p.reading[t] = r
		h.done.Go(func() { h.readPasts(t, age, r) })
	}
	r.waiting = append(r.waiting, ask)
}

// readPasts reads a channel's history until nobody waits for it.
func (h *Hub) readPasts(t Topic, age time.Duration, r *pastReading) {
	p := &h.resumes.pasts
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	for {
		p.mu.Lock()
		asks := r.waiting
		r.waiting = nil
		if len(asks) == 0 {
			delete(p.reading, t)
		}
		p.mu.Unlock()
		if len(asks) == 0 {
			return
		}
		h.answerPasts(t, age, asks)
	}
}

func (h *Hub) answerPasts(t Topic, age time.Duration, asks []pastAsk) {
	after, upTo := asks[0].after, asks[0].upTo
	for _, ask := range asks[1:] {
		after, upTo = min(after, ask.after), max(upTo, ask.upTo)
	}
	events, gone, err := h.allPast(t, age, after, upTo)
	for _, ask := range asks {
		switch {
		case err != nil:
			ask.done(nil, err)
		case ask.after < gone:
			ask.done(nil, errForgotten)
		default:
			from := sort.Search(len(events), func(i int) bool { return events[i].Seq > ask.after })
			to := sort.Search(len(events), func(i int) bool { return events[i].Seq > ask.upTo })
			ask.done(events[from:max(from, to):to], nil)
		}
	}
}

// allPast reads the events behind a number, at least up to another one, and from which
// number on they are all that there were.
func (h *Hub) allPast(t Topic, age time.Duration, after, upTo uint64) (events []PastEvent, gone uint64, err error) {
	for {
		ctx, cancel := context.WithTimeout(h.running, pastsPatience)
		page, err := h.state.Past(ctx, t, age, Span{After: after, Most: pastsPage})
		cancel()
		if err != nil {
			return nil, 0, err
		}
		if !page.Whole(after) {
			gone = page.Gone
		}
		events = append(events, page.Events...)
		if !page.More || len(page.Events) == 0 {
			return events, gone, nil
		}
		after = page.Events[len(page.Events)-1].Seq
		if after >= upTo {
			return events, gone, nil
		}
	}
}
