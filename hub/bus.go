package hub

import (
	"errors"
	"time"
)

// ErrUnavailable is what a Bus or a State answers when its backend is known to be
// out of reach, or has not taken something in time. An event whose Publish is
// answered so reaches nobody, now or later. A Join or a Leave may still take effect
// once the backend is back, in its place.
var ErrUnavailable = errors.New("the cluster's backend is out of reach")

// Topic is a channel of an app, to which messages are published.
type Topic struct {
	App     string // the app's id
	Channel string
}

// Message is one event for the subscribers of a channel, or a signal for the nodes,
// or both.
type Message struct {
	Topic    Topic
	Seq      uint64        // sequence number in the topic; set by the Bus
	Frame    []byte        // the whole WebSocket frame; nobody changes it
	Exclude  string        // socket id that does not get it; "" = none
	CacheFor time.Duration // > 0: it is the channel's cached event for so long
	Keep     *History      // how it is put into the channel's history; nil = it is not
	Once     *Part         // is published only if it was not before; nil = in any case
	Occurs   *Occurrence   // is noted in one step with publishing; nil = nothing is

	Signal Signal
	User   string // id of the user whom the signal is about
}

// Signal tells the nodes that follow a topic of a change.
type Signal uint8

// Signals.
const (
	NoSignal  Signal = iota
	Entered          // a connection of the user has joined the channel, the first over all nodes
	Left             // a connection of the user has left it, the last over all nodes
	Terminate        // close the user's connections; the State remembers it, see Join.Opened
)

// announces says that the signal is an announcement: who is on a channel has
// changed.
func (s Signal) announces() bool { return s == Entered || s == Left }

// Receiver gets the messages of a topic. Its methods do not block.
type Receiver interface {
	// Receive takes the next message of the topic. Calls for one topic come one
	// after the other, in the order of Seq.
	Receive(m Message)
	// Lost says that messages may have been missed for good: whoever needs every
	// one has to start afresh, and to join the topic again. A receiver whose topic this
	// node has joined gets every message that the Bus took since, or Lost.
	Lost()
}

// Bus carries messages to every node that follows their topic, also to the one that
// publishes. Its methods return at once. Follow and Publish call done once, on any
// goroutine, before they return or later.
type Bus interface {
	// Follow gives the topic's messages to r, which replaces an earlier receiver.
	// After done(nil), all that is published arrives.
	Follow(t Topic, r Receiver, done func(error))
	// Unfollow ends that if r is still the topic's receiver. A message may still
	// arrive afterwards.
	Unfollow(t Topic, r Receiver)
	// Publish gives m the topic's next sequence number and carries it. All
	// receivers of a topic get its messages in one order. done(nil): the bus has
	// it. ErrUnavailable: it reaches nobody. Any other error: it may reach them.
	Publish(m Message, done func(error))
	// Err is nil while the bus works for at least one topic, as far as it knows.
	Err() error
	// TopicErr is nil while the bus works for a topic, as far as it knows.
	// Otherwise it is ErrUnavailable, and Publish fails with the same.
	TopicErr(t Topic) error
}
