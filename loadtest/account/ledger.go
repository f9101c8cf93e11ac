package account

import "sync"

// Outcome is what is known of a publication.
type Outcome uint8

// Outcomes of a publication.
const (
	Pending   Outcome = iota // its request has no answer yet
	Confirmed                // 200
	Refused                  // another answer: nobody should receive it
	Unsure                   // no answer: anybody may have received it
)

// Publication is one event and its request. Times are those of Clock.
type Publication struct {
	Channel  uint32
	Seq      uint32
	Intended int64
	Start    int64 // when its request began
	Done     int64 // when its answer was there
	Outcome  Outcome
	Measured bool // false during the warm-up
}

// Ledger lists the publications of a run in the order in which their requests
// began: a publication's ID is its place. It may be used by many at once.
type Ledger struct {
	mu   sync.Mutex
	pubs []Publication
	next []uint32 // by channel
}

// NewLedger makes a ledger for a number of channels.
func NewLedger(channels int) *Ledger { return &Ledger{next: make([]uint32, channels)} }

// Begin enters a publication whose request begins now. It was to begin at
// intended, or is on no schedule if that is 0; it counts if it was to begin at
// from or later. now is called under the ledger's lock, so that the order of
// entries is that of their starts.
func (l *Ledger) Begin(channel uint32, intended, from int64, now func() int64) Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := now()
	if intended == 0 {
		intended = start
	}
	m := Mark{ID: uint32(len(l.pubs)), Channel: channel, Seq: l.next[channel], Intended: intended}
	l.next[channel]++
	l.pubs = append(l.pubs, Publication{
		Channel: channel, Seq: m.Seq, Intended: intended, Start: start, Measured: intended >= from,
	})
	return m
}

// End enters what became of a publication.
func (l *Ledger) End(id uint32, at int64, o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pubs[id].Done, l.pubs[id].Outcome = at, o
}

// Publications returns all that was entered so far. Those without an answer are
// unsure.
func (l *Ledger) Publications() []Publication {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Publication, len(l.pubs))
	for i, p := range l.pubs {
		if p.Outcome == Pending {
			p.Outcome = Unsure
		}
		all[i] = p
	}
	return all
}
