package redisbus

import (
	"time"

	"channels/hub"
)

// topic is what a partition knows of a hub.Topic that the node listens to. The
// partition's lock guards it.
type topic struct {
	name     hub.Topic
	channel  string // of Redis
	receiver hub.Receiver
	wanted   bool
	idle     time.Time // since when it has no receiver
	state    subscription
	initial  bool // its confirmation counts for the partition's catching up
	old      bool // it was confirmed by an earlier connection, so it may have missed something
	waiting  []waitingFollow
	joining  []joining
	floor    uint64  // what came up to here came before anybody was told of the channel
	last     uint64  // the last message
	roster   *roster // nil where it does not matter who is there
}

// waitingFollow is somebody who waits for a topic's confirmation.
type waitingFollow struct {
	until time.Time
	done  func(error)
}

// reset forgets who was on the channel, after messages were lost.
func (t *topic) reset() {
	if t.roster != nil {
		t.roster = new(roster)
	}
}

// lose tells the receiver that it may have missed something. It says whether there
// was one.
func (t *topic) lose() bool {
	t.reset()
	if t.receiver == nil {
		return false
	}
	t.receiver.Lost()
	return true
}

// place is the place in the order of what was handed on last.
func (t *topic) place() uint64 { return max(t.last, t.floor) }

// news is what the sockets have to be told. Announcements get their numbers later,
// unless they have one.
func (t *topic) news(seq uint64, b bulletin) []hub.Message {
	switch b.kind {
	case enteredKind, leftKind:
		if t.roster == nil {
			return []hub.Message{b.message(t.name, 0)}
		}
		place, handed := t.roster.hear(announcement{seq: seq, kind: b.kind, user: b.user, info: member(b.user, b.rest).Info})
		if !handed {
			return nil
		}
		return []hub.Message{b.message(t.name, place)}
	case sumKind:
		return nil
	case bundleKind:
		messages := make([]hub.Message, len(b.bundle))
		for i, one := range b.bundle {
			messages[i] = one.message(t.name, seq-uint64(len(b.bundle)-1-i))
		}
		return messages
	case eventKind, terminateKind, countKind, wakeKind:
	}
	return []hub.Message{b.message(t.name, seq)}
}
