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

// Join implements hub.State.
func (b *Bus) Join(j hub.Join, done func(hub.Joined, error)) {
	l := b.laneOf(j.Topic)
	args := []any{
		appKey(j.Topic.App), j.Topic.Channel, j.Subscribers, flag(j.Counted),
		flag(keepsRoster(j.Topic)), j.MaxMembers, j.MaxSubscribers, flag(j.Member != nil), "", "",
	}
	if j.Member != nil {
		args[8], args[9] = j.Member.ID, string(j.Member.Info)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold(j)
	l.put(&op{
		topic: j.Topic, script: &b.scripts.join, args: args, bytes: 256,
		until: time.Now().Add(patience), lasting: true,
		done: func(reply []any, err error) { done(b.joined(j, reply, err)) },
	})
}

// joined reads the answer to a join: ok, the sequence number, whether nodes are
// coming back, the cached frame, then user and user info of each.
func (b *Bus) joined(j hub.Join, reply []any, err error) (hub.Joined, error) {
	if err != nil {
		return hub.Joined{}, err
	}
	if reply[0] == answeredDoubtful {
		return hub.Joined{}, fmt.Errorf("%w: it is not known yet who is gone", hub.ErrUnavailable)
	}
	if reply[0] == answeredFull {
		if j.Member != nil {
			return hub.Joined{}, hub.ErrPresenceFull
		}
		return hub.Joined{}, hub.ErrFull
	}
	words, err := wordsOf(reply[1:])
	if err != nil || len(words) < 3 || len(words)%2 == 0 {
		return hub.Joined{}, fmt.Errorf("%w: answer to a join", errMalformed)
	}
	var joined hub.Joined
	if joined.Seq, err = strconv.ParseUint(words[0], 10, 64); err != nil {
		return hub.Joined{}, fmt.Errorf("%w: answer to a join", errMalformed)
	}
	if words[2] != "" {
		joined.Cached = []byte(words[2])
	}
	for i := 3; i < len(words); i += 2 {
		joined.Members = append(joined.Members, member(words[i], words[i+1]))
	}
	if keepsRoster(j.Topic) {
		joined.Members = b.feedOf(j.Topic).learn(j.Topic, joined, words[1] == "1")
	}
	return joined, nil
}

func wordsOf(values []any) ([]string, error) {
	words := make([]string, len(values))
	for i, v := range values {
		word, ok := v.(string)
		if !ok {
			return nil, errMalformed
		}
		words[i] = word
	}
	return words, nil
}

// Leave implements hub.State.
func (b *Bus) Leave(leave hub.Leave, done func(error)) {
	l := b.laneOf(leave.Topic)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(leave)
	l.put(&op{
		topic: leave.Topic, script: &b.scripts.leave,
		args: []any{
			appKey(leave.Topic.App), leave.Topic.Channel, leave.Subscribers,
			flag(leave.Counted), flag(leave.Gone != ""), leave.Gone,
		},
		bytes: 256, until: time.Now().Add(patience), lasting: true,
		done: func(_ []any, err error) { done(err) },
	})
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// Channels implements hub.State.
func (b *Bus) Channels(ctx context.Context, app, prefix string) ([]hub.ChannelInfo, error) {
	pipe := b.client.Pipeline()
	var subscribers, users [partitions]*redis.MapStringStringCmd
	for p := range partitions {
		subscribers[p] = pipe.HGetAll(ctx, b.keys.subscribers(p, app))
		users[p] = pipe.HGetAll(ctx, b.keys.users(p, app))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable(err)
	}
	var found []hub.ChannelInfo
	for p := range partitions {
		for name, n := range subscribers[p].Val() {
			if strings.HasPrefix(name, prefix) {
				found = append(found, hub.ChannelInfo{
					Name: name, Subscribers: number(n), Users: number(users[p].Val()[name]),
				})
			}
		}
	}
	return found, nil
}

// Channel implements hub.State.
func (b *Bus) Channel(ctx context.Context, t hub.Topic) (hub.ChannelInfo, error) {
	p := partitionOf(t)
	pipe := b.client.Pipeline()
	subscribers := pipe.HGet(ctx, b.keys.subscribers(p, t.App), t.Channel)
	users := pipe.HGet(ctx, b.keys.users(p, t.App), t.Channel)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return hub.ChannelInfo{}, unavailable(err)
	}
	return hub.ChannelInfo{
		Name: t.Channel, Subscribers: number(subscribers.Val()), Users: number(users.Val()),
	}, nil
}

// Users implements hub.State.
func (b *Bus) Users(ctx context.Context, t hub.Topic) ([]string, error) {
	ids, err := b.client.HKeys(ctx, b.keys.members(partitionOf(t), topicKey(t))).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	return ids, nil
}

// Cached implements hub.State.
func (b *Bus) Cached(ctx context.Context, t hub.Topic) (hub.Cached, bool, error) {
	key := b.keys.cached(partitionOf(t), topicKey(t))
	pipe := b.client.Pipeline()
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

// number reads what only scripts write; what is missing is 0.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
