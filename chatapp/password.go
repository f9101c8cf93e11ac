package chatapp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/crypto/argon2"
)

// Cost of a hash: what OWASP asks of argon2id, 19 MiB and two passes.
const (
	argonTime   = 2
	argonMemory = 19 * 1024 // KiB
	argonLanes  = 1
	argonKey    = 32 // bytes
	argonSalt   = 16 // bytes
)

// patienceForHash is how long a sign-in waits for its turn.
const patienceForHash = 5 * time.Second

// hasher makes and checks password hashes, a few at once: each takes 19 MiB
// and a processor.
type hasher struct {
	turns chan struct{}
}

func newHasher(atOnce int) *hasher { return &hasher{make(chan struct{}, atOnce)} }

// turn waits for one's turn; the caller gives it back by calling done.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, patienceForHash)
	defer cancel()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-ctx.Done():
		return nil, Fault{http.StatusServiceUnavailable, "busy", "Too many people are signing in just now; try again in a moment."}
	}
}

// hash returns the encoded hash of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails, says its documentation
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// same tells whether encoded is the hash of a password. With an encoded of ""
// (nobody of that name) it takes as long and says no.
func (h *hasher) same(ctx context.Context, password, encoded string) (bool, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	p, ok := decodeHash(encoded)
	got := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.lanes, argonKey)
	return subtle.ConstantTimeCompare(got, p.key) == 1 && ok, nil
}

// argonHash is an encoded hash, taken apart.
type argonHash struct {
	memory, time uint32
	lanes        uint8
	salt, key    []byte
}

func decodeHash(encoded string) (argonHash, bool) {
	nobody := argonHash{argonMemory, argonTime, argonLanes, make([]byte, argonSalt), make([]byte, argonKey)}
	var p argonHash
	var version int
	var rest string
	if _, err := fmt.Sscanf(encoded, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &p.memory, &p.time, &p.lanes, &rest); err != nil {
		return nobody, false
	}
	var salt, key string
	for i := range rest {
		if rest[i] == '$' {
			salt, key = rest[:i], rest[i+1:]
			break
		}
	}
	var err1, err2 error
	p.salt, err1 = base64.RawStdEncoding.DecodeString(salt)
	p.key, err2 = base64.RawStdEncoding.DecodeString(key)
	if err1 != nil || err2 != nil || version != argon2.Version || len(p.key) != argonKey || p.time == 0 || p.lanes == 0 {
		return nobody, false
	}
	return p, true
}
