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
func (b *Bus) Join(j hub.Join, done func(hub.Joined, error)) { b.join(j, 0, done) }

// join says that the node has subscribers on a channel, which may have so many of
// them over all nodes; 0 = any.
func (b *Bus) join(j hub.Join, most int, done func(hub.Joined, error)) {
	l := b.laneOf(j.Topic)
	args := []any{
		appKey(j.Topic.App), j.Topic.Channel, j.Subscribers, flag(j.Counted),
		flag(keepsRoster(j.Topic)), j.MaxMembers, most, flag(j.Member != nil), "", "",
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
			if strings.HasPrefix(name, prefix) && name != quotaChannel {
				found = append(found, hub.ChannelInfo{
					Name: name, Subscribers: number(n), Users: number(users[p].Val()[name]),
				})
			}
		}
	}
	return found, nil
}

// ChannelInfos implements hub.State.
func (b *Bus) ChannelInfos(ctx context.Context, app string, names []string) ([]hub.ChannelInfo, error) {
	pipe := b.client.Pipeline()
	subscribers := make([]*redis.StringCmd, len(names))
	users := make([]*redis.StringCmd, len(names))
	for i, name := range names {
		p := partitionOf(hub.Topic{App: app, Channel: name})
		subscribers[i] = pipe.HGet(ctx, b.keys.subscribers(p, app), name)
		users[i] = pipe.HGet(ctx, b.keys.users(p, app), name)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, unavailable(err)
	}
	infos := make([]hub.ChannelInfo, len(names))
	for i, name := range names {
		// Exec answers the first error only, which may be that a field is missing.
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

// quotaTopic is where an app's connections are counted, as subscribers of a
// channel that nobody can subscribe to. So what holds for subscribers holds for
// them: they go with their node, and are said again when Redis has lost them.
func quotaTopic(app string) hub.Topic { return hub.Topic{App: app, Channel: quotaChannel} }

const quotaChannel = "#connections"

// Reserve implements hub.State.
func (b *Bus) Reserve(app string, connections, most int, done func(error)) {
	j := hub.Join{Topic: quotaTopic(app), Subscribers: connections}
	b.join(j, most, func(_ hub.Joined, err error) { done(err) })
}

// Release implements hub.State.
func (b *Bus) Release(app string, connections int, done func(error)) {
	b.Leave(hub.Leave{Topic: quotaTopic(app), Subscribers: connections}, done)
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
