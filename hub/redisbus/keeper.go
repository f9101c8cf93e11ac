package redisbus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// beatInterval is how often a node renews its lease.
	beatInterval = time.Second
	// lease is how long a node that does not is thought to be alive.
	lease = 5 * time.Second
	// settling is how long departures are held back after Redis has lost
	// something, for all nodes to say what they have.
	settling = lease + time.Second
	// clearStep is about how many users and channels of the dead are removed by
	// one script, so that Redis is not held up.
	clearStep = 500
)

// keeper keeps the node alive in Redis, and finds out when it is not any more.
// It owns the node's incarnation. A round goes over all partitions.
type keeper struct {
	bus  *Bus
	wake chan struct{}

	node    string
	beat    int                // of the last round
	heard   int                // the last one that all partitions have answered
	joining bool               // the incarnation is new
	loss    bool               // because Redis has lost something
	old     []string           // incarnations to be buried
	servers [partitions]string // by run id; "" = not known
	compare time.Time          // when rosters are to be compared; zero = not
}

func newKeeper(b *Bus) *keeper {
	k := &keeper{bus: b, wake: make(chan struct{}, 1)}
	k.begin()
	return k
}

// begin takes a new incarnation.
func (k *keeper) begin() {
	if k.node != "" {
		k.old = append(k.old, k.node)
	}
	k.node = newID()
	k.beat, k.heard, k.joining = 0, 0, true
	clear(k.servers[:])
	node := k.node
	k.bus.node.Store(&node)
}

func newID() string {
	id := make([]byte, 10)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// look has the keeper's next round come at once.
func (k *keeper) look() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) run(ctx context.Context) {
	pause := beatInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-time.After(pause):
		}
		if err := k.round(ctx); err != nil && ctx.Err() == nil {
			k.bus.fail(err)
			pause = min(max(2*pause, 100*time.Millisecond), beatInterval)
			k.rest(ctx, pause)
			continue
		}
		pause = beatInterval
	}
}

// rest lets some time go by although somebody wants a look: Redis has just not
// answered.
func (k *keeper) rest(ctx context.Context, pause time.Duration) {
	select {
	case <-time.After(pause / 2):
	case <-ctx.Done():
	}
}

// round renews the lease, and draws the conclusions.
func (k *keeper) round(ctx context.Context) error {
	answers, err := k.beats(ctx)
	if err != nil {
		return err
	}
	switch {
	case answers.fenced:
		k.declaredDead()
		return k.round(ctx)
	case answers.unknown || k.otherServer(answers):
		k.lost()
		return k.round(ctx)
	}
	k.heard = k.beat
	if k.joining {
		k.joined()
	}
	k.bus.up()
	k.finish(ctx, answers)
	return nil
}

// declaredDead is for a node that was cut off for so long that the others have
// announced its users' departure: its sockets have to start anew.
func (k *keeper) declaredDead() {
	k.bus.log.Warn("this node was declared dead: its sockets reconnect")
	k.bus.stats.fences.Add(1)
	k.pauseLanes()
	for _, l := range k.bus.lanes {
		l.forget()
	}
	for _, f := range k.bus.feeds {
		f.lose()
	}
	k.begin()
}

// lost is for a Redis that was started anew, or has been replaced: whatever the
// node has told it may be forgotten, so it is all told again, by a new
// incarnation. What is left of the old one goes then.
func (k *keeper) lost() {
	if !k.joining {
		k.bus.log.Warn("redis has lost something: telling it what this node has")
		k.bus.stats.doubts.Add(1)
	}
	k.pauseLanes()
	for _, l := range k.bus.lanes {
		l.doubt()
	}
	k.begin()
	k.loss = true
	// What comes by the old connections may come from a server that is not the
	// master any more.
	for _, f := range k.bus.feeds {
		f.hangUp()
	}
}

func (k *keeper) pauseLanes() {
	for _, l := range k.bus.lanes {
		l.pause()
	}
}

// joined is the end of a beginning.
func (k *keeper) joined() {
	k.joining = false
	if k.loss {
		k.compare = time.Now().Add(settling + 500*time.Millisecond)
	}
	k.loss = false
}

// otherServer says whether a partition is on another server than before, which
// may be behind the one it replaces.
func (k *keeper) otherServer(a *answers) bool {
	other := false
	for p, server := range a.servers {
		if server == "" {
			continue
		}
		if k.servers[p] != "" && k.servers[p] != server {
			other = true
		}
		k.servers[p] = server
	}
	return other
}

// finish does what follows from a good round, as far as it can be done now.
func (k *keeper) finish(ctx context.Context, a *answers) {
	if len(k.old) > 0 && k.bus.restating.Load() == 0 {
		if err := k.bury(ctx, k.old); err == nil {
			k.old = nil
			for p := range a.graves {
				a.graves[p] = true
			}
		}
	}
	for p, graves := range a.graves {
		if graves {
			k.bus.clear(ctx, p)
		}
	}
	if !k.compare.IsZero() && time.Now().After(k.compare) {
		k.compare = time.Time{}
		k.compareRosters()
	}
}

// compareRosters has every roster that the node follows published.
func (k *keeper) compareRosters() {
	for _, f := range k.bus.feeds {
		for _, t := range f.rosters() {
			l := k.bus.laneOf(t)
			l.mu.Lock()
			l.put(&op{
				topic: t, script: &k.bus.scripts.roster, bytes: 64,
				args:  []any{appKey(t.App), t.Channel},
				until: time.Now().Add(patience),
				done:  func(reply []any, err error) { k.compared(reply, err) },
			})
			l.mu.Unlock()
		}
	}
}

