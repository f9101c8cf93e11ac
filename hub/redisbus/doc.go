// Package redisbus is the hub's Bus and State over Redis: what one node knows,
// all know, in one order, whoever dies.
//
// Channels are spread over partitions, each of which is one hash slot of a Redis
// Cluster: its counters, rosters and log are changed by scripts that publish the
// change in the same step. Read lua/ for what is true in Redis, feed.go for how
// messages come, lane.go for how changes go out, and keeper.go for life and
// death of nodes.
package redisbus
