// Package transport is one client's connection, whatever carries it: the
// WebSocket handshake, the reading of what the client sends, and the queue of
// what it is to get.
package transport
