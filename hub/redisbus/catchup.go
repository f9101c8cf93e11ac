package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// catchUpPage is how many messages of the log are read at once.
const catchUpPage = 500

// missed is what a partition's log has after a mark.
type missed struct {
	arrivals []arrival
	// whole is false when the log does not go back to the mark.
	whole bool
	// anew is true when Redis knows less than the mark: it was started empty, or
	// is a replica that was behind.
	anew bool
}

// catchUp reads what a partition has missed while there was no connection, gives
// it to the topics, then what has come meanwhile. When it cannot be read the
// connection ends, and the next one tries again.
func (f *feed) catchUp(ctx context.Context, l *line, p *part) {
	select {
	case f.reading <- struct{}{}:
		defer func() { <-f.reading }()
	case <-ctx.Done():
		return
	}
	if f.bus.room != nil && f.bus.room(ctx) != nil {
		return
	}
	f.mu.Lock()
	mark := p.mark
	f.mu.Unlock()
	m, err := f.bus.readLog(ctx, p.index, mark)
	if err != nil {
		if ctx.Err() == nil {
			f.bus.log.Warn("cannot read what was missed", "partition", p.index, "error", err)
		}
		_ = l.pubsub.Close()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line != l {
		return
	}
	if !m.whole || m.anew && f.brokeEarly() {
		f.missedTooMuch(p)
	}
	f.replay(l, p, m.arrivals)
}

// brokeEarly says whether the last connection ended while Redis still worked:
// then something may have been published that Redis has forgotten since. The
// lock is held.
func (f *feed) brokeEarly() bool {
	const atOnce = time.Second
	return time.UnixMilli(f.bus.downAt.Load()).Sub(f.broke) > atOnce
}

// replay gives what was missed, and then what was kept, to the topics. What was
// not listened to before this connection has missed nothing.
func (f *feed) replay(l *line, p *part, arrivals []arrival) {
	refilled := uint64(0)
	for i, a := range append(arrivals, p.ahead...) {
		t, logged := f.topics[a.channel], i < len(arrivals)
		if t == nil || a.seq <= t.last || logged && (t.first == nil || t.first == l) {
			continue
		}
		if logged {
			refilled++
		}
		if err := t.deliver(a.seq, a.body); err != nil {
			f.bus.log.Error("a message cannot be read", "channel", a.channel, "error", err)
		}
		p.mark = max(p.mark, a.seq)
	}
	p.ahead, p.bytes, p.ready = nil, 0, true
	f.bus.stats.refilled.Add(refilled)
	if refilled > 0 {
		f.bus.stats.gaps.Add(1)
	}
}

// missedTooMuch tells the partition's receivers. Where there are none nothing is
// lost.
func (f *feed) missedTooMuch(p *part) {
	told := 0
	for _, t := range f.topics {
		if t.part != p {
			continue
		}
		t.reset()
		if t.receiver != nil {
			t.receiver.Lost()
			told++
		}
	}
	if told > 0 {
		f.bus.stats.lost.Add(1)
		f.bus.log.Warn("messages were missed for good: sockets reconnect", "partition", p.index, "channels", told)
	}
}

// readLog reads a partition's log from behind the mark.
func (b *Bus) readLog(ctx context.Context, partition int, mark uint64) (missed, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var m missed
	from := mark
	for first := true; ; first = false {
		pipe := b.client.Pipeline()
		logged := pipe.HGet(ctx, b.keys.partition(partition), "log")
		page := pipe.XRangeN(ctx, b.keys.log(partition), "("+strconv.FormatUint(from, 10)+"-0", "+", catchUpPage)
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return missed{}, err
		}
		if first {
			m.judge(mark, logged.Val(), page.Val())
		} else {
			m.whole = m.whole && follows(page.Val(), from)
		}
		for _, entry := range page.Val() {
			a, err := b.arrivalOf(partition, entry)
			if err != nil {
				return missed{}, err
			}
			m.arrivals = append(m.arrivals, a)
			from = a.seq
		}
		if len(page.Val()) < catchUpPage {
			return m, nil
		}
	}
}

// judge says whether the log goes back to the mark: its first entry behind it
// names the one before.
func (m *missed) judge(mark uint64, logged string, page []redis.XMessage) {
	last, _ := strconv.ParseUint(logged, 10, 64) // none is 0
	if len(page) == 0 {
		m.anew, m.whole = last < mark, last <= mark
		return
	}
	m.whole = follows(page, mark)
	previous, _, err := cutPrevious(page[0])
	m.anew = err == nil && previous == 0 && mark > 0
}

// follows says whether nothing was trimmed between a number and a page of the
// log: the page's first entry names the one before it.
func follows(page []redis.XMessage, from uint64) bool {
	if len(page) == 0 {
		return true
	}
	previous, _, err := cutPrevious(page[0])
	return err == nil && previous <= from
}

func (b *Bus) arrivalOf(partition int, entry redis.XMessage) (arrival, error) {
	number, _, _ := strings.Cut(entry.ID, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return arrival{}, fmt.Errorf("%w: entry %s of the log", errMalformed, entry.ID)
	}
	_, rest, err := cutPrevious(entry)
	if err != nil {
		return arrival{}, err
	}
	topic, body, err := cutString(rest)
	if err != nil {
		return arrival{}, err
	}
	return arrival{b.keys.pubsubChannel(partition, topic), seq, body}, nil
}

// cutPrevious takes the number of the entry before it off an entry of the log.
func cutPrevious(entry redis.XMessage) (previous uint64, rest string, err error) {
	message, _ := entry.Values["m"].(string)
	digits, rest, _ := strings.Cut(message, " ")
	previous, err = strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("%w: entry %s of the log", errMalformed, entry.ID)
	}
	return previous, rest, nil
}
