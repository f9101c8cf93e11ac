// Package redisbus is the hub's Bus and State over Redis: what one node knows,
// all know, in one order, whoever dies.
//
// Channels are spread over partitions, each of which is one hash slot of a Redis
// Cluster: its counters, rosters and log are changed by scripts that publish the
// change in the same step. Read lua/common.lua for what is true in Redis,
// outgoing.go and lane.go for how changes go out, incoming.go and feed.go for how
// messages come, server.go and partition.go for what is done when Redis fails, and
// pulse.go for life and death of nodes.
package redisbus
