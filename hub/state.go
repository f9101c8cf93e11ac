package hub

import (
	"context"
	"errors"
	"time"

	"channels/protocol"
)

// ErrPresenceFull is what State.Join answers when a presence channel has no
// room for another user. Nothing was changed.
var ErrPresenceFull = errors.New("presence channel is full")

// ErrRevoked is what State.Join answers to a connection that was open when the
// user's connections were terminated. The caller takes the join back with Leave.
var ErrRevoked = errors.New("the user's connections have been terminated")

// TerminateKept is for how long a State remembers that a user's connections were
// terminated. A connection that has been open for longer cannot sign in.
const TerminateKept = 24 * time.Hour

// ErrFull is what State.Reserve answers when the app has as many connections as
// it may have. Nothing was changed.
var ErrFull = errors.New("app has no room for another connection")

// Join tells the State that a connection of this node subscribes to a channel.
type Join struct {
	Topic       Topic
	Subscribers int              // connections of this node on the channel, this one included
	Member      *protocol.Member // who it is, on a presence channel; else nil
	MaxMembers  int              // how many distinct users the channel may have; 0 = any
	Counted     bool             // the subscribers are told how many they are

	// Opened is when a connection that signs in was opened, on the user's status
	// channel; else zero. It has a monotonic reading. The State refuses the
	// connection with ErrRevoked when it was open at the topic's last Terminate.
	Opened time.Time
}

// Joined is what the subscriber must see.
type Joined struct {
	// Seq is the place in the channel's order at which the answer was true:
	// later messages come on top of it, earlier ones are contained in it.
	Seq uint64
	// Roster is the same for Members, in the order of announcements.
	Roster  uint64
	Members []protocol.Member // of a presence channel, the joiner included; not to be changed
	Cached  []byte            // the cached event's frame; nil = none
}

// Leave tells the State that a connection of this node has left a channel.
type Leave struct {
	Topic       Topic
	Subscribers int    // connections of this node that remain on the channel
	Gone        string // user who now has none on this node; "" = nobody
	Counted     bool   // the subscribers are told how many they are
}

// ChannelInfo describes an occupied channel, over all nodes.
type ChannelInfo struct {
	Name        string
	Subscribers int // connections
	Users       int // distinct users, on a presence channel
}

// Cached is a cache channel's last event.
type Cached struct {
	Frame []byte        // as it was sent
	TTL   time.Duration // what is left of its life
}

// State holds what must be true on every node: which channels are occupied, by
// how many, by whom, what they have cached, and how many connections apps have.
// What a node says about itself is absolute, so that saying it twice changes
// nothing. A change that
// subscribers must learn of is published by the State itself, in the same step:
// member_added for a user's first connection anywhere, member_removed for the
// last, and where it is asked for, pusher_internal:subscription_count: at once up
// to 100 subscribers, and every 5 seconds above that.
//
// Join and Leave wait for some seconds for a backend that is away. It knows everything
// soon after it is back, also when it has lost its data: whoever joined or left
// meanwhile is announced once, and nobody else.
//
// Join and Leave return at once, and take effect per channel in the order in
// which they were called, Reserve and Release per app; their callbacks may come
// before the method returns or later, on any goroutine, once each. The others
// block and may be called concurrently.
type State interface {
	Join(j Join, done func(Joined, error))
	Leave(l Leave, done func(error))

	// Reserve says how many connections of an app this node has now, one more
	// than before. ErrFull: over all nodes they would be more than most.
	Reserve(app string, connections, most int, done func(error))
	// Release says how many are left.
	Release(app string, connections int, done func(error))

	// Channels lists an app's occupied channels whose names start with prefix,
	// in no order.
	Channels(ctx context.Context, app, prefix string) ([]ChannelInfo, error)
	// ChannelInfos describes an app's channels by name, in the order of the
	// names; no subscribers means that a channel is vacant.
	ChannelInfos(ctx context.Context, app string, names []string) ([]ChannelInfo, error)
	// Users lists the ids of a presence channel's users, in no order.
	Users(ctx context.Context, t Topic) ([]string, error)
	// Cached returns the channel's cached event; false when there is none.
	Cached(ctx context.Context, t Topic) (Cached, bool, error)
}
