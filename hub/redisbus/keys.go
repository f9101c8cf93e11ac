package redisbus

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"channels/hub"
)

const (
	// partitions is how many parts the channels are spread over, each in a hash slot
	// of its own. All nodes must agree, so it is part of the schema.
	partitions = 256
	// schema stands in every key, so that versions which understand them
	// differently do not meet.
	schema = "3"
	// slots is how many a Redis Cluster has.
	slots = 16384
)

// keys makes the names of what is kept in Redis; see lua/common.lua.
type keys struct {
	tags   [partitions]string
	start  int // where a partition's number starts in its tag
	groups int // of partitions that share a lease
}

// newKeys returns the keys of a deployment. Pub/sub knows no databases, so the
// number of one other than 0 is part of every name. No prefix has an @.
func newKeys(prefix string, db, groups int) *keys {
	if db != 0 {
		prefix = fmt.Sprintf("%s@%d", prefix, db)
	}
	k := &keys{start: len(prefix) + len(schema) + 3, groups: groups}
	for p := range k.tags {
		k.tags[p] = spreadTag(fmt.Sprintf("%s:%s:%03d", prefix, schema, p), p)
	}
	return k
}

// spreadTag adds to a partition's name what brings it into its share of the
// slots, so that masters which have as many slots have as many partitions.
func spreadTag(name string, p int) string {
	for i := 0; ; i++ {
		tag := name + "." + strconv.FormatInt(int64(i), 36)
		if int(crc16(tag))%slots*partitions/slots == p {
			return "{" + tag + "}"
		}
	}
}

// crc16 is the checksum by which a Redis Cluster places keys.
func crc16(s string) uint16 {
	var sum uint16
	for i := range len(s) {
		sum ^= uint16(s[i]) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// partitionOf says where a topic belongs.
func partitionOf(t hub.Topic) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.App))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(t.Channel))
	return int(h.Sum32() % partitions)
}

// partitionAt reads a partition's number out of a name that starts with its tag;
// -1 when there is none.
func (k *keys) partitionAt(name string) int {
	if len(name) < k.start+3 {
		return -1
	}
	p, err := strconv.Atoi(name[k.start : k.start+3])
	if err != nil || p < 0 || p >= partitions || !strings.HasPrefix(name, k.tags[p]) {
		return -1
	}
	return p
}

// groupOf says which lease a partition hangs on, and home where that lease is.
func (k *keys) groupOf(p int) int { return p * k.groups / partitions }
func (k *keys) home(group int) int {
	return group * partitions / k.groups
}

// appKey is an app's id as it stands in keys and topics, without a colon.
func appKey(id string) string { return url.QueryEscape(id) }

// topicKey is what scripts call a topic.
func topicKey(t hub.Topic) string { return appKey(t.App) + ":" + t.Channel }

// pubsubChannel is where a topic's messages are published.
func (k *keys) pubsubChannel(p int, topic string) string { return k.tags[p] + ":t:" + topic }

// canary is where a node's own signs of life are published.
func (k *keys) canary(p int, line string) string { return k.tags[p] + ":y:" + line }

func (k *keys) log(p int, app string) string         { return k.tags[p] + ":log:" + app }
func (k *keys) occurred(p int, app string) string    { return k.tags[p] + ":occurred:" + appKey(app) }
func (k *keys) unnoted(p int, app string) string     { return k.tags[p] + ":unnoted:" + appKey(app) }
func (k *keys) partition(p int) string               { return k.tags[p] + ":p" }
func (k *keys) nodes(p int) string                   { return k.tags[p] + ":nodes" }
func (k *keys) leases(p int) string                  { return k.tags[p] + ":leases" }
func (k *keys) versions(p int) string                { return k.tags[p] + ":versions" }
func (k *keys) dying(p int) string                   { return k.tags[p] + ":dying" }
func (k *keys) subscribers(p int, app string) string { return k.tags[p] + ":subs:" + appKey(app) }
func (k *keys) users(p int, app string) string       { return k.tags[p] + ":users:" + appKey(app) }
func (k *keys) members(p int, topic string) string   { return k.tags[p] + ":m:" + topic }
func (k *keys) cached(p int, topic string) string    { return k.tags[p] + ":x:" + topic }

// session is where the owner of a client over HTTP is; see Owners.
func (k *keys) session(id string) string { return k.tags[spread(id)] + ":o:" + id }

// node is where the address of a node is.
func (k *keys) node(id string) string { return k.tags[spread(id)] + ":node:" + id }

// request is where it is known how a request was answered.
func (k *keys) request(p int, name string) string { return k.tags[p] + ":q:" + name }

// secret is where the key is with which nodes sign.
func (k *keys) secret() string { return k.tags[0] + ":secret" }

// spread chooses a partition for what belongs to none.
func spread(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return int(h.Sum32() % partitions)
}

// wakeChannel is where scripts say, of no app, that something has occurred.
const wakeChannel = "#hooks"

// keepsRoster says whether it matters who is on a channel: presence channels,
// and the status channels of users, whose names start with a sign that no
// client may use but for its own channel.
func keepsRoster(t hub.Topic) bool {
	return strings.HasPrefix(t.Channel, "presence-") || strings.HasPrefix(t.Channel, "#user-")
}
