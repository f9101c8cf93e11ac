package redisbus

import (
	"context"
	"encoding/hex"
	"strconv"

	"channels/hub"
)

// beginCall is lua/begin.lua.
type beginCall struct {
	key string
	o   hub.Once
}

func (beginCall) script(s *scripts) *script { return &s.begin }

func (c beginCall) args() []any {
	return []any{c.key, string(c.o.Body[:]), hub.OnceKept.Milliseconds()}
}

// partKey names a message of a request that is to be carried out once.
func partKey(p *hub.Part) string { return hex.EncodeToString(p.Key[:]) + ":" + strconv.Itoa(p.Index) }

// onceAt is where a request is that is to be carried out once, and its name there.
func onceAt(app string, o hub.Once) (partition int, name string) {
	name = appKey(app) + ":" + hex.EncodeToString(o.Key[:])
	return spread(name), name
}

// Begin implements hub.State.
func (b *Bus) Begin(ctx context.Context, app string, o hub.Once) (answer []byte, answered bool, err error) {
	p, name := onceAt(app, o)
	reply, err := b.call(ctx, p, beginCall{name, o})
	if err != nil {
		return nil, false, err
	}
	words, err := wordsOf(reply)
	if err != nil || len(words) < 3 {
		return nil, false, unavailable(errMalformed)
	}
	if words[1] == "other" {
		return nil, false, hub.ErrOtherBody
	}
	return []byte(words[2]), words[1] == "answered", nil
}

// Finish implements hub.State.
func (b *Bus) Finish(ctx context.Context, app string, o hub.Once, answer []byte) error {
	p, name := onceAt(app, o)
	text := append(append([]byte{}, o.Body[:]...), '1')
	if err := b.reads.Set(ctx, b.keys.request(p, name), append(text, answer...), hub.OnceKept).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}
