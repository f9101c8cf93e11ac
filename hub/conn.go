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
	socket   Socket      // static
	usage    *usage      // static
	out      [][]byte    // frames gathered for the socket; the worker's
	deflates bool        // static: what the socket says
	closed   bool        // the worker's
	full     atomic.Bool // the socket is over a bound; the worker sets it

	// Static after construction.
	since  time.Duration // of the connection, since the hub's start
	id     string        // the socket id
	awaits bool          // it counts for the app when it is authorized, which it must be in time
	hub    *Hub
	worker *worker

	seen atomic.Int64 // of the last sign of life, in ns since the hub's start

	// Owned by the transport's goroutine, which calls Receive.
	identity     *identity // who has signed in, as far as signatures say
	asked        asked     // channels that may be subscribed to
	commands     bucket    // all messages
	clientEvents *rate.Limiter

	// Owned by the worker.
	at        int // index in worker.conns
	subs      subscriptions
	waiting   int           // bytes of commands that wait for subscriptions
	probed    time.Duration // when the ping that has no answer was sent, or was in the queue last; 0 = none
	fullSince time.Duration // while full, by behind.clock
	user      *signin       // nil until signed in
	resume    *resumption   // nil without a token

	authorized bool // has signed in or subscribed to a channel that needs it
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

// Touch notes that the client has been heard of. Any goroutine may call it.
func (c *Conn) Touch() { c.seen.Store(int64(c.hub.now())) }

// Gone says that the transport has ended, and how. The end is counted unless the
// hub has closed the connection before.
func (c *Conn) Gone(e End) { c.worker.post(&depart{ofConn{c}, e}) }

// Close ends the connection from the server's side with a fault.
func (c *Conn) Close(f protocol.Fault, reason CloseReason) {
	c.worker.post(&closing{ofConn{c}, f, reason})
}

// Fail answers the client with an error, in its place among the other answers;
// the connection stays. A client reads the text of a protocol.Fault only.
func (c *Conn) Fail(err error) { c.refuse(AskedOther, err) }

// Receive handles one text message, whose bytes it may overwrite and does not
// keep. What can be checked without the connection's state is checked here, on
// the transport's goroutine; the rest is the worker's.
//
// It never blocks. nil: the message has been handled. Else the client has to
// wait, and the message was not looked at: the transport stops reading from the
// client and calls Receive again, with the same message, when the channel is
// closed.
func (c *Conn) Receive(text []byte) (wait <-chan struct{}) {
	if wait := c.mustWait(); wait != nil && c.hub.running.Err() == nil {
		return wait
	}
	c.usage.messagesReceived.Add(1)
	c.usage.bytesReceived.Add(uint64(len(text)))
	cmd, err := protocol.Decode(text)
	if err != nil {
		c.Fail(err)
		return nil
	}
	switch cmd.Type {
	case protocol.Subscribe:
		c.receiveSubscribe(cmd)
	case protocol.Unsubscribe:
		c.receiveUnsubscribe(cmd)
	case protocol.ClientEvent:
		c.receiveClientEvent(cmd)
	case protocol.Signin:
		c.receiveSignin(cmd)
	case protocol.Ping:
		c.worker.post(&reply{ofConn{c}, protocol.PongFrame()})
	case protocol.Pong:
		if c.resume != nil && c.resume.answers {
			c.worker.post(&confirmed{ofConn{c}})
		}
	default:
		c.Fail(protocol.UnsupportedEvent(string(cmd.Event)))
	}
	return nil
}

// Ponged is told the payload of a WebSocket pong of the client.
func (c *Conn) Ponged(payload []byte) {
	if c.resume == nil || c.resume.answers || len(payload) == 0 {
		return
	}
	if n, err := strconv.ParseUint(string(payload), 10, 32); err == nil {
		c.worker.post(&ponged{ofConn{c}, uint32(n)})
	}
}

// mustWait says why the client is not read now. nil: it is, and the message
// counts.
func (c *Conn) mustWait() <-chan struct{} {
	// A client that does not read its answers gets no more of them.
	if c.full.Load() {
		if wait := c.worker.easing.wait(); c.full.Load() {
			return wait
		}
	}
	l, m := c.hub.ledger, c.worker.mailbox
	if !l.admitsCommand(c.usage, m) {
		if wait := m.room.wait(); !l.admitsCommand(c.usage, m) {
			return wait
		}
	}
	return c.takeCommand()
}

// asFault turns an error into words for the client. What is not a Fault is not
// for clients to read.
func asFault(err error) protocol.Fault {
	if f := (protocol.Fault{}); errors.As(err, &f) {
		return f
	}
	return protocol.Fault{Message: "Internal error"}
}
