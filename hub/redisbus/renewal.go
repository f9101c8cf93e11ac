package redisbus

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// run tells Redis what changes, and renews what is there, until ctx ends. Then this
// node owns nothing any more.
func (o *Owners) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			o.leave(context.WithoutCancel(ctx))
			return
		case <-time.After(jittered(beatInterval)):
		}
		o.round(ctx)
	}
}

// round is done each second. Where Redis has lost this node's address it has lost
// the rest, too.
func (o *Owners) round(ctx context.Context) {
	lost, err := o.renewAddress(ctx)
	if err != nil {
		return
	}
	if lost {
		o.noteLoss()
	}
	o.rounds++
	o.agreed = o.agreed && !lost && o.rounds%agreeRounds != 0
	if !o.agreed && o.agree(ctx) != nil {
		return
	}
	o.forget(ctx, o.takeReleased())
	o.claimAgain(ctx, o.due(func(w ownership) bool { return !w.claimed }))
	o.renew(ctx, o.due(func(w ownership) bool { return w.claimed && time.Since(w.told) >= recordRenewal }))
	o.dropSightings()
}

// noteLoss has all records be renewed.
func (o *Owners) noteLoss() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for session, w := range o.own {
		o.own[session] = ownership{claimed: w.claimed}
	}
}

// renewAddress says that this node is alive, and whether Redis did not know.
func (o *Owners) renewAddress(ctx context.Context) (lost bool, err error) {
	err = o.bus.reads.SetArgs(ctx, o.node, o.address(), redis.SetArgs{TTL: lease, Get: true}).Err()
	if errors.Is(err, redis.Nil) {
		return true, nil
	}
	return false, err
}

func (o *Owners) takeReleased() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var gone []string
	for _, session := range o.released {
		if _, again := o.own[session]; !again {
			gone = append(gone, session)
		}
	}
	o.released = nil
	return gone
}

// due returns the sessions of this node of which Redis must be told.
func (o *Owners) due(is func(ownership) bool) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var sessions []string
	for session, w := range o.own {
		if is(w) {
			sessions = append(sessions, session)
		}
	}
	return sessions
}

// inChunks calls do for some commands at a time, so that nothing waits long behind
// them, until one fails.
func inChunks(sessions []string, do func(chunk []string) error) {
	for len(sessions) > 0 {
		n := min(len(sessions), recordsAtOnce)
		if do(sessions[:n]) != nil {
			return
		}
		sessions = sessions[n:]
	}
}

// forget removes what this node has given up. What fails expires.
func (o *Owners) forget(ctx context.Context, sessions []string) {
	inChunks(sessions, func(chunk []string) error {
		_, err := o.bus.reads.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, session := range chunk {
				p.Del(ctx, o.bus.keys.session(session))
			}
			return nil
		})
		return err
	})
}

// renew tells what Redis may have lost, or would forget.
func (o *Owners) renew(ctx context.Context, sessions []string) {
	inChunks(sessions, func(chunk []string) error {
		now := time.Now()
		_, err := o.bus.reads.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, session := range chunk {
				p.Set(ctx, o.bus.keys.session(session), o.record, recordLife)
			}
			return nil
		})
		if err == nil {
			o.noteTold(chunk, now)
		}
		return err
	})
}

func (o *Owners) noteTold(sessions []string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, session := range sessions {
		if _, ok := o.own[session]; ok {
			o.own[session] = ownership{claimed: true, told: at}
		}
	}
}

// claimAgain claims what Redis has not answered. A session that another node has
// claimed meanwhile stays with that one.
func (o *Owners) claimAgain(ctx context.Context, sessions []string) {
	inChunks(sessions, func(chunk []string) error {
		now := time.Now()
		commands := make([]*redis.StatusCmd, len(chunk))
		_, _ = o.bus.reads.Pipelined(ctx, func(p redis.Pipeliner) error { // each command has its own error
			for i, session := range chunk {
				commands[i] = p.SetArgs(ctx, o.bus.keys.session(session), o.record, claimArgs)
			}
			return nil
		})
		var mine, theirs []string
		var failed error
		for i, c := range commands {
			switch record, err := c.Result(); {
			case errors.Is(err, redis.Nil) || err == nil && record == o.record:
				mine = append(mine, chunk[i])
			case err == nil:
				theirs = append(theirs, chunk[i])
			default:
				failed = err
			}
		}
		o.noteTold(mine, now)
		o.drop(theirs)
		return failed
	})
}

// drop takes back claims.
func (o *Owners) drop(sessions []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, session := range sessions {
		delete(o.own, session)
	}
}

func (o *Owners) dropSightings() {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for session, s := range o.known {
		if now.After(s.until) {
			delete(o.known, session)
		}
	}
}

// leave removes all that says that this node owns something.
func (o *Owners) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	_ = o.bus.reads.Del(ctx, o.node).Err() // else it expires
	o.forget(ctx, append(o.takeReleased(), o.due(func(ownership) bool { return true })...))
}
