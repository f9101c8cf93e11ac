package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
	"channels/protocol"
)

// Join implements hub.State. Where others of this node are on the channel already,
// and nothing but their number is to be told, it needs no answer from Redis; and the
// roster is read from Redis once for each node and channel.
func (b *Bus) Join(j hub.Join, done func(hub.Joined, error)) {
	if !j.Opened.IsZero() {
		done = b.unlessRevoked(j, done)
	}
	in := b.in[partitionOf(j.Topic)]
	w := &waiter{until: time.Now().Add(patience)}
	if seq, ok := in.place(j.Topic); ok && j.Member == nil && !j.Counted && !j.Placed && isPlain(j.Topic) {
		w.answer = func(*verdict, error) {}
		b.out[in.index].change(j.Topic, w, func(h *holding) { h.join(j, w) })
		done(hub.Joined{Seq: seq}, nil)
		return
	}
	w.joins = true
	w.answer = func(v *verdict, err error) { b.joined(j, v, err, done) }
	b.out[in.index].change(j.Topic, w, func(h *holding) { h.join(j, w) })
}

// unlessRevoked has a join fail that was for a connection that must not sign in. It
// is looked at behind the join: a Terminate that is not seen yet will reach the
// connection.
func (b *Bus) unlessRevoked(j hub.Join, done func(hub.Joined, error)) func(hub.Joined, error) {
	return func(joined hub.Joined, err error) {
		if err != nil {
			done(joined, err)
			return
		}
		b.revocations.ask(revocation{j.Topic, j.Opened, func(revoked bool, err error) {
			switch {
			case err != nil:
				done(hub.Joined{}, err)
			case revoked:
				done(hub.Joined{}, hub.ErrRevoked)
			default:
				done(joined, nil)
			}
		}})
	}
}

// isPlain says that a subscriber of the channel sees nothing but its events.
func isPlain(t hub.Topic) bool {
	return !keepsRoster(t) && !protocol.KindOf(t.Channel).IsCache()
}

// joined answers what the subscriber must see.
func (b *Bus) joined(j hub.Join, v *verdict, err error, done func(hub.Joined, error)) {
	switch {
	case err != nil:
		done(hub.Joined{}, err)
	case v.full:
		done(hub.Joined{}, hub.ErrPresenceFull)
	case v.members == nil && keepsRoster(j.Topic) && !b.in[partitionOf(j.Topic)].knowsRoster(j.Topic):
		b.ask(j, done) // it was forgotten meanwhile
	default:
		b.in[partitionOf(j.Topic)].learn(j.Topic, v, j.Member, func(members []protocol.Member, roster uint64) {
			if keepsRoster(j.Topic) && members == nil {
				done(hub.Joined{}, errInTime)
				return
			}
			done(hub.Joined{Seq: max(v.seq, v.epoch), Roster: roster, Cached: v.cached, Members: members}, nil)
		})
	}
}

// ask asks Redis for what a subscriber must see who is counted already.
func (b *Bus) ask(j hub.Join, done func(hub.Joined, error)) {
	w := &waiter{until: time.Now().Add(patience), joins: true, answer: func(v *verdict, err error) {
		b.joined(j, v, err, done)
	}}
	b.out[partitionOf(j.Topic)].change(j.Topic, w, func(h *holding) { h.waiting = append(h.waiting, w) })
}

// Leave implements hub.State.
func (b *Bus) Leave(l hub.Leave, done func(error)) {
	w := &waiter{until: time.Now().Add(patience), answer: func(_ *verdict, err error) { done(err) }}
	b.out[partitionOf(l.Topic)].change(l.Topic, w, func(h *holding) { h.leave(l, w) })
}

// quotaTopic is where an app's connections are counted, as subscribers of a
// channel that nobody can subscribe to. So what holds for subscribers holds for
// them: they go with their node, and are said again when Redis has lost them.
func quotaTopic(app string) hub.Topic { return hub.Topic{App: app, Channel: quotaChannel} }

const quotaChannel = "#connections"

// errDoubtful is what a reservation is answered when there is no room, but perhaps
// only because connections are counted that are gone.
var errDoubtful = fmt.Errorf("%w: it is not known yet who is gone", hub.ErrUnavailable)

// Reserve implements hub.State. That there is no room is answered only when it was
// so for some time, in which every node has shown that it is alive.
func (b *Bus) Reserve(app string, connections, most int, done func(error)) {
	t := quotaTopic(app)
	w := &waiter{until: time.Now().Add(patience), connections: connections, answer: func(v *verdict, err error) {
		switch {
		case err == nil && v.full && v.partial:
			err = errDoubtful
		case err == nil && v.full:
			err = hub.ErrFull
		}
		done(err)
	}}
	b.out[partitionOf(t)].change(t, w, func(h *holding) {
		h.subscribers, h.most = connections, most
		h.waiting = append(h.waiting, w)
	})
}

