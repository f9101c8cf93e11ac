package hub

import (
	"maps"
	"sync"
	"sync/atomic"

	"channels/protocol"
)

// CloseReason says why a connection ended.
type CloseReason string

// Reasons of the server.
const (
	SlowConsumer CloseReason = "slow_consumer" // its queue was over the bound
	Backend      CloseReason = "backend"       // Bus or State did not answer
	Silent       CloseReason = "silent"        // no pong
	Unauthorized CloseReason = "unauthorized"  // not authorized in time
	Quota        CloseReason = "quota"         // one connection too many for the app
	Capacity     CloseReason = "capacity"      // one connection too many for the node
	Terminated   CloseReason = "terminated"    // by the app
	Draining     CloseReason = "draining"      // the node goes away
	MissedEvents CloseReason = "missed_events" // the bus has lost something
	Refused      CloseReason = "refused"       // at the handshake
	Stale        CloseReason = "stale"         // signed in after having been open for too long
	Unread       CloseReason = "unread"        // took nothing of what was queued for the liveness limit
	AppDisabled  CloseReason = "app_disabled"  // the app was disabled
	AppRemoved   CloseReason = "app_removed"   // the app was removed
)

// Reasons of the transport; see Conn.Gone.
const (
	ClientClosed   CloseReason = "client_closed"   // by a close frame of the client
	Disconnected   CloseReason = "disconnected"    // without one: end of file or a reset
	TooLarge       CloseReason = "too_large"       // a message over the read limit
	BadFrame       CloseReason = "bad_frame"       // a frame against RFC 6455
	BadText        CloseReason = "bad_text"        // text that is not UTF-8
	Unsupported    CloseReason = "unsupported"     // a binary message
	MessageTimeout CloseReason = "message_timeout" // a message that was not finished in time
)

// End is how a connection ended.
type End struct {
	Code   protocol.Code // 1005 and 1006 as in RFC 6455, where there was none
	Reason CloseReason
}

// folded returns the end with a code of a fixed set: clients choose the codes of
// their close frames, and each one would be a label of a metric.
func (e End) folded() End {
	switch {
	case e.Code >= 1000 && e.Code <= 1011 && e.Code != 1004:
	case e.Reason != ClientClosed:
	default:
		e.Code = protocol.NoCode
	}
	return e
}

// closes counts ends. They are rare enough for a lock.
type closes struct {
	mu     sync.Mutex
	counts map[End]uint64
}

func (c *closes) add(e End) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = make(map[End]uint64)
	}
	c.counts[e.folded()]++
}

func (c *closes) snapshot() map[End]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// CountClose counts a connection that was closed before the hub had it.
func (h *Hub) CountClose(f protocol.Fault, reason CloseReason) { h.closes.add(End{f.Code, reason}) }

// usage counts what an app uses of this node.
type usage struct {
	settings atomic.Pointer[App]
	removed  atomic.Bool // the hub does not have the app any more
	quota    *quota

	held          atomic.Int64 // bytes until they are delivered; see ledger
	channels      atomic.Int64 // with subscribers here
	subscriptions atomic.Int64

	opened           atomic.Uint64
	closed           atomic.Uint64
	messagesReceived atomic.Uint64
	bytesReceived    atomic.Uint64
	resumed          atomic.Uint64 // channels that a client has come back to, and was given what it had missed
	missed           atomic.Uint64 // and those where that was not possible
	replayed         atomic.Uint64 // events

	sent []sent // by worker
}

// sent counts what one worker has given to an app's sockets. Padded, so that
// workers do not share a cache line.
type sent struct {
	messages atomic.Uint64
	bytes    atomic.Uint64
	_        [112]byte
}

// AppStats is what an app uses of this node.
type AppStats struct {
	App              *App
	Connections      int    // open now
	Opened           uint64 // ever
	Closed           uint64
	MessagesReceived uint64
	BytesReceived    uint64
	MessagesSent     uint64
	BytesSent        uint64
	Channels         int // with subscribers here
	Subscriptions    int
	HeldBytes        int // waiting to be delivered

	Resumed  uint64 // channels to which clients came back, and were given all that they had missed
	Missed   uint64 // channels to which they came back, and were told that something is missing
	Replayed uint64 // events that clients were given then
}

// Stats is what a node is doing.
type Stats struct {
	Apps         []AppStats
	MailboxBytes int            // waiting to be delivered
	Closes       map[End]uint64 // connections that ended
}

// Stats reads the counters.
func (h *Hub) Stats() Stats {
	s := Stats{Closes: h.closes.snapshot(), MailboxBytes: int(h.ledger.total.Load())}
	for _, u := range h.apps.Load().byID {
		s.Apps = append(s.Apps, u.stats())
	}
	return s
}

func (u *usage) stats() AppStats {
	s := AppStats{
		App:              u.app(),
		Closed:           u.closed.Load(),
		MessagesReceived: u.messagesReceived.Load(),
		BytesReceived:    u.bytesReceived.Load(),
		Channels:         int(u.channels.Load()),
		Subscriptions:    int(u.subscriptions.Load()),
		HeldBytes:        int(u.held.Load()),
		Resumed:          u.resumed.Load(),
		Missed:           u.missed.Load(),
		Replayed:         u.replayed.Load(),
	}
	s.Opened = u.opened.Load()
	s.Connections = int(s.Opened - s.Closed)
	for i := range u.sent {
		s.MessagesSent += u.sent[i].messages.Load()
		s.BytesSent += u.sent[i].bytes.Load()
	}
	return s
}
