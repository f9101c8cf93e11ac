package hub

import (
	"sync/atomic"
	"time"

	"channels/protocol"
)

// channel is a channel that connections of this node subscribe to.
type channel struct {
	topic   Topic
	kind    protocol.Kind
	status  bool // a user's status channel, which no client sees
	workers []*worker

	// subscribed has a bit for every worker with subscribers. The bus reads it,
	// the workers' changes are made under the registry shard's lock.
	subscribed atomic.Uint64

	// local[i] belongs to worker i.
	local []subscribers

	// Guarded by the registry shard's lock.
	count   int            // subscriptions, of all workers
	users   map[string]int // of a presence channel: user id to subscriptions
	follow  followState
	waiting []*subscription // for the follow to be confirmed
}

var _ Receiver = (*channel)(nil)

// followState says whether the bus brings us the channel's messages.
type followState uint8

const (
	following followState = iota // asked for
	followed                     // confirmed
	abandoned                    // nobody is left; this object is out of use
)

// Receive hands a message to the workers that have subscribers.
func (ch *channel) Receive(m Message) {
	if ch.status {
		ch.tell(item{do: func(w *worker) { w.userSignal(ch, m) }})
		return
	}
	ch.tell(item{channel: ch, seq: m.Seq, frame: m.Frame, exclude: m.Exclude, at: time.Now()})
}

// Lost makes the subscribers reconnect, since they may have missed something.
func (ch *channel) Lost() {
	ch.tell(item{do: func(w *worker) {
		for _, sub := range ch.local[w.index].all() {
			w.close(sub.conn, protocol.Reconnect(), MissedEvents)
		}
	}})
}

func (ch *channel) tell(it item) {
	set := ch.subscribed.Load()
	for i := 0; set != 0; i, set = i+1, set>>1 {
		if set&1 != 0 {
			ch.workers[i].mailbox.put(it)
		}
	}
}

// subscription is a connection's place on a channel. It belongs to the
// connection's worker.
type subscription struct {
	conn    *Conn
	channel *channel
	member  *protocol.Member // on a presence channel
	at      int              // index in subscribers.joining or .conns
	stage   stage

	answered func(*worker, Joined, error) // instead of an acknowledgement, on a status channel

	// While joining: what has arrived, from where on it counts, and the client's
	// commands that wait.
	held      []held
	heldBytes int
	from      uint64
	queued    []func(*worker)

	joined bool // the State has been told; guarded by the registry shard's lock
}

// stage is how far a subscription has come.
type stage uint8

const (
	pending stage = iota // messages are held until the State has answered
	settled              // acknowledged; messages up to from are not for it
	active               // gets everything
	left                 // over
)

// held is a message that came before the acknowledgement.
type held struct {
	seq   uint64
	frame []byte
}

// subscribers are one worker's subscriptions to a channel. Those that get every
// message stand in conns, a plain slice, since the loop over it is what the
// server spends its life in. The others still look at sequence numbers.
type subscribers struct {
	conns   []*Conn         // of the active ones
	subs    []*subscription // the active ones, index by index
	joining []*subscription // pending or settled
}

func (s *subscribers) add(sub *subscription) {
	sub.at = len(s.joining)
	s.joining = append(s.joining, sub)
}

// activate moves a subscription among those that get everything.
func (s *subscribers) activate(sub *subscription) {
	s.dropJoining(sub)
	sub.stage = active
	sub.at = len(s.conns)
	s.conns = append(s.conns, sub.conn)
	s.subs = append(s.subs, sub)
}

func (s *subscribers) remove(sub *subscription) {
	if sub.stage == active {
		s.dropActive(sub)
	} else {
		s.dropJoining(sub)
	}
	sub.stage = left
	sub.held = nil
}

func (s *subscribers) dropJoining(sub *subscription) {
	last := len(s.joining) - 1
	moved := s.joining[last]
	s.joining[sub.at], moved.at = moved, sub.at
	s.joining[last] = nil
	s.joining = s.joining[:last]
}

func (s *subscribers) dropActive(sub *subscription) {
	last := len(s.conns) - 1
	moved := s.subs[last]
	s.conns[sub.at], s.subs[sub.at], moved.at = moved.conn, moved, sub.at
	s.conns[last], s.subs[last] = nil, nil
	s.conns, s.subs = s.conns[:last], s.subs[:last]
}

func (s *subscribers) empty() bool { return len(s.conns)+len(s.joining) == 0 }

// all returns a copy, for loops that close connections.
func (s *subscribers) all() []*subscription {
	return append(append([]*subscription(nil), s.subs...), s.joining...)
}
