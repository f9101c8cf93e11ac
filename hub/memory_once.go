package hub

import (
	"context"
	"maps"
	"sync"
	"time"
)

// memoryOnce are the requests and messages that were carried out once.
type memoryOnce struct {
	mu    sync.Mutex
	begun map[onceKey]begun
	parts map[partKey]time.Time // when they are forgotten
}

type onceKey struct {
	app string
	key [16]byte
}

type partKey struct {
	app  string
	part Part
}

type begun struct {
	body     [16]byte
	answer   []byte
	answered bool
	ends     time.Time
}

// Begin implements State.
func (m *Memory) Begin(_ context.Context, app string, o Once) (answer []byte, answered bool, err error) {
	k := &m.once
	k.mu.Lock()
	defer k.mu.Unlock()
	key, now := onceKey{app, o.Key}, time.Now()
	old, known := k.begun[key]
	switch {
	case !known || now.After(old.ends):
		if k.begun == nil {
			k.begun = make(map[onceKey]begun)
		}
		k.begun[key] = begun{body: o.Body, ends: now.Add(OnceKept)}
		return nil, false, nil
	case old.body != o.Body:
		return nil, false, ErrOtherBody
	}
	return old.answer, old.answered, nil
}

// Finish implements State.
func (m *Memory) Finish(_ context.Context, app string, o Once, answer []byte) error {
	k := &m.once
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begun[onceKey{app, o.Key}] = begun{o.Body, answer, true, time.Now().Add(OnceKept)}
	return nil
}

// first notes that a message is published, and says whether it was not before.
func (k *memoryOnce) first(app string, p Part) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, now := partKey{app, p}, time.Now()
	if ends, known := k.parts[key]; known && now.Before(ends) {
		return false
	}
	if k.parts == nil {
		k.parts = make(map[partKey]time.Time)
	}
	k.parts[key] = now.Add(OnceKept)
	return true
}

// expire forgets what is known for long.
func (k *memoryOnce) expire(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.begun, func(_ onceKey, b begun) bool { return now.After(b.ends) })
	maps.DeleteFunc(k.parts, func(_ partKey, ends time.Time) bool { return now.After(ends) })
}
