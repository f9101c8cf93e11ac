package hub

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// OnceKept is for how long a request that is to be carried out once is known.
const OnceKept = 5 * time.Minute

// Once marks a request that is to be carried out once, however often it is made.
type Once struct {
	Key  [16]byte // hash of the publisher's key
	Body [16]byte // hash of what is published
}

// NewOnce returns the mark for a publisher's key and the body of the request.
func NewOnce(key string, body []byte) Once {
	k, b := sha256.Sum256([]byte(key)), sha256.Sum256(body)
	return Once{Key: [16]byte(k[:16]), Body: [16]byte(b[:16])}
}

// Part is one message of a request that is to be carried out once.
type Part struct {
	Key   [16]byte
	Index int
}

// ErrOtherBody is the error of Begin when the key was used with another body.
var ErrOtherBody = errors.New("the key was used with another body")

// Begin notes that a request is carried out. Where it was before, answered says so, and
// answer is what Finish was told. A request that was begun and not finished is begun again:
// of its messages those are published that were not.
func (h *Hub) Begin(ctx context.Context, app *App, o Once) (answer []byte, answered bool, err error) {
	return h.state.Begin(ctx, app.ID, o)
}

// Finish notes how a request was answered.
func (h *Hub) Finish(ctx context.Context, app *App, o Once, answer []byte) error {
	return h.state.Finish(ctx, app.ID, o, answer)
}
