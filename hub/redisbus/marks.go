package redisbus

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
)

// claimCall is lua/claim.lua.
type claimCall struct {
	token hub.Token
	owner hub.Owner
	life  time.Duration
}

func (claimCall) script(s *scripts) *script { return &s.claim }

func (c claimCall) args() []any {
	return []any{tokenKey(c.token), ownerText(c.owner), c.life.Milliseconds()}
}

// noteCall is lua/note.lua.
type noteCall struct{ marks []hub.Mark }

func (noteCall) script(s *scripts) *script { return &s.note }

func (c noteCall) args() []any {
	args := make([]any, 0, 1+4*len(c.marks))
	args = append(args, len(c.marks))
	for _, m := range c.marks {
		args = append(args, tokenKey(m.Token), ownerText(m.Owner), m.Text, m.Life.Milliseconds())
	}
	return args
}

// tokenKey is a token as it stands in keys.
func tokenKey(t hub.Token) string { return appKey(t.App) + ":" + hex.EncodeToString(t.Hash[:]) }

// tokenHome is where a token is.
func tokenHome(t hub.Token) int { return spread(tokenKey(t)) }

// ownerBytes is how long an owner is, as Redis has it.
const ownerBytes = 16

func ownerText(o hub.Owner) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(o.Node[:]), o.Conn)
}

// Claim implements hub.State.
func (b *Bus) Claim(t hub.Token, owner hub.Owner, life time.Duration, answer func(hub.Claimed, error)) {
	b.running.Go(func() {
		reply, err := b.call(b.lifetime, tokenHome(t), claimCall{t, owner, life})
		if err != nil {
			answer(hub.Claimed{}, err)
			return
		}
		answer(claimedOf(reply))
	})
}

func claimedOf(reply []any) (hub.Claimed, error) {
	words, err := wordsOf(reply)
	if err != nil || len(words) < 4 {
		return hub.Claimed{}, unavailable(errMalformed)
	}
	c := hub.Claimed{Now: digitsOf(words[1]), Since: digitsOf(words[2])}
	if text := words[3]; len(text) > ownerBytes {
		c.Known, c.Own, c.Text = true, text[ownerBytes] == '1', []byte(text[ownerBytes+1:])
		c.Owner = hub.Owner{Node: hub.NodeID([]byte(text[:8])), Conn: binary.BigEndian.Uint64([]byte(text[8:ownerBytes]))}
	}
	return c, nil
}

// mostMarks is how many marks one script keeps.
const mostMarks = 100

// Note implements hub.State.
func (b *Bus) Note(marks []hub.Mark, answer func(error)) {
	b.running.Go(func() {
		homes := make(map[int][]hub.Mark)
		for _, m := range marks {
			homes[tokenHome(m.Token)] = append(homes[tokenHome(m.Token)], m)
		}
		pipe := b.reads.Pipeline()
		var asked []*redis.Cmd
		for p, of := range homes {
			for part := range slices.Chunk(of, mostMarks) {
				asked = append(asked, b.eval(b.lifetime, pipe, p, b.id, noteCall{part}))
			}
		}
		_, _ = pipe.Exec(b.lifetime) // every command has its error
		var failed error
		missing := false
		for _, c := range asked {
			reply, err := answerOf(c)
			what := outcomeOf(reply, err)
			missing = missing || what == notLoaded
			if what != done {
				failed = errors.Join(err, errDoubt)
			}
		}
		if missing {
			for _, s := range b.router.all() {
				_ = s.loadScripts(b.lifetime) // the next attempt says what is wrong
			}
		}
		if failed != nil {
			failed = unavailable(failed)
		}
		answer(failed)
	})
}

// call runs a script that nothing waits for but the caller.
func (b *Bus) call(ctx context.Context, partition int, r request) ([]any, error) {
	for again := false; ; again = true {
		reply, err := answerOf(b.eval(ctx, b.reads, partition, b.id, r))
		switch what := outcomeOf(reply, err); {
		case what == done:
			return reply, nil
		case what == notLoaded && !again:
			if err := b.out[partition].server.Load().loadScripts(ctx); err != nil {
				return nil, unavailable(err)
			}
		default:
			return nil, unavailable(errors.Join(err, errDoubt))
		}
	}
}
