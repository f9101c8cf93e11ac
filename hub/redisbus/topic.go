package redisbus

import (
	"time"

	"channels/hub"
	"channels/protocol"
)

// linger is how long a topic is listened to after its receiver has gone, since
// many come back.
const linger = 5 * time.Second

// topic is what a feed knows of a hub.Topic that it listens to. The feed's lock
// guards it.
type topic struct {
	name     hub.Topic
	channel  string // of Redis
	part     *part
	receiver hub.Receiver // nil while it lingers
	idle     time.Time    // since when it does
	wanted   bool         // subscribed, or to be
	asked    int          // subscribes sent that Redis has not confirmed
	dropped  int          // unsubscribes
	first    *line        // the connection that has confirmed it first
	initial  bool         // its first confirmation counts for the partition's catching up
	waiting  []waiter     // for the confirmation
	last     uint64       // the last message
	roster   *roster      // nil where it does not matter who is there
}

// waiter is somebody who follows a topic.
type waiter struct {
	until time.Time
	done  func(error)
}

// confirmed says that whatever is published from now on arrives.
func (t *topic) confirmed() bool { return t.wanted && t.asked == 0 }

// reset forgets who was on the channel, after messages were lost.
func (t *topic) reset() {
	if t.roster != nil {
		t.roster = new(roster)
	}
}

// deliver hands a message on, if it is newer than the last.
func (t *topic) deliver(seq uint64, body string) error {
	if seq <= t.last {
		return nil
	}
	b, err := parseBody(body)
	if err != nil {
		return err
	}
	t.last = seq
	for _, m := range t.news(seq, b) {
		if t.receiver != nil {
			t.receiver.Receive(m)
		}
	}
	return nil
}

// news is what the sockets have to be told.
func (t *topic) news(seq uint64, b bulletin) []hub.Message {
	switch b.kind {
	case rosterKind:
		if t.roster == nil {
			return nil
		}
		return t.roster.replace(t.name, seq, b.members)
	case enteredKind, leftKind:
		a := announcement{seq: seq, kind: b.kind, user: b.user, info: member(b.user, b.rest).Info}
		if t.roster != nil && !t.roster.hear(a) {
			return nil
		}
	case eventKind, terminateKind, countKind:
	}
	return []hub.Message{b.message(t.name, seq)}
}

// part is a feed's view of a partition. While it catches up after a break, what
// comes is kept.
type part struct {
	index   int
	mark    uint64 // up to here nothing is missing
	ready   bool
	pending int // topics whose confirmation it waits for
	ahead   []arrival
	bytes   int // of ahead
}

// arrival is a message that came.
type arrival struct {
	channel string // of Redis
	seq     uint64
	body    string
}

// maxAhead is what a partition may keep while it catches up, in bytes.
const maxAhead = 16 << 20

// learn notes the roster that a subscriber is answered, and returns it whole.
func (f *feed) learn(name hub.Topic, joined hub.Joined, partial bool) []protocol.Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[f.channelOf(name)]
	if t == nil || t.roster == nil {
		return joined.Members
	}
	t.roster.start(joined.Seq, joined.Members)
	if partial {
		return t.roster.complete(joined.Members)
	}
	return joined.Members
}
