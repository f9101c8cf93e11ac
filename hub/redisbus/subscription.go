package redisbus

// subscription is what Redis knows of the node's listening to a channel, by one
// connection. One command at most is under way for a channel.
type subscription uint8

const (
	off     subscription = iota
	asked                // a subscribe is under way
	on                   // confirmed: whatever is published arrives
	leaving              // an unsubscribe is under way
)

// command is what to send to Redis.
type command uint8

const (
	nothing command = iota
	subscribe
	unsubscribe
)

// want returns what follows from the node's wanting a channel, or not.
func (s subscription) want(wanted bool) (subscription, command) {
	switch {
	case s == off && wanted:
		return asked, subscribe
	case s == on && !wanted:
		return leaving, unsubscribe
	}
	return s, nothing // what is under way comes first
}

// confirm takes a confirmation; false: nobody has asked for it.
func (s subscription) confirm(of command) (subscription, bool) {
	switch {
	case s == asked && of == subscribe:
		return on, true
	case s == leaving && of == unsubscribe:
		return off, true
	}
	return s, false
}
