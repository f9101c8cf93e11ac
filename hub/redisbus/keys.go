package redisbus

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"

	"channels/hub"
)

const (
	// partitions is how many hash slots the channels are spread over. All nodes
	// must agree, so it is part of the schema.
	partitions = 64
	// schema stands in every key, so that versions which understand them
	// differently do not meet.
	schema = "1"
)

// keys makes the names of what is kept in Redis; see lua/common.lua.
type keys struct {
	tags [partitions]string
}

// newKeys returns the keys of a deployment. Pub/sub knows no databases, so the
// number of one other than 0 is part of every name. No prefix has an @.
func newKeys(prefix string, db int) *keys {
	k := new(keys)
	if db != 0 {
		prefix = fmt.Sprintf("%s@%d", prefix, db)
	}
	for p := range k.tags {
		k.tags[p] = fmt.Sprintf("{%s:%s:%d}", prefix, schema, p)
	}
	return k
}

// partitionOf says where a topic belongs.
func partitionOf(t hub.Topic) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.App))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(t.Channel))
	return int(h.Sum32() % partitions)
}

// appKey is an app's id as it stands in keys and topics, without a colon.
func appKey(id string) string { return url.QueryEscape(id) }

// topicKey is what scripts call a topic.
func topicKey(t hub.Topic) string { return appKey(t.App) + ":" + t.Channel }

// pubsubChannel is where a topic's messages are published.
func (k *keys) pubsubChannel(p int, topic string) string { return k.tags[p] + ":t:" + topic }

// canary is where a node's own beats are published.
func (k *keys) canary(p int, node string) string { return k.tags[p] + ":y:" + node }

func (k *keys) log(p int) string                     { return k.tags[p] + ":log" }
func (k *keys) partition(p int) string               { return k.tags[p] + ":p" }
func (k *keys) subscribers(p int, app string) string { return k.tags[p] + ":subs:" + appKey(app) }
func (k *keys) users(p int, app string) string       { return k.tags[p] + ":users:" + appKey(app) }
func (k *keys) members(p int, topic string) string   { return k.tags[p] + ":m:" + topic }
func (k *keys) cached(p int, topic string) string    { return k.tags[p] + ":x:" + topic }

// keepsRoster says whether it matters who is on a channel: presence channels,
// and the status channels of users, whose names start with a sign that no
// client may use but for its own channel.
func keepsRoster(t hub.Topic) bool {
	return strings.HasPrefix(t.Channel, "presence-") || strings.HasPrefix(t.Channel, "#user-")
}
