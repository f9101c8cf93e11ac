package redisbus

import (
	"github.com/redis/go-redis/v9"

	"channels/hub"
)

// Crash ends the node as a power cut would: it tells nobody.
func (b *Bus) Crash() {
	_ = b.reads.Close() // first, so that nothing can say farewell with it
	b.stop()
	for _, s := range b.router.all() {
		s.close()
		for _, f := range s.feeds {
			f.hangUp()
		}
	}
	b.running.Wait()
}

// ParseBody and CutSeq are for fuzzing.
func ParseBody(body string) error {
	_, err := parseBody(body)
	return err
}

// CutSeq is for fuzzing.
func CutSeq(payload string) (uint64, string, error) { return cutSeq(payload) }

// Delay has d called before every pipeline that the node sends.
func (b *Bus) Delay(d func([]redis.Cmder)) {
	b.reads.AddHook(delayHook{d})
	for _, s := range b.router.all() {
		s.commands.AddHook(delayHook{d})
	}
}

// PartitionOf and Tag say where a channel is in Redis.
func PartitionOf(t hub.Topic) int { return partitionOf(t) }

// Tag is what the names of a partition's keys start with.
func (b *Bus) Tag(p int) string { return b.keys.tags[p] }

// OverKey says that the node's lease has ended, where there is one lease.
func (b *Bus) OverKey() string { return b.keys.tags[b.keys.home(0)] + ":over:" + b.leaseOf(0) }

// SecretKey is where the nodes' key is.
func (b *Bus) SecretKey() string { return b.keys.secret() }

// OutcomeOf is what became of a command.
func OutcomeOf(reply []any, err error) string {
	return [...]string{"done", "refused", "not loaded", "not done", "broken", "unknown"}[outcomeOf(reply, err)]
}
