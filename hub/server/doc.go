// Package server is the public listener: it checks handshakes, and hands sockets
// to the transport and requests to the REST API.
package server
