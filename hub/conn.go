package hub

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"channels/protocol"
)

// Conn is one client's connection. Its transport calls Touch for every sign of
// life, Receive for every text message, one after the other, and Gone once at
// the end.
type Conn struct {
	// What a delivery looks at, side by side.
	socket Socket   // static
	usage  *usage   // static
	out    [][]byte // frames gathered for the socket; the worker's
	closed bool     // the worker's

	// Static after construction.
	id     string // the socket id
	app    *App
	hub    *Hub
	worker *worker

	seen atomic.Int64 // Unix milliseconds of the last sign of life

	// Owned by the transport's goroutine, which calls Receive.
	identity *protocol.User // who has signed in, as far as signatures say

	// Owned by the worker.
	at           int // index in worker.conns
	subs         subscriptions
	probed       time.Time // of the ping that waits for an answer; zero = none
	clientEvents *rate.Limiter
	since        time.Time // of the connection
	authorized   bool      // has signed in or subscribed to a channel that needs it
	user         *signin   // nil until signed in
}

// newSocketID returns an id in the form that every SDK checks, two numbers and
// a dot. Random, it is unique over all nodes and does not come again while a
// signature made for it could be replayed.
func newSocketID() string {
	b := make([]byte, 0, 24)
	b = strconv.AppendUint(b, uint64(rand.Uint32N(1<<31-1))+1, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, rand.Uint64N(1<<40-1)+1, 10)
	return string(b)
}

// ID returns the socket id.
func (c *Conn) ID() string { return c.id }

// Touch notes that the client has been heard of. It may be called from any
// goroutine.
func (c *Conn) Touch() { c.seen.Store(time.Now().UnixMilli()) }

func (c *Conn) lastSeen() time.Time { return time.UnixMilli(c.seen.Load()) }

// Gone says that the transport has ended, and how. The end is counted unless the
// hub has closed the connection before.
func (c *Conn) Gone(e End) {
	c.worker.put(func(w *worker) { w.gone(c, e) })
}

// Close ends the connection from the server's side with a fault.
func (c *Conn) Close(f protocol.Fault, reason CloseReason) {
	c.worker.put(func(w *worker) { w.close(c, f, reason) })
}

// Receive handles one text message, whose bytes it may overwrite and does not
// keep. What can be checked without the connection's state is checked here, on
// the transport's goroutine; the rest is the worker's.
//
// It never blocks. nil: the message has been handled. Else the client has to
// wait, and the message was not looked at: the transport stops reading from the
// client and calls Receive again, with the same message, when the channel is
// closed.
func (c *Conn) Receive(text []byte) (wait <-chan struct{}) {
	if c.hub.running.Err() != nil {
		return nil
	}
	if wait := c.worker.mailbox.full(); wait != nil {
		return wait
	}
	c.receive(text)
	return nil
}

func (c *Conn) receive(text []byte) {
	c.usage.messagesReceived.Add(1)
	c.usage.bytesReceived.Add(uint64(len(text)))
	cmd, err := protocol.Decode(text)
	if err != nil {
		c.Fail(err)
		return
	}
	switch cmd.Type {
	case protocol.Subscribe:
		c.receiveSubscribe(cmd)
	case protocol.Unsubscribe:
		name := string(cmd.Channel)
		c.worker.put(func(w *worker) { w.unsubscribe(c, name) })
	case protocol.ClientEvent:
		c.receiveClientEvent(cmd)
	case protocol.Signin:
		c.receiveSignin(cmd)
	case protocol.Ping:
		c.worker.put(func(w *worker) { w.send(c, protocol.PongFrame()) })
	case protocol.Pong: // heard of, which is all
	default:
		c.Fail(protocol.UnsupportedEvent(string(cmd.Event)))
	}
}

// Fail answers the client with an error, in its place among the other answers;
// the connection stays. A client reads the text of a protocol.Fault only.
func (c *Conn) Fail(err error) {
	frame := protocol.ErrorFrame(asFault(err))
	c.worker.put(func(w *worker) { w.send(c, frame) })
}

// asFault turns an error into words for the client. What is not a Fault is not
// theirs to read.
func asFault(err error) protocol.Fault {
	if f := (protocol.Fault{}); errors.As(err, &f) {
		return f
	}
	return protocol.Fault{Message: "Internal error"}
}

// limiter makes a token bucket of perSecond events with as much burst; nil when
// there is no limit.
func limiter(perSecond int) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), perSecond)
}

// subscriptions are a connection's channels by name. Most connections have a
// few, for which a slice takes a fraction of a map's memory.
type subscriptions struct {
	list   []*subscription
	byName map[string]*subscription // instead of list once there are many
}

// manySubscriptions is where searching a slice becomes slower than a map.
const manySubscriptions = 12

func (s *subscriptions) get(name string) *subscription {
	if s.byName != nil {
		return s.byName[name]
	}
	for _, sub := range s.list {
		if sub.channel.topic.Channel == name {
			return sub
		}
	}
	return nil
}

func (s *subscriptions) add(sub *subscription) {
	switch {
	case s.byName != nil:
		s.byName[sub.channel.topic.Channel] = sub
	case len(s.list) < manySubscriptions:
		s.list = append(s.list, sub)
	default:
		s.byName = make(map[string]*subscription, 2*manySubscriptions)
		for _, earlier := range append(s.list, sub) {
			s.byName[earlier.channel.topic.Channel] = earlier
		}
		s.list = nil
	}
}

func (s *subscriptions) remove(sub *subscription) {
	if s.byName != nil {
		delete(s.byName, sub.channel.topic.Channel)
		return
	}
	for i, other := range s.list {
		if other == sub {
			last := len(s.list) - 1
			s.list[i] = s.list[last]
			s.list[last] = nil
			s.list = s.list[:last]
			return
		}
	}
}

// len returns how many there are.
func (s *subscriptions) len() int { return len(s.list) + len(s.byName) }

// all returns a copy.
func (s *subscriptions) all() []*subscription {
	all := append([]*subscription(nil), s.list...)
	for _, sub := range s.byName {
		all = append(all, sub)
	}
	return all
}

func (s *subscriptions) clear() { *s = subscriptions{} }