// Release implements hub.State.
func (b *Bus) Release(app string, connections int, done func(error)) {
	b.Leave(hub.Leave{Topic: quotaTopic(app), Subscribers: connections}, done)
}

// grant decides about reservations by how many connections the node was granted,
// and returns those that can be answered. Those for whom there was no room ask again
// before they are told so. The lock is held.
func (o *outgoing) grant(t *telling, granted int, doubt bool) []*waiter {
	var decided, again []*waiter
	doubt = doubt || o.bus.pulses[o.bus.keys.groupOf(o.index)].doubt.Load()
	for _, w := range t.waiting {
		w.full = granted < min(w.connections, t.subscribers)
		switch {
		case !w.full || doubt:
			w.doubtful = doubt
		case w.asked.IsZero():
			w.asked = time.Now()
			again = append(again, w)
			continue
		case time.Since(w.asked) < fullAfter:
			again = append(again, w)
			continue
		}
		decided = append(decided, w)
	}
	if len(again) > 0 {
		time.AfterFunc(fullAfter, func() { o.ask(t.of, again) })
	}
	return decided
}

// ask has a topic told again, for those who wait for the answer.
func (o *outgoing) ask(h *holding, waiting []*waiter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held[h.topic] == nil {
		o.held[h.topic] = h
	}
	h = o.held[h.topic]
	h.waiting = append(h.waiting, waiting...)
	o.queue(h)
	o.list()
}

// verdictOf reads what Redis has answered about a topic; see lua/state.lua.
func verdictOf(reply any, partial bool) (v *verdict, doubt bool, granted int, full []int, err error) {
	list, _ := reply.([]any)
	words, err := wordsOf(list)
	if err != nil || len(words) < 6 || len(words)%2 != 0 {
		return nil, false, 0, nil, errMalformed
	}
	v = &verdict{seq: digitsOf(words[0]), partial: partial, sum: words[5]}
	if words[1] != "" {
		v.cached = []byte(words[1])
	}
	for _, word := range strings.Fields(words[2]) {
		full = append(full, number(word))
	}
	if words[5] == "r" {
		v.members = membersOf(words[6:])
	}
	return v, words[4] == "1", number(words[3]), full, nil
}

// wordsOf takes strings and numbers as strings.
func wordsOf(values []any) ([]string, error) {
	words := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case string:
			words[i] = v
		case int64:
			words[i] = strconv.FormatInt(v, 10)
		default:
			return nil, errMalformed
		}
	}
	return words, nil
}

// ChannelInfos implements hub.State.
func (b *Bus) ChannelInfos(ctx context.Context, app string, names []string) ([]hub.ChannelInfo, error) {
	pipe := b.reads.Pipeline()
	subscribers := make([]*redis.StringCmd, len(names))
	users := make([]*redis.StringCmd, len(names))
	for i, name := range names {
		p := partitionOf(hub.Topic{App: app, Channel: name})
		subscribers[i] = pipe.HGet(ctx, b.keys.subscribers(p, app), name)
		users[i] = pipe.HGet(ctx, b.keys.users(p, app), name)
	}
	_, _ = pipe.Exec(ctx) // every command has its error
	infos := make([]hub.ChannelInfo, len(names))
	for i, name := range names {
		for _, c := range []*redis.StringCmd{subscribers[i], users[i]} {
			if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
				return nil, unavailable(err)
			}
		}
		infos[i] = hub.ChannelInfo{
			Name: name, Subscribers: number(subscribers[i].Val()), Users: number(users[i].Val()),
		}
	}
	return infos, nil
}

// Users implements hub.State.
func (b *Bus) Users(ctx context.Context, t hub.Topic) ([]string, error) {
	ids, err := b.reads.HKeys(ctx, b.keys.members(partitionOf(t), topicKey(t))).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	return ids, nil
}

// Cached implements hub.State.
func (b *Bus) Cached(ctx context.Context, t hub.Topic) (hub.Cached, bool, error) {
	key := b.keys.cached(partitionOf(t), topicKey(t))
	pipe := b.reads.Pipeline()
	frame, ttl := pipe.Get(ctx, key), pipe.PTTL(ctx, key)
	_, err := pipe.Exec(ctx)
	switch {
	case errors.Is(err, redis.Nil):
		return hub.Cached{}, false, nil
	case err != nil:
		return hub.Cached{}, false, unavailable(err)
	}
	if ttl.Val() <= 0 || protocol.PayloadOf([]byte(frame.Val())) == nil {
		return hub.Cached{}, false, nil // expired in between
	}
	return hub.Cached{Frame: []byte(frame.Val()), TTL: ttl.Val()}, true, nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", hub.ErrUnavailable, err) }

// number and digitsOf read what only scripts write; what is missing is 0.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func digitsOf(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}
