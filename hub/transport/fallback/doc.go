// Package fallback carries clients over plain HTTP requests, as pusher-js does
// where WebSockets fail: one request brings what the client is to get, in a stream
// (xhr_streaming) or up to the next message (xhr), and others take what it sends
// (xhr_send).
//
// A session is one client. It has a queue of what the client is to get, and at
// most one receiver, which is the request that brings it.
package fallback
