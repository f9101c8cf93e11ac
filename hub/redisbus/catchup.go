package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// catchUpPage is how many messages of the log are read at once.
const catchUpPage = 500

var errBehind = errors.New("too much has come before what was missed")

// missed is what a partition's log has after a mark.
type missed struct {
	arrivals []arrival
	whole    bool   // the log goes back to the mark
	logged   uint64 // the last number in the log, also if the log has forgotten it
	known    uint64 // the highest of an event that a node knew to have been logged before the last loss
	epoch    uint64
}

// catchUp reads what the partition has missed while there was no connection, gives
// it to the topics, then what has come meanwhile. When it cannot be read the
// connection ends, and the next one tries again.
func (in *incoming) catchUp(ctx context.Context, l *line) {
	select {
	case l.reading <- struct{}{}:
		defer func() { <-l.reading }()
	case <-ctx.Done():
		return
	}
	if in.bus.room != nil && in.bus.room(ctx) != nil {
		return
	}
	in.mu.Lock()
	mark, came := in.mark, in.gap.from+uint64(sameTime.Microseconds())
	in.mu.Unlock()
	m, err := in.bus.readLog(ctx, in.index, mark, came)
	if err != nil {
		if ctx.Err() == nil {
			in.bus.log.Warn("cannot read what was missed", "partition", in.index, "error", err)
		}
		l.hangUp()
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.line != l {
		return
	}
	if !m.whole {
		in.missedTooMuch(mark)
	}
	in.gap.end(m.epoch, m.logged >= in.received)
	in.epoch = m.epoch
	in.replay(m.arrivals)
}

// noteEpoch notes which data Redis has.
func (in *incoming) noteEpoch(epoch uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.epoch = epoch
}

// expectLoss is told that Redis has lost something. Whether that is something that
// has not come is known once all nodes have said what they knew.
func (in *incoming) expectLoss() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.judging {
		return
	}
	in.judging = true
	in.judged = in.gap.from
	if !in.gap.recent() {
		in.judged = max(in.received, in.bus.out[in.index].server.Load().now())
	}
}

// judge is told, once all nodes have said what they knew before a loss, the highest
// number of an event that any of them knew to have been logged. What was logged after the
// node's connection had broken, and is forgotten, cannot be read any more.
func (in *incoming) judge(known uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.judging && known > in.judged+uint64(sameTime.Microseconds()) {
		in.missedTooMuch(in.judged)
	}
	in.judging = false
	in.gap.settle(in.epoch, in.line != nil)
}

// replay gives what was missed, and then what was kept, to the topics. What was
// not listened to before this connection has missed nothing. The lock is held.
func (in *incoming) replay(arrivals []arrival) {
	refilled := uint64(0)
	for i, a := range append(arrivals, in.ahead...) {
		in.note(a.seq, a.body)
		t, logged := in.topics[a.channel], i < len(arrivals)
		if t == nil || a.seq <= t.last || logged && (!t.old || a.seq <= t.floor) {
			continue
		}
		if logged {
			refilled++
		}
		if err := in.deliver(t, a.seq, a.body); err != nil {
			in.bus.log.Error("a message cannot be read", "channel", a.channel, "error", err)
		}
	}
	in.mark = max(in.mark, in.received)
	in.ahead, in.bytes, in.ready = nil, 0, true
	for _, t := range in.topics {
		t.old = t.old || t.state == on
	}
	in.bus.stats.refilled.Add(refilled)
	if refilled > 0 {
		in.bus.stats.gaps.Add(1)
	}
}

// missedTooMuch tells the partition's receivers that something came after a place in
// the order, and was missed. Who was not told of a channel before that has missed
// nothing, and where there is nobody nothing is lost. The lock is held.
func (in *incoming) missedTooMuch(after uint64) {
	if s := in.bus.out[in.index].server.Load(); s.now() > 0 {
		in.gap.from, in.judged = s.now(), s.now() // nobody is told twice
	}
	if told := in.loseAll(after); told > 0 {
		in.bus.stats.lost.Add(1)
		in.bus.lostLog.tell("messages were missed for good: sockets reconnect", "partition", in.index)
	}
}

// readLog reads a partition's log from behind the mark. What a node knew to have
// been logged before a loss has come if it was published at a time when the
// connection still worked.
func (b *Bus) readLog(ctx context.Context, partition int, mark, came uint64) (missed, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m := missed{whole: true}
	for from := mark; ; {
		page, err := b.readPage(ctx, partition, from, &m)
		if err != nil {
			return missed{}, err
		}
		missing := func(number uint64) bool {
			return number > from && (number > m.known || number > came)
		}
		for i, entry := range page {
			previous, a, err := b.arrivalOf(partition, entry)
			if err != nil {
				return missed{}, err
			}
			// Each page's first entry names the one before: nothing was trimmed in
			// between.
			if i == 0 && missing(previous) {
				m.whole = false
			}
			m.arrivals = append(m.arrivals, a)
			from = a.seq
		}
		if len(page) < catchUpPage {
			m.whole = m.whole && !missing(m.logged)
			return m, nil
		}
	}
}

// readPage reads a page of the log, and what else is known of the partition.
func (b *Bus) readPage(ctx context.Context, partition int, from uint64, m *missed) ([]redis.XMessage, error) {
	pipe := b.reads.Pipeline()
	fields := pipe.HMGet(ctx, b.keys.partition(partition), "log", "known", "epoch")
	page := pipe.XRangeN(ctx, b.keys.log(partition), "("+strconv.FormatUint(from, 10)+"-0", "+", catchUpPage)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	of := func(i int) uint64 {
		word, _ := fields.Val()[i].(string)
		return digitsOf(word)
	}
	m.logged, m.known, m.epoch = of(0), of(1), of(2)
	return page.Val(), nil
}

// arrivalOf reads an entry of the log, and the number of the one before.
func (b *Bus) arrivalOf(partition int, entry redis.XMessage) (previous uint64, a arrival, err error) {
	number, _, _ := strings.Cut(entry.ID, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	message, _ := entry.Values["m"].(string)
	before, rest, ok := strings.Cut(message, " ")
	_, rest, more := strings.Cut(rest, " ") // how many bytes were logged before
	previous, notNumber := strconv.ParseUint(before, 10, 64)
	if err != nil || notNumber != nil || !ok || !more {
		return 0, arrival{}, fmt.Errorf("%w: entry %s of the log", errMalformed, entry.ID)
	}
	topic, body, err := cutString(rest)
	if err != nil {
		return 0, arrival{}, err
	}
	return previous, arrival{b.keys.pubsubChannel(partition, topic), seq, body}, nil
}
