package hub

import (
	"context"
	"errors"
	"time"

	"channels/protocol"
)

// ErrPresenceFull is the error of State.Join when a presence channel has as many
// users as it may have. Nothing was changed.
var ErrPresenceFull = errors.New("presence channel is full")

// ErrRevoked is the error of State.Join for a connection that was open when the
// user's connections were terminated. The caller undoes the join with Leave.
var ErrRevoked = errors.New("the user's connections have been terminated")

// TerminateKept is how long a State remembers that a user's connections were
// terminated. A connection that has been open for longer cannot sign in.
const TerminateKept = 24 * time.Hour

// ErrFull is the error of State.Reserve when an app has as many connections as it
// may have. Nothing was changed.
var ErrFull = errors.New("app has no room for another connection")

// Join says that a connection of this node subscribes to a channel.
type Join struct {
	Topic       Topic
	Subscribers int              // connections of this node on the channel, this one included
	Member      *protocol.Member // the connection's user, on a presence channel; else nil
	MaxMembers  int              // how many users the channel may have; 0 = any number
	Counted     bool             // the State sends the subscription count to the subscribers
	Hooks       Hooks            // the occurrences that the State notes
	Placed      bool             // Joined.Seq must be no lower than any number that was given before the Join

	// Opened is when the connection was opened, with a monotonic reading. It is
	// set for a user's status channel, which a connection joins when it signs in;
	// else it is zero. The State answers ErrRevoked when the connection was open
	// at the topic's last Terminate.
	Opened time.Time
}

// Joined is the channel's state at the moment of a Join.
type Joined struct {
	// Seq is the sequence number up to which what events have changed is contained
	// in Cached. What later ones change is not.
	Seq uint64
	// Roster is the same of announcements, which have an order of their own, and
	// Members.
	Roster  uint64
	Members []protocol.Member // of a presence channel, the joiner included; not to be changed
	Cached  []byte            // the cached event's frame; nil = none
}

// Leave says that a connection of this node has left a channel.
type Leave struct {
	Topic       Topic
	Subscribers int    // connections of this node that are left on the channel
	Gone        string // id of the user who has none left on this node; "" = nobody
	Counted     bool   // the State sends the subscription count to the subscribers
	Hooks       Hooks  // the occurrences that the State notes
	Broken      bool   // because the connection has ended
}

// ChannelInfo describes a channel, over all nodes.
type ChannelInfo struct {
	Name        string
	Subscribers int // connections; 0 = the channel is vacant
	Users       int // of a presence channel, each once
}

// Cached is a cache channel's cached event.
type Cached struct {
	Frame []byte        // as it was sent
	TTL   time.Duration // until it expires
}

// State holds what is the same on every node: the subscribers and members of each
// channel, its cached event, and the number of each app's connections. A node
// always says how many it has, not how many more or fewer, so that saying it twice
// changes nothing.
//
// The State also publishes what the subscribers must learn of a change, in one step
// with it: member_added for a user's first connection over all nodes, member_removed
// for the last, and the subscription count of a channel for which that is asked: at
// once up to 100 subscribers, and every 5 seconds above that.
//
// It also notes the occurrences for which that is asked, each once over all nodes, in one
// step with the change: HookOccupied and HookVacated, HookMemberAdded and HookMemberRemoved,
// HookCount for every number, and HookCacheMiss once per channel and second.
//
// Join, Leave, Reserve and Release return at once. They call done once, on any
// goroutine, before they return or later. Joins and Leaves of one channel take effect
// in the order of the calls, and so do Reserves and Releases of one app. The other
// methods block. All may be called concurrently.
//
// Join and Leave wait for some seconds for a backend that is away. It knows everything
// soon after it is back, also when it has lost its data: whoever joined or left
// meanwhile is announced once, and nobody else.
type State interface {
	Join(j Join, done func(Joined, error))
	Leave(l Leave, done func(error))

	// Reserve says how many connections of an app this node has, a new one
	// included. ErrFull: all nodes together would have more than most.
	Reserve(app string, connections, most int, done func(error))
	// Release says how many connections of an app are left on this node.
	Release(app string, connections int, done func(error))

	// Channels returns an app's channels that have subscribers and whose names
	// start with prefix, in no order.
	Channels(ctx context.Context, app, prefix string) ([]ChannelInfo, error)
	// ChannelInfos returns an app's channels with these names, also vacant ones,
	// in the order of the names.
	ChannelInfos(ctx context.Context, app string, names []string) ([]ChannelInfo, error)
	// Users returns the ids of a presence channel's users, in no order.
	Users(ctx context.Context, t Topic) ([]string, error)
	// Claim gives a token to a connection, and says who had it and how far that had come.
	// It calls done once, on any goroutine, before it returns or later.
	Claim(t Token, owner Owner, life time.Duration, done func(Claimed, error))
	// Note keeps marks, but for those of tokens that others have claimed meanwhile. It
	// calls done once, as Claim does.
	Note(marks []Mark, done func(error))

	// Begin and Finish are those of the Hub.
	Begin(ctx context.Context, app string, o Once) (answer []byte, answered bool, err error)
	Finish(ctx context.Context, app string, o Once, answer []byte) error

	// Past reads a channel's history, of which what is older than age counts as gone.
	Past(ctx context.Context, t Topic, age time.Duration, span Span) (Past, error)
	// Erase removes the event with a number from a channel's history, or all events for
	// 0, and returns how many it has removed.
	Erase(ctx context.Context, t Topic, seq uint64) (int, error)
	// Cached returns the channel's cached event; false: there is none.
	Cached(ctx context.Context, t Topic) (Cached, bool, error)
}
