package hub

import (
	"strings"
	"time"
)

// Hooks is a set of kinds of occurrences, of which an app can be told by webhooks.
type Hooks uint8

// Kinds of occurrences.
const (
	HookOccupied      Hooks = 1 << iota // a channel has its first subscriber
	HookVacated                         // it has none any more
	HookMemberAdded                     // a user has come to a presence channel
	HookMemberRemoved                   // the user's last connection has left it
	HookClientEvent                     // a client event was published
	HookCacheMiss                       // somebody has found a cache channel empty
	HookCount                           // another number of subscribers
)

// Has says whether the set has one of some kinds.
func (h Hooks) Has(kind Hooks) bool { return h&kind != 0 }

// Webhook is an endpoint that is told of what occurs in an app. It does not change.
type Webhook struct {
	URL           string
	Hooks         Hooks             // the kinds that it is told of
	ChannelPrefix string            // of the channels that it is told of; "" = all
	Batch         bool              // several at a time
	Headers       map[string]string // that are sent, too; their values are never logged
	Timeout       time.Duration     // for its answer
}

// Wants says whether the endpoint is told of a kind of occurrence on a channel.
func (w *Webhook) Wants(kind Hooks, channel string) bool {
	return w.Hooks.Has(kind) && strings.HasPrefix(channel, w.ChannelPrefix)
}

// hooks are the kinds of occurrences on a channel that are noted: those of which somebody
// is told, and of an arrival and its departure both, since a return within the grace takes
// back both. Of the server's own channels nothing is.
func (a *App) hooks(channel string) Hooks {
	all := Hooks(0)
	if len(a.Webhooks) == 0 || strings.HasPrefix(channel, "#") {
		return 0
	}
	for i := range a.Webhooks {
		if strings.HasPrefix(channel, a.Webhooks[i].ChannelPrefix) {
			all |= a.Webhooks[i].Hooks
		}
	}
	if all.Has(HookOccupied | HookVacated) {
		all |= HookOccupied | HookVacated
	}
	if all.Has(HookMemberAdded | HookMemberRemoved) {
		all |= HookMemberAdded | HookMemberRemoved
	}
	return all
}

// Occurrence is something of which an app may be told. The State makes it, in one step
// with what it tells of; a client event's travels with the Message.
type Occurrence struct {
	ID    string // where it is kept; "" = nowhere yet
	Kind  Hooks  // one of them
	Topic Topic
	At    time.Time
	User  string // of HookMemberAdded, HookMemberRemoved, and HookClientEvent on a presence channel
	Count int    // of HookCount

	// Broken says that a departure followed from the end of a connection: the client may
	// be back soon.
	Broken bool
	// Unsettled says that a departure was noted while nodes were coming back after a loss
	// of data: whoever is meant may be with one that has not said so yet.
	Unsettled bool
	// Again says that an arrival is no news, since Redis had only forgotten it. It takes
	// back a departure, and tells nothing else.
	Again bool

	Event    string // of HookClientEvent: its name
	Data     []byte // its data, as a JSON string
	SocketID string // who has sent it
}

// Parcel is one delivery as it is kept, before its first try and until it has arrived or was
// given up. Whoever keeps it does not look into Record.
type Parcel struct {
	ID     string
	Record []byte
}

// What is kept of an app for its operator.
const (
	KeptFailed = 1000 // Parcels that were given up
	KeptRecent = 100  // tries
)

// HookChange is what becomes of Occurrences and Parcels of an app, in one go.
type HookChange struct {
	Take   []Parcel            // to be delivered
	Remove []Occurrence        // all that they tell stands in Parcels
	Told   map[string][]string // by Occurrence that is not removed yet: the endpoints that were told
	Untell []string            // Occurrences of which that is not to be known any more
	Settle []string            // Parcels that have arrived or were given up
	GiveUp []Parcel            // those that were given up, with the reason
	Recent [][]byte            // tries, for the operator
}

// hooks are those of the channel, as the app has them now.
func (ch *channel) hooks() Hooks { return ch.usage.app().hooks(ch.topic.Channel) }
