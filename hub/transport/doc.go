// Package transport is one client's connection, whatever carries it: the
// WebSocket handshake, the reading of what the client sends, and the queue of
// what it is to get.
//
// A session is one client. It has a line, which is the descriptor, and an outbox,
// which is what the client is to get. Over TLS, a port lies between the two.
package transport
