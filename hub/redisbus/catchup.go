package redisbus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// catchUpPage is how many messages of the log are read at once.
const catchUpPage = 500

var errBehind = errors.New("too much has come before what was missed")

// missed is what a partition's logs have after a mark.
type missed struct {
	arrivals []arrival
	behind   map[string]bool // apps whose logs do not go back to the mark
	logged   uint64          // the last number in a log, also if the log has forgotten it
	known    uint64          // the highest of an event that a node knew to have been logged before the last loss
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
	// What a node knew to have been logged before a loss has come if it was published at a
	// time when the connection still worked.
	mark, came, apps := in.mark, in.gap.from+uint64(sameTime.Microseconds()), in.apps()
	in.mu.Unlock()
	m, err := in.bus.readLogs(ctx, in.index, apps, mark)
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
	if m.known > max(mark, came) {
		in.missedTooMuch(mark, nil)
	} else if len(m.behind) > 0 {
		in.missedTooMuch(mark, m.behind)
	}
	in.gap.end(m.epoch, m.logged >= in.received)
	in.replay(m.arrivals)
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
		in.missedTooMuch(in.judged, nil)
	}
	in.judging = false
	if in.line != nil {
		in.gap.settle()
	}
}

// replay gives what was missed, and then what was kept, to the topics. What was
// not listened to before this connection has missed nothing. The lock is held.
func (in *incoming) replay(arrivals []arrival) {
	refilled := uint64(0)
	for i, a := range append(arrivals, in.ahead...) {
		t, read := in.topics[a.channel], i < len(arrivals)
		if t == nil {
			continue
		}
		in.note(t, a.seq, a.body)
		if a.seq <= t.last || read && (!t.old || a.seq <= t.floor) {
			continue
		}
		if read {
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

// missedTooMuch tells the partition's receivers, or those of some apps, that something
// came after a place in the order, and was missed. Who was not told of a channel before
// that has missed nothing, and where there is nobody nothing is lost. The lock is held.
func (in *incoming) missedTooMuch(after uint64, of map[string]bool) {
	if s := in.bus.out[in.index].server.Load(); s.now() > 0 && of == nil {
		in.gap.from, in.judged = s.now(), s.now() // nobody is told twice
	}
	if told := in.loseAll(after, of); told > 0 {
		in.bus.stats.lost.Add(1)
		in.bus.lostLog.tell("messages were missed for good: sockets reconnect", "partition", in.index)
	}
}

// apps are those that the partition's topics are of, as they stand in keys. The lock is
// held.
func (in *incoming) apps() []string {
	found := make(map[string]bool)
	for _, t := range in.topics {
		found[appKey(t.name.App)] = true
	}
	return slices.Collect(maps.Keys(found))
}

// readLogs reads the apps' logs in a partition from behind the mark.
func (b *Bus) readLogs(ctx context.Context, partition int, apps []string, mark uint64) (missed, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m := missed{behind: make(map[string]bool)}
	for _, app := range apps {
		if err := b.readLog(ctx, partition, app, mark, &m); err != nil {
			return missed{}, err
		}
	}
	return m, nil
}

// readLog reads an app's log, page by page. Each page's first entry names the one before:
// so nothing was trimmed in between.
func (b *Bus) readLog(ctx context.Context, partition int, app string, from uint64, m *missed) error {
	for {
		page, last, err := b.readPage(ctx, partition, app, from, m)
		if err != nil {
			return err
		}
		for i, entry := range page {
			previous, a, err := b.arrivalOf(partition, entry)
			if err != nil {
				return err
			}
			if i == 0 && previous > from {
				m.behind[app] = true
			}
			m.arrivals = append(m.arrivals, a)
			from = a.seq
		}
		if len(page) < catchUpPage {
			if last > from {
				m.behind[app] = true
			}
			return nil
		}
	}
}

// readPage reads a page of an app's log and the last number that the log had, and what
// else is known of the partition.
func (b *Bus) readPage(ctx context.Context, partition int, app string, from uint64, m *missed) ([]redis.XMessage, uint64, error) {
	pipe := b.reads.Pipeline()
	fields := pipe.HMGet(ctx, b.keys.partition(partition), "known", "epoch", "gone", "log "+app)
	page := pipe.XRangeN(ctx, b.keys.log(partition, app), "("+strconv.FormatUint(from, 10)+"-0", "+", catchUpPage)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, 0, err
	}
	of := func(i int) uint64 {
		word, _ := fields.Val()[i].(string)
		return digitsOf(word)
	}
	last := of(2) // it may be one of those that are gone
	if log, ok := fields.Val()[3].(string); ok {
		word, _, _ := strings.Cut(log, " ")
		last = digitsOf(word)
	}
	m.known, m.epoch, m.logged = of(0), of(1), max(m.logged, last)
	return page.Val(), last, nil
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
