//go:build conformance

// Package conformance starts the built server on a free port and speaks to it
// only from outside, through unmodified clients and raw sockets, to show that
// it behaves as the hosted service does.
package conformance
