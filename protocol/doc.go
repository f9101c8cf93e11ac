// Package protocol holds the words of the Pusher Channels protocol: channel
// names, commands, events, errors, signatures and request bodies. It is made of
// pure functions, without goroutines, clocks or I/O.
package protocol
