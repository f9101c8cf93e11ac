package hub

import (
	"sync/atomic"

	"channels/protocol"
)

// channel is a channel that connections of this node subscribe to.
type channel struct {
	topic  Topic
	kind   protocol.Kind
	status bool // a user's status channel, which no client sees
	hub    *Hub
	usage  *usage

	// subscribed has a bit for every worker with subscribers. The bus reads it,
	// the workers' changes are made under the registry shard's lock.
	subscribed atomic.Uint64
	deflating  atomic.Int32 // subscribers that read compressed frames
	cached     twinPointer

	// local[i] belongs to worker i; nil while it has no subscribers.
	local []*subscribers

	// Guarded by the registry shard's lock.
	count   int   // subscriptions, of all workers
	users   tally // of a presence channel: subscriptions of each user
	follow  followState
	waiting []*subscription // for the bus to confirm that it follows the channel
}

var _ Receiver = (*channel)(nil)

// followState says whether the bus brings us the channel's messages.
type followState uint8

const (
	following followState = iota // asked for
	followed                     // confirmed
	abandoned                    // this object is out of use: nobody is left, or the bus has failed
)

// Receive hands a message to the workers that have subscribers.
func (ch *channel) Receive(m Message) {
	if ch.status {
		ch.post(&userSignal{ofChannel{ch}, m.Signal, m.Seq})
		return
	}
	it := item{
		channel: ch, seq: m.Seq, frame: m.Frame, exclude: m.Exclude, tells: m.Signal.announces(),
		at: ch.hub.now(), cost: itemBytes + len(m.Frame),
	}
	if ch.deflating.Load() > 0 && ch.usage.app().compresses(len(m.Frame)) {
		it.twin = new(twin)
		it.cost += len(m.Frame)
	}
	ch.tell(&it)
}

// Lost makes the subscribers reconnect, since they may have missed something.
func (ch *channel) Lost() { ch.post(&lost{ofChannel{ch}}) }

// post has a command carried out by every worker with subscribers.
func (ch *channel) post(c command) { ch.tell(&item{cmd: c, cost: itemBytes + c.cost()}) }

func (ch *channel) tell(it *item) {
	set := ch.subscribed.Load()
	for i := 0; set != 0; i, set = i+1, set>>1 {
		if set&1 != 0 {
			ch.hub.workers[i].put(it)
		}
	}
}

// lost closes the subscribers of a channel of which messages may be missing.
func (w *worker) lost(ch *channel) {
	for _, sub := range ch.subscribersOf(w) {
		w.closeSubscriber(sub, protocol.Reconnect(), MissedEvents)
	}
}

// unfollowed closes the subscribers of a channel that the bus does not bring.
func (w *worker) unfollowed(ch *channel, err error) {
	for _, sub := range ch.subscribersOf(w) {
		w.joined(sub, Joined{}, err)
	}
}

// subscribersOf returns a copy, for loops that close connections.
func (ch *channel) subscribersOf(w *worker) []*subscription {
	local := ch.local[w.index]
	if local == nil {
		return nil
	}
	return append(append([]*subscription(nil), local.subs...), local.joining...)
}

// closeSubscriber ends the connection that has the subscription, or those that
// share it.
func (w *worker) closeSubscriber(sub *subscription, f protocol.Fault, reason CloseReason) {
	if sub.watched != nil {
		w.closeWatchers(sub.watched, f, reason)
		return
	}
	w.close(sub.conn, f, reason)
}

// subscription is a connection's place on a channel, or that of a watched user on
// the user's status channel. It belongs to a worker.
type subscription struct {
	channel *channel
	conn    *Conn            // nil of a watched user
	watched *watchedUser     // instead of conn
	member  *protocol.Member // on a presence channel
	waiting *waiting         // while pending, else nil
	from    uint64           // events up to here are not for it, until it is active
	roster  uint64           // nor are announcements up to here
	at      int32            // index in subscribers.joining or .conns
	stage   stage

	joined bool // the State has been told; guarded by the registry shard's lock
}

// stage is how far a subscription has come.
type stage uint8

const (
	pending stage = iota // messages are kept until the State has answered
	settled              // acknowledged; events up to from are not for it
	active               // gets everything
	left                 // over
)

// waiting is what waits for a pending subscription: messages that came before its
// acknowledgement, and commands of the client.
type waiting struct {
	early      []early
	earlyBytes int // of their frames
	commands   []command
	bytes      int     // that the commands hold
	replay     *replay // of what the client has missed, else nil
	signIn     *signIn // that the subscription is for
}

// early is a message that came before the acknowledgement.
type early struct {
	seq   uint64
	frame []byte
	twin  *twin // for a connection that reads it
	tells bool  // of who has come or gone
}

// earlyCost is what an early message counts in the ledger, in bytes. Its frame is
// shared with the other subscribers.
const earlyCost = 40

// subscribers are one worker's subscriptions to a channel. Those that get every
// message are in conns, a plain slice, since the loop over it is what the server
// spends its life in. The others still compare sequence numbers.
type subscribers struct {
	conns     []*Conn         // of the active ones
	hold      *hold           // nil while messages are delivered at once
	deflating int             // of conns
	resuming  int             // of all that have a token
	last      uint64          // the last event's number, while any has
	touched   bool            // is in resuming.touched of the worker
	subs      []*subscription // the active ones, index by index
	joining   []*subscription // pending or settled
}

func (s *subscribers) add(sub *subscription) {
	sub.at = int32(len(s.joining)) //nolint:gosec // connections are fewer
	s.joining = append(s.joining, sub)
	if sub.resumes() {
		s.resuming++
	}
}

// activate moves a subscription among those that get everything.
func (s *subscribers) activate(sub *subscription) {
	s.dropJoining(sub)
	sub.stage = active
	sub.at = int32(len(s.conns)) //nolint:gosec // connections are fewer
	s.conns = append(s.conns, sub.conn)
	s.subs = append(s.subs, sub)
	if sub.conn.deflates {
		s.deflating++
	}
}

func (s *subscribers) remove(sub *subscription) {
	if sub.stage == active {
		s.dropActive(sub)
	} else {
		s.dropJoining(sub)
	}
	sub.stage = left
	if sub.resumes() {
		s.resuming--
	}
}

// resumes says whether the subscription is that of a connection with a token.
func (sub *subscription) resumes() bool { return sub.conn != nil && sub.conn.resume != nil }

func (s *subscribers) dropJoining(sub *subscription) {
	last := len(s.joining) - 1
	moved := s.joining[last]
	s.joining[sub.at], moved.at = moved, sub.at
	s.joining[last] = nil
	s.joining = s.joining[:last]
	if last == 0 {
		s.joining = nil
	}
}

func (s *subscribers) dropActive(sub *subscription) {
	if sub.conn.deflates {
		s.deflating--
	}
	last := len(s.conns) - 1
	moved := s.subs[last]
	s.conns[sub.at], s.subs[sub.at], moved.at = moved.conn, moved, sub.at
	s.conns[last], s.subs[last] = nil, nil
	s.conns, s.subs = s.conns[:last], s.subs[:last]
}

func (s *subscribers) empty() bool { return len(s.conns)+len(s.joining) == 0 }
