package redisbus

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
)

// revocations find out whether connections that sign in were open when their
// users' connections were terminated. Redis remembers a Terminate, as the cached
// event of the user's status channel, so how long ago it was follows from what is
// left of the key's life, without a clock. Questions that come while others are
// under way share the next pipeline.
type revocations struct {
	reads redis.UniversalClient
	keys  *keys

	mu      sync.Mutex
	waiting []revocation
	asking  bool
	done    sync.WaitGroup
}

// revocation is one question. answer gets whether the connection has to go.
type revocation struct {
	topic  hub.Topic
	opened time.Time
	answer func(bool, error)
}

// mostAsked is how many questions a pipeline has at most.
const mostAsked = 1000

// ask answers q later, from another goroutine.
func (r *revocations) ask(q revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, q)
	if !r.asking {
		r.asking = true
		r.done.Go(r.run)
	}
}

// close returns when all that was asked is answered.
func (r *revocations) close() { r.done.Wait() }

func (r *revocations) run() {
	for batch := r.take(); len(batch) > 0; batch = r.take() {
		r.answer(batch)
	}
}

func (r *revocations) take() []revocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.waiting), mostAsked)
	batch := r.waiting[:n:n]
	r.waiting = r.waiting[n:]
	if n == 0 {
		r.waiting, r.asking = nil, false
	}
	return batch
}

func (r *revocations) answer(batch []revocation) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pipe := r.reads.Pipeline()
	left := make([]*redis.DurationCmd, len(batch))
	for i, q := range batch {
		left[i] = pipe.PTTL(ctx, r.keys.cached(partitionOf(q.topic), topicKey(q.topic)))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	now := time.Now()
	for i, q := range batch {
		life, err := left[i].Result()
		if err != nil {
			q.answer(false, unavailable(err))
			continue
		}
		// Without a Terminate the life is negative. That a connection was opened
		// while the answer was on its way counts as before.
		q.answer(life > 0 && hub.TerminateKept-life <= now.Sub(q.opened), nil)
	}
}
