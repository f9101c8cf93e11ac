// Package webhook tells an app's endpoints what occurs: channels that are occupied and
// vacated, members that come and go, client events, cache misses, counts.
//
// Occurrences are noted in a Store by whoever changes the state. A courier per app reads
// them, lets departures wait that a reconnect may take back (pace), puts events into
// batches, records each batch in the Store before its first try, and sends it until it has
// arrived or five minutes are over. Over several nodes one of them delivers an app's.
package webhook
