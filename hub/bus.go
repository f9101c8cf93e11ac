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

// Topic is what messages are about: a channel of an app.
type Topic struct {
	App     string // the app's id
	Channel string
}

// Message is one event on its way to the subscribers of a channel.
type Message struct {
	Topic    Topic
	Seq      uint64        // the message's place in its channel; set by the Bus
	Frame    []byte        // the whole server frame; nobody changes it
	Exclude  string        // socket id that does not receive it; "" = none
	CacheFor time.Duration // > 0: the channel's cached event from now on, for so long

	Signal Signal // what the message means to the nodes themselves
	User   string // whom the signal is about
}

// Signal says what a message is beside an event.
type Signal uint8

// Signals.
const (
	NoSignal  Signal = iota
	Entered          // the user's first connection anywhere has joined the channel
	Left             // the user's last one has left it
	Terminate        // the user's connections are to be closed; the State remembers it, see Join.Opened
)

// announces says that the signal is an announcement: who is on a channel has
// changed.
func (s Signal) announces() bool { return s == Entered || s == Left }

// Receiver is told of the messages of a topic that it follows.
type Receiver interface {
	// Receive takes the next message of the topic. It does not block. Calls for
	// one topic come one after the other, in the order of Seq.
	Receive(m Message)
	// Lost says that messages may have been missed for good: whoever needs every
	// one has to start afresh, and to join the topic again. A receiver whose topic this
	// node has joined gets every message that the Bus took since, or Lost.
	Lost()
}

// Bus carries messages to every node that follows their topic, the sender's own
// among them. All methods return at once; the callbacks may be called before
// the method returns or later, on any goroutine, once each.
type Bus interface {
	// Follow has the topic's messages given to r, in place of an earlier
	// receiver. done(nil) confirms that whatever is published from now on
	// arrives.
	Follow(t Topic, r Receiver, done func(error))
	// Unfollow ends that, if r is still the topic's receiver. A message under way
	// may yet arrive.
	Unfollow(t Topic, r Receiver)
	// Publish gives m the channel's next sequence number and carries it. All
	// receivers of a topic see one order. done(nil): the bus has it.
	// ErrUnavailable: it reaches nobody. Any other error: it may have gone out.
	Publish(m Message, done func(error))
	// Err is nil while the bus works for any topic, as far as it knows.
	Err() error
	// TopicErr is nil while it works for a topic. Else what is published there is
	// refused with this error, which is ErrUnavailable.
	TopicErr(t Topic) error
}
