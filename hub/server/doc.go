// Package server is the public listener: it accepts connections, checks handshakes,
// and hands clients to their transports and other requests to the REST API.
package server
