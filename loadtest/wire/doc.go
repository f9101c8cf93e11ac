// Package wire is the client's side of a WebSocket connection, made for reading
// many of them cheaply: the handshake, and frames in buffers.
package wire
