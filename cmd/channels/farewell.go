package main

import "time"

// longestFarewell is how long peers have at most to make their last requests. A
// tenth of a second was too short: where all stood still for as long, a connection
// that had not been used meanwhile was used again just when it was closed.
const longestFarewell = time.Second

// lastTaken is how long connects that are made already may wait to be taken.
const lastTaken = 500 * time.Millisecond

// sayFarewell ends the connections on which proxies and SDKs make one request after
// the other. Closing such a connection may cross with a request that is on its way,
// which then fails. So the node, whose answers have ended their connections since
// it drains, refuses new connects, which has a proxy try the next node, and gives
// the connections that are left a moment. It blocks for a fifth of the grace period
// at most, or a little more, and not at all where nobody has made a request.
//
// To close a listener resets the connections that nobody has taken from it yet, on
// which a request may have come. So no connect comes any more when it is closed.
func sayFarewell(l *listeners, served bool, grace time.Duration) {
	if !served {
		_ = l.public.Close()
		return
	}
	takeTheLast(l.tcp)
	_ = l.public.Close()
	time.Sleep(min(grace/5, longestFarewell))
}
