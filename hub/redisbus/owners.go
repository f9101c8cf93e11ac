package redisbus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Owners are the nodes that own the sessions of clients over HTTP, so that a node
// finds the owner of a session that it does not have. A session has a key in Redis,
// which its owner renews, with the owner's id and address. Methods may be called
// from any goroutine, after Start.
type Owners struct {
	bus    *Bus
	record string // of this node's sessions
	node   string // the key under which this node's address is
	keys   atomic.Pointer[[][]byte]
	rounds int  // of renewal
	agreed bool // Redis has the first key, as of not long ago

	mu       sync.Mutex
	own      map[string]ownership
	released []string
	known    map[string]sighting
}

// ownership is a session of this node.
type ownership struct {
	claimed bool      // Redis has answered that it is
	told    time.Time // when Redis was told last
}

// sighting is a session of another node.
type sighting struct {
	owner string // its address
	until time.Time
}

const (
	// recordLife is for how long Redis remembers the owner of a session that was not
	// renewed, and recordRenewal how often it is renewed.
	recordLife    = time.Minute
	recordRenewal = recordLife / 3
	// sightingLife is for how long a node remembers the owner of a session, and
	// maxSightings of how many.
	sightingLife = time.Minute
	maxSightings = 1 << 17
	// recordsAtOnce is how many keys a pipeline changes.
	recordsAtOnce = 500
	// agreeRounds is after how many rounds nodes look again whether they have one key:
	// a master of a cluster may have lost what it had.
	agreeRounds = 10
	// secretBytes is how long the key is with which nodes sign.
	secretBytes = 32
)

// Owners returns the part that this node takes; see Start.
func (b *Bus) Owners() *Owners {
	return &Owners{bus: b, own: make(map[string]ownership), known: make(map[string]sighting)}
}

// Start registers the address by which other nodes reach this one, and keeps it up
// until the Bus is closed.
func (o *Owners) Start(ctx context.Context, address string) error {
	o.record = o.bus.id + " " + address
	o.node = o.bus.keys.node(o.bus.id)
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	o.keys.Store(&[][]byte{secret})
	if err := retry(ctx, openPatience, o.register); err != nil {
		return fmt.Errorf("redis at %s: %w", o.bus.config, err)
	}
	o.bus.running.Go(func() { o.run(o.bus.lifetime) })
	return nil
}

// register says where this node is, and agrees with the others on a key.
func (o *Owners) register(ctx context.Context) error {
	if err := o.bus.reads.Set(ctx, o.node, o.address(), lease).Err(); err != nil {
		return err
	}
	return o.agree(ctx)
}

func (o *Owners) address() string {
	_, address, _ := strings.Cut(o.record, " ")
	return address
}

// agree has the key of this node become that of all, unless they have one. What is
// signed with an earlier key holds, until there is another.
func (o *Owners) agree(ctx context.Context) error {
	own := o.Keys()[0]
	text, err := o.bus.reads.SetArgs(ctx, o.bus.keys.secret(), hex.EncodeToString(own), redis.SetArgs{Mode: "NX", Get: true}).Result()
	if errors.Is(err, redis.Nil) {
		o.agreed = true
		return nil
	}
	if err != nil {
		return err
	}
	theirs, err := hex.DecodeString(text)
	if err != nil || len(theirs) != secretBytes {
		return fmt.Errorf("%w: the key with which nodes sign", errMalformed)
	}
	if string(theirs) != string(own) {
		o.keys.Store(&[][]byte{theirs, own})
	}
	o.agreed = true
	return nil
}

// Keys are those with which nodes sign; the first is the newest.
func (o *Owners) Keys() [][]byte { return *o.keys.Load() }

// Owner returns the address of another node that owns a session, "" when there is
// none.
func (o *Owners) Owner(ctx context.Context, session string) (string, error) {
	if owner := o.recall(session); owner != "" {
		return owner, nil
	}
	record, err := o.bus.reads.Get(ctx, o.bus.keys.session(session)).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", unavailable(err)
	}
	return o.ownerIn(record, session), nil
}

// Claim makes this node the owner of a session, unless another one is, whose address
// it then returns. Where Redis does not answer the claim is repeated later.
func (o *Owners) Claim(ctx context.Context, session string) (owner string, err error) {
	record, err := o.bus.reads.SetArgs(ctx, o.bus.keys.session(session), o.record, claimArgs).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		o.keep(session, ownership{})
		return "", unavailable(err)
	}
	if err == nil {
		if owner := o.ownerIn(record, session); owner != "" {
			return owner, nil
		}
	}
	o.keep(session, ownership{claimed: true, told: time.Now()})
	return "", nil
}

// claimArgs set a key that nobody has set, and return who has.
var claimArgs = redis.SetArgs{Mode: "NX", Get: true, TTL: recordLife}

// Release gives up a session that this node owns. Redis is told later.
func (o *Owners) Release(session string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.own[session]; ok {
		delete(o.own, session)
		o.released = append(o.released, session)
	}
}

func (o *Owners) keep(session string, w ownership) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.own[session] = w
}

// ownerIn returns the address in a record, which is "" when the record is this
// node's own, and remembers it.
func (o *Owners) ownerIn(record, session string) string {
	if record == o.record {
		return ""
	}
	_, owner, _ := strings.Cut(record, " ")
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.known) < maxSightings {
		o.known[session] = sighting{owner, time.Now().Add(sightingLife)}
	}
	return owner
}

func (o *Owners) recall(session string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.known[session]; time.Now().Before(s.until) {
		return s.owner
	}
	return ""
}
