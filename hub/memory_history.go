package hub

import (
	"context"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// memoryHistory is what a channel keeps of its events. Its shard's lock guards it.
type memoryHistory struct {
	events []PastEvent // oldest first
	bytes  int
	gone   uint64 // the last number that is not kept any more; 0 = none was
	age    time.Duration
	total  *atomic.Int64 // bytes of all histories of the app
}

// pastBytes is what an event takes beside its frame.
const pastBytes = 96

func (e *PastEvent) bytes() int { return len(e.Frame) + len(e.Exclude) + pastBytes }

// now is the time as a number. It goes on evenly when the machine's clock is set.
func (m *Memory) now() uint64 { return m.began + uint64(time.Since(m.start).Microseconds()) } //nolint:gosec // not negative

// before is the number of an earlier time.
func before(now uint64, d time.Duration) uint64 { return now - min(now, uint64(d.Microseconds())) } //nolint:gosec // not negative

// historyTotals are the bytes of the histories, by app.
type historyTotals struct{ apps sync.Map }

func (t *historyTotals) of(app string) *atomic.Int64 {
	if found, ok := t.apps.Load(app); ok {
		return found.(*atomic.Int64)
	}
	made, _ := t.apps.LoadOrStore(app, new(atomic.Int64))
	return made.(*atomic.Int64)
}

// hasRoom says whether the app's histories have room for a message.
func (m *Memory) hasRoom(msg *Message) bool {
	e := PastEvent{Frame: msg.Frame, Exclude: msg.Exclude}
	return m.totals.of(msg.Topic.App).Load()+int64(e.bytes()) <= int64(msg.Keep.Total)
}

// keep numbers a message and puts it into its channel's history. The number is the time,
// or one more than the last: so it rises when the server is started again.
func (m *Memory) keep(s *memoryShard, msg *Message) {
	now := m.now()
	s.seq = max(s.seq+1, now)
	msg.Seq = s.seq
	h := s.histories[msg.Topic]
	if h == nil {
		h = &memoryHistory{total: m.totals.of(msg.Topic.App)}
		s.histories[msg.Topic] = h
	}
	h.age = msg.Keep.Age
	e := PastEvent{Seq: msg.Seq, Frame: msg.Frame, Exclude: msg.Exclude}
	h.events = append(h.events, e)
	h.grow(e.bytes())
	h.drop(h.over(msg.Keep, now))
}

// over counts the oldest events that there is no room for, and those that have become too
// old. The newest stays.
func (h *memoryHistory) over(most *History, now uint64) int {
	n, bytes := 0, h.bytes
	for last := len(h.events) - 1; n < last; n++ {
		e := &h.events[n]
		if last+1-n <= most.Events && bytes <= most.Bytes && e.Seq >= before(now, h.age) {
			break
		}
		bytes -= e.bytes()
	}
	return n
}

func (h *memoryHistory) grow(bytes int) {
	h.bytes += bytes
	h.total.Add(int64(bytes))
}

// old counts the events that have become too old.
func (h *memoryHistory) old(now uint64) int {
	n := 0
	for n < len(h.events) && h.events[n].Seq < before(now, h.age) {
		n++
	}
	return n
}

// drop removes the oldest events.
func (h *memoryHistory) drop(n int) {
	if n == 0 {
		return
	}
	for i := range n {
		h.grow(-h.events[i].bytes())
	}
	h.gone = max(h.gone, h.events[n-1].Seq)
	clear(h.events[:n])
	h.events = h.events[n:]
}

// expire drops what has become too old, and says whether there was nothing for so long
// that the history itself can be forgotten.
func (h *memoryHistory) expire(now uint64) bool {
	h.drop(h.old(now))
	return len(h.events) == 0 && h.gone < before(now, h.age+HistorySlack)
}

// Past implements State.
func (m *Memory) Past(_ context.Context, t Topic, age time.Duration, span Span) (Past, error) {
	s := m.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	h := s.histories[t]
	if h == nil {
		return Past{Gone: max(m.began, before(now, age))}, nil
	}
	h.drop(h.old(now))
	past := Past{Gone: max(h.gone, m.began)}
	found := h.events[sort.Search(len(h.events), func(i int) bool { return h.events[i].Seq > span.After }):]
	past.More = len(found) > span.Most
	count := min(len(found), span.Most)
	if !span.Newest {
		past.Events = append(past.Events, found[:count]...)
		return past, nil
	}
	for i := range count {
		past.Events = append(past.Events, found[len(found)-1-i])
	}
	return past, nil
}

// Erase implements State.
func (m *Memory) Erase(_ context.Context, t Topic, seq uint64) (int, error) {
	s := m.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.histories[t]
	if h == nil {
		return 0, nil
	}
	if seq == 0 {
		n := len(h.events)
		h.drop(n)
		return n, nil
	}
	i := sort.Search(len(h.events), func(i int) bool { return h.events[i].Seq >= seq })
	if i == len(h.events) || h.events[i].Seq != seq {
		return 0, nil
	}
	h.grow(-h.events[i].bytes())
	h.gone = max(h.gone, seq)
	h.events = append(h.events[:i:i], h.events[i+1:]...)
	return 1, nil
}
