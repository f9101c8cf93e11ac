package hub

import (
	"log/slog"
	"time"
)

// ClientEventData says how the data of client events is relayed.
type ClientEventData string

const (
	// ClientEventString relays data as a JSON string, whatever the sender used:
	// every SDK can read that.
	ClientEventString ClientEventData = "string"
	// ClientEventRaw relays the sender's JSON value as it is.
	ClientEventRaw ClientEventData = "raw"
)

// App holds the settings of one app. It does not change after the hub has
// started. The zero value is of no use; start from DefaultApp.
type App struct {
	ID     string // appears in REST paths
	Key    string // public; appears in socket URLs
	Secret string // signs everything; never logged

	// OtherSecrets are accepted as well, so that a secret can be changed while
	// publishers still sign with the one before; never logged.
	OtherSecrets []string

	Disabled bool // refuse sockets with 4003 and requests with 403
	ForceTLS bool // refuse plain sockets with 4000

	ClientEvents            bool            // relay client- events
	ClientEventData         ClientEventData // form of their data
	SubscriptionCountEvents bool            // send pusher_internal:subscription_count
	Watchlists              bool            // tell users who of their watchlist is online

	AuthorizedConnections bool          // close sockets that stay unauthorized, with 4009
	AuthorizedTimeout     time.Duration // how long they may

	MaxConnections           int      // sockets at once; 0 = no limit
	MaxChannelsPerConnection int      // channels that one connection subscribes to; 0 = no limit
	AllowedOrigins           []string // Origin headers that may connect; empty = any
	MaxEventBytes            int      // data of one event, in bytes
	MaxChannelsPerEvent      int      // channels of one trigger
	MaxBatch                 int      // events of one batch
	MaxPresenceMembers       int      // distinct users of a presence channel
	MaxPresenceMemberBytes   int      // channel_data of one member, in bytes
	ClientEventsPerSecond    int      // per connection; 0 = no limit
	EventsPerSecond          int      // published over REST; 0 = no limit

	// CommandsPerSecond is how many messages of a client are handled, client
	// events among them; 0 = no limit. What a client subscribes to after a
	// reconnect passes at once. One that sends more is read more slowly, and loses
	// nothing.
	CommandsPerSecond int

	// CompressionMin is the size in bytes from which an event is compressed for
	// the clients that can read that; 0 = never.
	CompressionMin int

	Webhooks []Webhook // who is told of what occurs

	History History // which events are kept

	// Resume is for how long a client with a token may be away and then be given what it
	// has missed; 0 = no client is.
	Resume time.Duration

	// PresenceGrace is for how long a member of a presence channel is kept whose connection
	// has broken, so that nobody is told that he has gone and come again.
	PresenceGrace time.Duration

	ActivityTimeout time.Duration // silence after which either side sends a ping
	CacheTTL        time.Duration // life of a cache channel's last event
}

// DefaultApp returns the defaults, without credentials.
func DefaultApp() App {
	return App{
		ClientEvents:             true,
		ClientEventData:          ClientEventString,
		Watchlists:               true,
		AuthorizedTimeout:        30 * time.Second,
		MaxEventBytes:            10240,
		MaxChannelsPerEvent:      100,
		MaxBatch:                 10,
		MaxPresenceMembers:       100,
		MaxPresenceMemberBytes:   1024,
		ClientEventsPerSecond:    10,
		CommandsPerSecond:        100,
		MaxChannelsPerConnection: 300,
		CompressionMin:           1024,
		History:                  History{Age: 10 * time.Minute, Bytes: 256 << 10, Total: 256 << 20},
		ActivityTimeout:          120 * time.Second,
		CacheTTL:                 30 * time.Minute,
	}
}

// CheckSecrets returns nil if a check of a signature passes with one of the app's
// secrets, else the error of the check with the first. Any goroutine may call it.
func (a *App) CheckSecrets(check func(secret string) error) error {
	err := check(a.Secret)
	for _, other := range a.OtherSecrets {
		if err == nil {
			return nil
		}
		if check(other) == nil {
			return nil
		}
	}
	return err
}

// LogValue shows the app in logs without its secret.
func (a App) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", a.ID), slog.String("key", a.Key))
}
