package account

// Subscriber is one subscription of one socket, and what came over it. It
// belongs to one Receipts.
type Subscriber struct {
	Channel uint32
	Acked   int64 // when its acknowledgement came, by Clock; 0 before
	Gone    bool  // it was closed, by whomever: nothing more is expected

	seen    bitset // Seq of what came
	highest int64  // Seq of the highest, -1 before the first
}

// NewSubscriber makes the subscriber of a channel.
func NewSubscriber(channel uint32) *Subscriber { return &Subscriber{Channel: channel, highest: -1} }

// late is a publication that came after a later one.
type late struct{ channel, seq, highest uint32 }

// Arrival is when a publication was received first and last, and how often.
type Arrival struct {
	First, Last int64 // by Clock, 0 if never
	Count       int64
}

// Receipts notes what a group of subscribers receives. It is not safe for
// concurrent use.
type Receipts struct {
	Duplicates int64
	Foreign    int64 // events of other channels, or without an acknowledgement

	subscribers []*Subscriber
	arrivals    []Arrival // by ID
	late        map[late]int64
}

// Add adds a subscriber.
func (r *Receipts) Add(s *Subscriber) { r.subscribers = append(r.subscribers, s) }

// Receive notes that a subscriber got a publication. It tells whether this was
// the first time.
func (r *Receipts) Receive(s *Subscriber, m Mark, at int64) bool {
	if m.Channel != s.Channel {
		r.Foreign++
		return false
	}
	if !s.seen.add(m.Seq) {
		r.Duplicates++
		return false
	}
	if int64(m.Seq) < s.highest {
		if r.late == nil {
			r.late = map[late]int64{}
		}
		r.late[late{m.Channel, m.Seq, uint32(s.highest)}]++
	} else {
		s.highest = int64(m.Seq)
	}
	r.arrived(m.ID, at)
	return true
}

func (r *Receipts) arrived(id uint32, at int64) {
	if int(id) >= len(r.arrivals) {
		grown := make([]Arrival, max(int(id)+1, 2*len(r.arrivals)))
		copy(grown, r.arrivals)
		r.arrivals = grown
	}
	a := &r.arrivals[id]
	if a.Count == 0 {
		a.First = at
	}
	a.Last = max(a.Last, at)
	a.Count++
}
