package api

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"channels/hub"
)

// idempotencyHeader names the key of a request that is to be carried out once.
const idempotencyHeader = "Idempotency-Key"

// mostKeyBytes is how long such a key may be.
const mostKeyBytes = 255

// onceKey returns the key of a request, from its header or from its body; "" = none.
func onceKey(r *http.Request, inBody string) (string, error) {
	key := r.Header.Get(idempotencyHeader)
	switch {
	case key == "":
		key = inBody
	case inBody != "" && inBody != key:
		return "", apiError(http.StatusBadRequest, "The Idempotency-Key header and idempotency_key in the body differ")
	}
	if len(key) > mostKeyBytes {
		return "", apiError(http.StatusBadRequest, "The idempotency key exceeds the allowed maximum (255 bytes)")
	}
	return key, nil
}

// once carries a request out, unless that was done before: then it returns the same answer.
// One with the same key that is under way on this node is waited for.
func (a *API) once(ctx context.Context, c *call, key string, carryOut func(*hub.Once) ([]byte, error)) ([]byte, error) {
	if key == "" {
		return carryOut(nil)
	}
	leave, err := a.twins.enter(ctx, twinKey{c.app, key})
	if err != nil {
		return nil, err
	}
	defer leave()
	o := hub.NewOnce(key, c.body)
	answer, answered, err := a.hub.Begin(ctx, c.app, o)
	switch {
	case errors.Is(err, hub.ErrOtherBody):
		return nil, apiError(http.StatusUnprocessableEntity, "This idempotency key was used with another body in the last five minutes")
	case errors.Is(err, hub.ErrUnavailable):
		return nil, apiError(http.StatusServiceUnavailable, "Not published: "+err.Error())
	case err != nil || answered:
		return answer, err
	}
	answer, err = carryOut(&o)
	if err != nil {
		return nil, err
	}
	if err := a.hub.Finish(ctx, c.app, o, answer); err != nil {
		// A retry publishes nothing either: its messages are known by themselves.
		a.log.Debug("an answer is not kept for a retry", "app", c.app.ID, "error", err)
	}
	return answer, nil
}

// twins are the requests under way that are to be carried out once.
type twins struct {
	mu      sync.Mutex
	running map[twinKey]chan struct{} // closed when it has ended
}

type twinKey struct {
	app *hub.App
	key string
}

// enter waits until no request with the same key is under way. The error is ctx's.
func (t *twins) enter(ctx context.Context, key twinKey) (leave func(), err error) {
	for {
		t.mu.Lock()
		other := t.running[key]
		if other == nil {
			break
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer t.mu.Unlock()
	if t.running == nil {
		t.running = make(map[twinKey]chan struct{})
	}
	ended := make(chan struct{})
	t.running[key] = ended
	return func() {
		t.mu.Lock()
		delete(t.running, key)
		t.mu.Unlock()
		close(ended)
	}, nil
}
