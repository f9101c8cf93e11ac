package account

import "slices"

// Tally is what a group of subscribers has received, in a form that can be sent
// and added to others.
type Tally struct {
	Expected   int64 // confirmed publications × subscribers that were acknowledged before them and stayed
	Received   int64 // those of Expected that came
	Unsure     int64 // came, of publications without an answer
	Refused    int64 // came, of publications that were refused
	Extra      int64 // came to sockets that were acknowledged too late, or closed later
	Duplicates int64
	Foreign    int64

	Arrivals []Arrival // by ID
	Late     []Late
}

// Late counts how often a publication came after a later one of its channel.
type Late struct {
	Channel, Seq uint32
	Highest      uint32 // Seq of the latest that had come before
	Count        int64
}

// Settle compares what was published with what was received.
func (r *Receipts) Settle(pubs []Publication) Tally {
	books := newBooks(pubs)
	t := Tally{Duplicates: r.Duplicates, Foreign: r.Foreign}
	for _, s := range r.subscribers {
		if int(s.Channel) < len(books) {
			books[s.Channel].settle(s, &t)
		}
	}
	t.Arrivals = slices.Clone(r.arrivals[:min(len(r.arrivals), len(pubs))])
	for l, n := range r.late {
		t.Late = append(t.Late, Late{l.channel, l.seq, l.highest, n})
	}
	return t
}

// Add adds another group.
func (t *Tally) Add(o Tally) {
	t.Expected += o.Expected
	t.Received += o.Received
	t.Unsure += o.Unsure
	t.Refused += o.Refused
	t.Extra += o.Extra
	t.Duplicates += o.Duplicates
	t.Foreign += o.Foreign
	if len(o.Arrivals) > len(t.Arrivals) {
		t.Arrivals = append(t.Arrivals, make([]Arrival, len(o.Arrivals)-len(t.Arrivals))...)
	}
	for id, a := range o.Arrivals {
		t.Arrivals[id] = t.Arrivals[id].plus(a)
	}
	t.Late = append(t.Late, o.Late...)
}

// Lost returns how many expected deliveries did not come.
func (t *Tally) Lost() int64 { return t.Expected - t.Received }

func (a Arrival) plus(b Arrival) Arrival {
	switch {
	case a.Count == 0:
		return b
	case b.Count == 0:
		return a
	}
	return Arrival{First: min(a.First, b.First), Last: max(a.Last, b.Last), Count: a.Count + b.Count}
}

// book is what was published on one channel.
type book struct {
	starts                     []int64 // by Seq, ascending
	confirmed, unsure, refused bitset
}

func newBooks(pubs []Publication) []book {
	var books []book
	for _, p := range pubs {
		for int(p.Channel) >= len(books) {
			books = append(books, book{})
		}
		b := &books[p.Channel]
		b.starts = append(b.starts, p.Start)
		if !p.Measured {
			continue
		}
		switch p.Outcome {
		case Confirmed:
			b.confirmed.add(p.Seq)
		case Refused:
			b.refused.add(p.Seq)
		case Pending, Unsure:
			b.unsure.add(p.Seq)
		}
	}
	return books
}

func (b *book) settle(s *Subscriber, t *Tally) {
	t.Unsure += s.seen.from0(b.unsure)
	t.Refused += s.seen.from0(b.refused)
	came := s.seen.from0(b.confirmed)
	if s.Gone || s.Acked == 0 {
		t.Extra += came
		return
	}
	// The first whose request began after the acknowledgement.
	first, _ := slices.BinarySearch(b.starts, s.Acked+1)
	received := s.seen.common(b.confirmed, uint32(first))
	t.Expected += b.confirmed.from(uint32(first))
	t.Received += received
	t.Extra += came - received
}

func (b bitset) from0(other bitset) int64 { return b.common(other, 0) }
