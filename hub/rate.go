package hub

import (
	"hash/maphash"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// bucket is a token bucket in eight bytes: the time at which it is full again,
// since the hub's start. There is one in every connection.
type bucket time.Duration

// take takes a token, or returns how long there is none.
func (b *bucket) take(now time.Duration, perSecond, burst int) (wait time.Duration) {
	each := time.Second / time.Duration(perSecond)
	full := max(time.Duration(*b), now) + each
	if over := full - now - each*time.Duration(burst); over > 0 {
		return over
	}
	*b = bucket(full)
	return 0
}

const (
	// commandBurst is how many commands a client may send at once beside the
	// subscribes to all of its channels.
	commandBurst = 100
	// commandPause is how long a client waits at least that sends too many, so
	// that it takes a few wake-ups a second.
	commandPause = 100 * time.Millisecond
)

// takeCommand counts a command. A client that sends too many is read as fast as
// it may send, and loses nothing: SDKs do not repeat a subscribe that was refused.
func (c *Conn) takeCommand() (wait <-chan struct{}) {
	perSecond := c.app().CommandsPerSecond
	if perSecond <= 0 {
		return nil
	}
	burst := max(perSecond, c.app().MaxChannelsPerConnection+commandBurst)
	over := c.commands.take(c.hub.now(), perSecond, burst)
	if over == 0 {
		return nil
	}
	again := make(chan struct{})
	time.AfterFunc(max(over, commandPause), func() { close(again) })
	return again
}

// allowClientEvent counts a client event.
func (c *Conn) allowClientEvent() bool {
	perSecond := c.app().ClientEventsPerSecond
	if perSecond <= 0 {
		return true
	}
	if c.clientEvents == nil || c.clientEvents.Burst() != perSecond {
		c.clientEvents = rate.NewLimiter(rate.Limit(perSecond), perSecond)
	}
	return c.clientEvents.Allow()
}

// asked is to which channels a connection may be subscribed, as far as its
// transport's goroutine knows: those that it has asked for and not left. It keeps
// client events for others from being copied. The worker knows for certain.
type asked struct {
	names   []uint32 // hashes
	unknown bool     // there were too many to remember
}

// maxAsked bounds what a connection remembers, as a multiple of its channels.
const maxAsked = 2

func (a *asked) add(name uint32, limit int) {
	switch {
	case a.unknown || slices.Contains(a.names, name):
	case limit > 0 && len(a.names) >= maxAsked*limit:
		*a = asked{unknown: true}
	default:
		a.names = append(a.names, name)
	}
}

func (a *asked) remove(name uint32) {
	if i := slices.Index(a.names, name); i >= 0 {
		last := len(a.names) - 1
		a.names[i] = a.names[last]
		a.names = a.names[:last]
	}
}

func (a *asked) has(name uint32) bool { return a.unknown || slices.Contains(a.names, name) }

// hash returns what asked remembers of a channel's name.
func (h *Hub) hash(name []byte) uint32 { return uint32(maphash.Bytes(h.registry.seed, name)) }
