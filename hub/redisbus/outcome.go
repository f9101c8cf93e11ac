package redisbus

import (
	"errors"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// outcome is what became of a script that was sent to Redis.
type outcome uint8

const (
	done        outcome = iota // it was carried out
	refusedNode                // it has done nothing: the node is late, dead or unknown in Redis's eyes
	notLoaded                  // it was not carried out: Redis does not have it
	notDone                    // it was not carried out: Redis refused it, or it was never sent
	broken                     // it has failed, and would fail again
	unknown                    // it was sent, and not answered
)

// refusals are the first words of the errors with which Redis refuses a command
// before it has any effect. Within a script that holds because every script
// writes before it publishes, and only the first write can be refused.
var refusals = []string{
	"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN", "BUSY", "UNBLOCKED",
	"OOM", "MISCONF", "NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM", "max number of clients", "ERR max number of clients",
}

// outcomeOf reads an answer.
func outcomeOf(reply []any, err error) outcome {
	switch {
	case err == nil && len(reply) > 0 && refused(reply):
		return refusedNode
	case err == nil:
		return done
	case neverSent(err):
		return notDone
	case !isReply(err):
		return unknown
	}
	// A command that fails inside of a script is told behind the script's own words.
	message := strings.TrimPrefix(err.Error(), "ERR ")
	if strings.HasPrefix(message, "NOSCRIPT") {
		return notLoaded
	}
	for _, word := range refusals {
		if strings.HasPrefix(message, word) {
			return notDone
		}
	}
	return broken
}

// neverSent says that there was no connection to send by.
func neverSent(err error) bool {
	if errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed) {
		return true
	}
	dial := (*net.OpError)(nil)
	return errors.As(err, &dial) && dial.Op == "dial" || err.Error() == "redis: cluster has no nodes"
}

// refused says that a script has done nothing, for reasons of the node.
func refused(reply []any) bool {
	return reply[0] == answeredLate || reply[0] == answeredFenced || reply[0] == answeredUnknown
}

// isReply says that an error is what Redis has answered.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// answerOf returns a script's answer, which is an array with a word first.
func answerOf(c *redis.Cmd) ([]any, error) {
	reply, err := c.Slice()
	if err != nil {
		return nil, err
	}
	if len(reply) == 0 {
		return nil, errMalformed
	}
	return reply, nil
}
