package redisbus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"channels/hub"
)

const (
	// HistoryShare says which part of hub.History.Total a partition may have: four times an
	// equal share. So a channel may have no more.
	HistoryShare = partitions / 4
	// historyCost is what an entry takes beside its text, in bytes.
	historyCost = 64
)

// pastCall is lua/past.lua.
type pastCall struct {
	topic hub.Topic
	age   time.Duration
	span  hub.Span
}

func (pastCall) script(s *scripts) *script { return &s.past }

func (c pastCall) args() []any {
	after := strconv.FormatUint(min(c.span.After, math.MaxUint64-1)+1, 10)
	return []any{appKey(c.topic.App), c.topic.Channel, after, c.age.Microseconds(), c.span.Most + 1, flag(c.span.Newest)}
}

// Past implements hub.State.
func (b *Bus) Past(ctx context.Context, t hub.Topic, age time.Duration, span hub.Span) (hub.Past, error) {
	reply, err := b.call(ctx, partitionOf(t), pastCall{t, age, span})
	if err != nil {
		return hub.Past{}, err
	}
	past, err := pastOf(reply, span.Most)
	if err != nil {
		return hub.Past{}, fmt.Errorf("history of %s: %w", t.Channel, err)
	}
	return past, nil
}

// pastOf reads the answer of lua/past.lua.
func pastOf(reply []any, most int) (hub.Past, error) {
	if len(reply) != 6 {
		return hub.Past{}, errMalformed
	}
	words, err := wordsOf(reply[:4])
	if err != nil {
		return hub.Past{}, err
	}
	first, err := entriesOf(reply[4])
	if err != nil {
		return hub.Past{}, err
	}
	page, err := entriesOf(reply[5])
	if err != nil {
		return hub.Past{}, err
	}
	past := hub.Past{More: len(page) > most}
	for _, e := range page[:min(len(page), most)] {
		past.Events = append(past.Events, e.event)
	}
	past.Gone = max(digitsOf(words[1]), goneOf(words[3], first, digitsOf(words[2])))
	return past, nil
}

// goneOf is the last number that is not there any more: live is the number from which on
// events are not too old.
func goneOf(known string, first []entry, live uint64) uint64 {
	fields := strings.Fields(known)
	if len(fields) < 4 {
		return live // nothing for so long that it is not known any more
	}
	last, erased := digitsOf(fields[0]), digitsOf(fields[3])
	if len(first) == 0 {
		return max(erased, last)
	}
	return max(erased, first[0].before)
}

// entry is one of a history's; see lua/history.lua.
type entry struct {
	before uint64 // the number of the event before it
	event  hub.PastEvent
}

func entriesOf(reply any) ([]entry, error) {
	list, _ := reply.([]any)
	entries := make([]entry, 0, len(list))
	for _, each := range list {
		pair, _ := each.([]any)
		if len(pair) != 2 {
			return nil, errMalformed
		}
		id, _ := pair[0].(string)
		fields, _ := pair[1].([]any)
		if len(fields) != 2 {
			return nil, errMalformed
		}
		text, _ := fields[1].(string)
		e, err := entryOf(id, text)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func entryOf(id, text string) (entry, error) {
	head, body, ok := strings.Cut(text, ":")
	if !ok || body == "" {
		return entry{}, errMalformed
	}
	b, err := parseBody(body)
	if err != nil || b.kind != eventKind {
		return entry{}, errors.Join(errMalformed, err)
	}
	before, _, _ := strings.Cut(head, " ")
	number, _, _ := strings.Cut(id, "-")
	return entry{digitsOf(before), hub.PastEvent{Seq: digitsOf(number), Frame: []byte(b.rest), Exclude: b.user}}, nil
}

// Erase implements hub.State.
func (b *Bus) Erase(ctx context.Context, t hub.Topic, seq uint64) (int, error) {
	reply, err := b.call(ctx, partitionOf(t), eraseCall{t, seq})
	if err != nil {
		return 0, err
	}
	if len(reply) < 2 {
		return 0, errMalformed
	}
	count, _ := reply[1].(int64)
	return int(count), nil
}