// compared is called by a lane.
func (k *keeper) compared(reply []any, err error) {
	if err != nil || reply[0] == answeredSettling {
		k.bus.stats.compareAgain.Store(true)
	}
}

// answers are those of a round.
type answers struct {
	fenced, unknown bool
	graves          [partitions]bool
	servers         [partitions]string
}

// beats sends a beat to every partition.
func (k *keeper) beats(ctx context.Context) (*answers, error) {
	if k.bus.stats.compareAgain.CompareAndSwap(true, false) {
		k.compare = time.Now().Add(beatInterval)
	}
	settle := time.Duration(0)
	if k.joining && k.loss {
		settle = settling
	}
	k.beat++
	pipe := k.bus.client.Pipeline()
	commands := make([]*redis.Cmd, partitions)
	sent := time.Now()
	for p := range partitions {
		canary := ""
		if k.bus.feedFor(p).live() {
			canary = k.bus.keys.canary(p, k.bus.id)
		}
		commands[p] = k.bus.call(ctx, pipe, p, &k.bus.scripts.beat, []any{
			k.beat, k.heard, lease.Microseconds(), flag(k.joining), settle.Microseconds(), canary,
		})
	}
	_, _ = pipe.Exec(ctx) // every command has its error
	return k.read(ctx, commands, sent, time.Now())
}

// read takes the answers. While some are missing nothing is concluded, but for
// the worst.
func (k *keeper) read(ctx context.Context, commands []*redis.Cmd, sent, received time.Time) (*answers, error) {
	a := new(answers)
	var failure error
	for p, c := range commands {
		reply, err := answerOf(c)
		if err == nil {
			err = k.readOne(a, p, reply, sent, received)
		} else if isReply(err) {
			_ = k.bus.loadScripts(ctx)
		}
		if err != nil {
			failure = fmt.Errorf("partition %d: %w", p, err)
		}
	}
	if failure != nil && !a.fenced {
		k.bus.lookAround(ctx)
		return nil, failure
	}
	return a, nil
}

var errLate = errors.New("redis was late")

func (k *keeper) readOne(a *answers, p int, reply []any, sent, received time.Time) error {
	switch reply[0] {
	case answeredFenced:
		a.fenced = true
		return nil
	case answeredUnknown:
		a.unknown = true
		return nil
	case answeredLate: // or its clock was set
		if micros, ok := reply[len(reply)-1].(string); ok {
			k.bus.noteClock(p, micros, sent, received)
		}
		return errLate
	}
	if len(reply) < 5 {
		return errMalformed
	}
	words, err := wordsOf([]any{reply[1], reply[2], reply[4]})
	if err != nil {
		return err
	}
	k.bus.noteClock(p, words[0], sent, received)
	seq, _ := strconv.ParseUint(words[1], 10, 64)
	k.bus.feedFor(p).note(p, seq)
	graves, _ := reply[3].(int64)
	a.graves[p] = graves > 0
	a.servers[p] = words[2]
	return nil
}

// noteClock learns how Redis's clock differs from ours, when it has answered
// fast enough to tell.
func (b *Bus) noteClock(p int, micros string, sent, received time.Time) {
	trip := received.Sub(sent)
	theirs, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || trip > 500*time.Millisecond {
		return
	}
	b.skew[p].Store(theirs - sent.Add(trip/2).UnixMicro() | 1) // 0 means not known
}

// bury declares incarnations dead.
func (k *keeper) bury(ctx context.Context, nodes []string) error {
	args := make([]any, len(nodes))
	for i, node := range nodes {
		args[i] = node
	}
	pipe := k.bus.client.Pipeline()
	for p := range partitions {
		k.bus.call(ctx, pipe, p, &k.bus.scripts.bury, args)
	}
	_, err := pipe.Exec(ctx)
	return err
}

// clear removes what the dead had in a partition, in the background.
func (b *Bus) clear(ctx context.Context, p int) {
	if !b.clearing[p].CompareAndSwap(false, true) {
		return
	}
	b.running.Go(func() {
		defer b.clearing[p].Store(false)
		for left := int64(1); left > 0 && ctx.Err() == nil; {
			reply, err := answerOf(b.call(ctx, b.client, p, &b.scripts.clear, []any{clearStep}))
			if err != nil || refused(reply) || len(reply) < 2 {
				return // the next round sees what is left
			}
			left, _ = reply[1].(int64)
		}
	})
}

// leave is the end: the node declares itself dead and clears up.
func (k *keeper) leave(ctx context.Context) {
	if k.bus.Err() != nil || k.bury(ctx, append(k.old, k.node)) != nil {
		return // the others will find out
	}
	// A dead node may do nothing, so it is a last, short-lived one that clears.
	k.begin()
	if _, err := k.beats(ctx); err != nil {
		return
	}
	for p := range partitions {
		for left := int64(1); left > 0 && ctx.Err() == nil; {
			reply, err := answerOf(k.bus.call(ctx, k.bus.client, p, &k.bus.scripts.clear, []any{clearStep}))
			if err != nil || refused(reply) || len(reply) < 2 {
				return
			}
			left, _ = reply[1].(int64)
		}
	}
	_ = k.bury(ctx, []string{k.node})
}
