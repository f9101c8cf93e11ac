// Loadtest measures servers that speak the Pusher Channels protocol, from
// outside: how fast they deliver, whether they lose, double or reorder, and what
// it costs them.
package main
