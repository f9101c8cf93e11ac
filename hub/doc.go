// Package hub is the engine of the server: connections, channels, presence,
// client events, caches and fan-out, for any number of apps.
//
// It knows nothing of HTTP, of WebSocket libraries or of Redis. What it needs
// from the outside it declares as small interfaces: Socket (one client's
// transport), Bus (carries events in one order per channel) and State (what
// must be true on every node). Bus and State are asynchronous and can fail;
// Memory implements both for a single node.
//
// Every connection belongs for life to one worker, a goroutine that owns the
// connection's subscriptions and the subscriber lists that it is in, so the path
// of an event takes no lock around them.
//
// Everything that holds bytes until they are delivered is counted, for the node
// and for each app (ledger), and worked off in bounded pieces (worker). A channel
// waits for subscribers that are behind but read (hold), so that publishers reach
// their bound before such a client is closed.
//
// See docs/architecture.md for the walks of a publish, a subscribe and a client's
// frame.
package hub
