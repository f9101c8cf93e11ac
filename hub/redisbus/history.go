package redisbus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
)

const (
	// HistoryShare says which part of hub.History.Total a partition may have: four times an
	// equal share. So a channel may have no more.
	HistoryShare = partitions / 4
	// historyCost is what an entry takes beside its text, in bytes.
	historyCost = 64
)

// Past implements hub.State.
func (b *Bus) Past(ctx context.Context, t hub.Topic, age time.Duration, span hub.Span) (hub.Past, error) {
	p := partitionOf(t)
	r := historyReader{topic: t, age: age, span: span, now: b.out[p].server.Load().now()}
	key := b.keys.history(p, t)
	pipe := b.reads.TxPipeline()
	first := pipe.XRangeN(ctx, key, r.from(), "+", 1)
	page := first
	switch {
	case span.Newest:
		page = pipe.XRevRangeN(ctx, key, "+", r.from(), int64(span.Most)+1)
	case span.Most > 0:
		page = pipe.XRangeN(ctx, key, r.from(), "+", int64(span.Most)+1)
	}
	known := pipe.HGet(ctx, b.keys.histories(p, t.App), t.Channel)
	epoch := pipe.HGet(ctx, b.keys.partition(p), "epoch")
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return hub.Past{}, unavailable(err)
	}
	return r.read(first.Val(), page.Val(), known.Val(), digitsOf(epoch.Val()))
}

// historyReader understands what Redis has of a channel's history.
type historyReader struct {
	topic hub.Topic
	age   time.Duration
	span  hub.Span
	now   uint64 // at the server, in µs; 0 = not known
}

// begins is the number from which on events are not too old.
func (r *historyReader) begins() uint64 {
	return r.now - min(r.now, uint64(r.age.Microseconds())) //nolint:gosec // not negative
}

// from is the id of the first entry that is wanted.
func (r *historyReader) from() string {
	return strconv.FormatUint(max(min(r.span.After, math.MaxUint64-1)+1, r.begins()), 10)
}

func (r *historyReader) read(first, page []redis.XMessage, known string, epoch uint64) (hub.Past, error) {
	past := hub.Past{More: len(page) > r.span.Most}
	for _, m := range page[:min(len(page), r.span.Most)] {
		e, _, err := entryOf(m)
		if err != nil {
			return hub.Past{}, fmt.Errorf("history of %s: %w", r.topic.Channel, err)
		}
		past.Events = append(past.Events, e)
	}
	gone, err := r.gone(first, known)
	if err != nil {
		return hub.Past{}, fmt.Errorf("history of %s: %w", r.topic.Channel, err)
	}
	past.Whole = r.span.After >= max(gone, epoch)
	return past, nil
}

// gone is the last number, behind the one that is asked for, that is not kept any more. It
// is that one or lower when nothing is missing.
func (r *historyReader) gone(first []redis.XMessage, known string) (uint64, error) {
	fields := strings.Fields(known)
	if len(fields) < 4 {
		return r.begins(), nil // nothing for so long that it is not known any more
	}
	erased := digitsOf(fields[3])
	if len(first) == 0 {
		return max(erased, digitsOf(fields[0])), nil
	}
	_, before, err := entryOf(first[0])
	return max(erased, before), err
}

// entryOf reads an entry, and the number of the event before it; see lua/history.lua.
func entryOf(m redis.XMessage) (e hub.PastEvent, before uint64, err error) {
	text, _ := m.Values["m"].(string)
	head, body, ok := strings.Cut(text, ":")
	if !ok || body == "" {
		return e, 0, errMalformed
	}
	digits, _, _ := strings.Cut(head, " ")
	b, err := parseBody(body)
	if err != nil || b.kind != eventKind {
		return e, 0, errors.Join(errMalformed, err)
	}
	number, _, _ := strings.Cut(m.ID, "-")
	e = hub.PastEvent{Seq: digitsOf(number), Frame: []byte(b.rest), Exclude: b.user}
	return e, digitsOf(digits), nil
}

// Erase implements hub.State.
func (b *Bus) Erase(ctx context.Context, t hub.Topic, seq uint64) (int, error) {
	p := partitionOf(t)
	for again := false; ; again = true {
		reply, err := answerOf(b.eval(ctx, b.reads, p, b.id, eraseCall{t, seq}))
		switch what := outcomeOf(reply, err); {
		case what == done && len(reply) > 1:
			count, _ := reply[1].(int64)
			return int(count), nil
		case what == notLoaded && !again:
			if err := b.out[p].server.Load().loadScripts(ctx); err != nil {
				return 0, unavailable(err)
			}
		default:
			return 0, unavailable(errors.Join(err, errDoubt))
		}
	}
}
