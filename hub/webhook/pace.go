package webhook

import (
	"slices"
	"time"

	"channels/hub"
)

const (
	// graceTime is how long a departure waits, after a connection has ended, for the
	// client to be back; lossGrace the same while nodes come back to a Redis that has
	// lost data.
	graceTime = 3 * time.Second
	lossGrace = 20 * time.Second
	// countInterval is the least time between two counts of a channel that has more than
	// fewSubscribers.
	countInterval  = 5 * time.Second
	fewSubscribers = 100
)

// pace says which occurrences are told, and when. It depends on nothing but them and the
// time, so whoever reads the same ones again comes to the same end.
type pace struct {
	held   map[departure]hub.Occurrence // by whom they are about
	counts map[string]*counted          // by channel
	next   time.Time                    // when something may be due; zero = never
}

// departure is what an arrival takes back.
type departure struct {
	channel string
	user    string // "" = the last subscriber
	kind    hub.Hooks
}

// counted is a channel whose counts are told at intervals.
type counted struct {
	last    time.Time
	pending *hub.Occurrence
}

func newPace() *pace {
	return &pace{held: make(map[departure]hub.Occurrence), counts: make(map[string]*counted)}
}

// verdict is what becomes of occurrences.
type verdict struct {
	tell []hub.Occurrence // in order for each channel
	drop []hub.Occurrence // nobody is told
}

// add takes an occurrence.
func (p *pace) add(o hub.Occurrence, v *verdict) {
	switch o.Kind {
	case hub.HookVacated, hub.HookMemberRemoved:
		p.depart(o, v)
	case hub.HookOccupied, hub.HookMemberAdded:
		p.arrive(o, v)
	case hub.HookCount:
		p.count(o, v)
	default:
		v.tell = append(v.tell, o)
	}
}

func (p *pace) depart(o hub.Occurrence, v *verdict) {
	of := departure{o.Topic.Channel, o.User, o.Kind}
	if o.Broken || o.Unsettled {
		if before, twice := p.held[of]; twice {
			v.drop = append(v.drop, before)
		}
		p.held[of] = o
		p.wait(due(o))
		return
	}
	if o.Kind == hub.HookVacated { // nobody is left who could be back
		p.release(v, func(held hub.Occurrence) bool { return held.Topic.Channel == of.channel })
	}
	v.tell = append(v.tell, o)
}

func (p *pace) arrive(o hub.Occurrence, v *verdict) {
	of := departure{o.Topic.Channel, o.User, hub.HookVacated}
	if o.Kind == hub.HookMemberAdded {
		of.kind = hub.HookMemberRemoved
	}
	held, back := p.held[of]
	switch {
	case back && o.At.Before(due(held)):
		delete(p.held, of)
		v.drop = append(v.drop, held, o)
	case o.Again:
		v.drop = append(v.drop, o)
	default:
		if back {
			delete(p.held, of)
			v.tell = append(v.tell, held)
		}
		v.tell = append(v.tell, o)
	}
}

// due is when a departure is told.
func due(o hub.Occurrence) time.Time {
	if o.Unsettled {
		return o.At.Add(lossGrace)
	}
	return o.At.Add(graceTime)
}

func (p *pace) count(o hub.Occurrence, v *verdict) {
	c := p.counts[o.Topic.Channel]
	if o.Count <= fewSubscribers {
		if c != nil && c.pending != nil {
			v.drop = append(v.drop, *c.pending)
		}
		delete(p.counts, o.Topic.Channel)
		v.tell = append(v.tell, o)
		return
	}
	if c == nil {
		c = &counted{}
		p.counts[o.Topic.Channel] = c
	}
	if c.pending != nil {
		v.drop = append(v.drop, *c.pending)
	}
	c.pending = &o
	p.wait(c.last.Add(countInterval))
}

// wait notes when something is due.
func (p *pace) wait(until time.Time) {
	if p.next.IsZero() || until.Before(p.next) {
		p.next = until
	}
}

// pass takes what is due, and returns when the next will be; zero = nothing waits.
func (p *pace) pass(now time.Time, v *verdict) (next time.Time) {
	if p.next.IsZero() || now.Before(p.next) {
		return p.next
	}
	p.next = time.Time{}
	p.release(v, func(o hub.Occurrence) bool { return !now.Before(due(o)) })
	for _, o := range p.held {
		p.wait(due(o))
	}
	for channel, c := range p.counts {
		at := c.last.Add(countInterval)
		switch {
		case c.pending != nil && !now.Before(at):
			v.tell = append(v.tell, *c.pending)
			c.pending, c.last = nil, now
			p.wait(now.Add(countInterval)) // until it can be forgotten
		case c.pending != nil || now.Before(at):
			p.wait(at)
		default:
			delete(p.counts, channel)
		}
	}
	return p.next
}

// release tells held departures, oldest first.
func (p *pace) release(v *verdict, is func(hub.Occurrence) bool) {
	var over []hub.Occurrence
	for of, o := range p.held {
		if is(o) {
			over = append(over, o)
			delete(p.held, of)
		}
	}
	slices.SortFunc(over, func(a, b hub.Occurrence) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return int(b.Kind) - int(a.Kind) // members go before their channel is vacated
	})
	v.tell = append(v.tell, over...)
}
