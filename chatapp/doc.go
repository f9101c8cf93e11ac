// Package chatapp is a chat for a team: its store, its HTTP handlers and the
// relay that publishes what happens through the Pusher Channels protocol. It knows
// the protocol from the pusher-http-go SDK, but for the termination of a user's
// connections, for which the SDK has no method.
package chatapp
