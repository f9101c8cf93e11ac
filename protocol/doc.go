// Package protocol holds the words of the Pusher Channels protocol: channel
// names, commands, events, errors, signatures and request bodies, and the
// WebSocket frames that carry them, compressed or not. It has no goroutines,
// clocks or I/O.
package protocol
