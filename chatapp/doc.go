// Package chatapp is a chat for a team: its store, its HTTP handlers and the
// relay that publishes what happens through the Pusher Channels protocol, which
// it knows from the pusher-http-go SDK only.
package chatapp
