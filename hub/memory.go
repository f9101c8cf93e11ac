package hub

import (
	"hash/maphash"
	"maps"
	"sync"
	"time"

	"channels/protocol"
)

// memoryShards is how many locks the channels of a Memory are spread over.
const memoryShards = 64

// Memory is the Bus and the State of a single node. Its methods call done before
// they return, but where occurrences are written first; see NoteOccurrences.
type Memory struct {
	seed   maphash.Seed
	shards [memoryShards]memoryShard
	quotas memoryQuotas
	totals historyTotals
	marks  memoryMarks
	once   memoryOnce
	start  time.Time // with a monotonic reading
	began  uint64    // the same, in µs since 1970; all numbers are higher
	stop   chan struct{}
	done   sync.WaitGroup

	written func(then func()) // nil = nothing is
}

// NoteOccurrences has a function be told of every occurrence, in order for each channel.
// It is called under a lock, and must not block or call the Memory. Joins and Publishes
// that make occurrences are answered through written, which calls then once they are
// written; nil = at once. Both are set before anything else is done.
func (m *Memory) NoteOccurrences(note func(Occurrence), written func(then func())) {
	m.written = written
	for i := range m.shards {
		m.shards[i].note = note
	}
}

var (
	_ Bus   = (*Memory)(nil)
	_ State = (*Memory)(nil)
)

// memoryShard holds a part of the channels. Its lock is held from the numbering of
// a message until the receiver has it, so that messages arrive in order; receivers
// do not block. All its methods but expire are called with the lock held.
type memoryShard struct {
	mu       sync.Mutex
	seq      uint64 // of the last message of any of the channels
	channels map[Topic]*memoryChannel
	expiring []expiry // one for each channel with a cached event

	histories map[Topic]*memoryHistory

	note   func(Occurrence)    // nil = nobody is told
	missed map[Topic]time.Time // when somebody last found a cache channel empty

	terminated map[Topic]time.Time // by status channel: when its user was last terminated
}

// memoryChannel exists while it has a receiver, subscribers, members or a cached
// event.
type memoryChannel struct {
	receiver    Receiver
	subscribers int
	members     []protocol.Member // in no order
	places      map[string]int    // user id to index in members; nil while they are few
	cached      []byte            // frame of the cached event; nil = none
	expires     time.Time         // when the cached event does
	counted     time.Time         // when the subscription count was last sent
	countDue    bool              // a timer will send it
}

// expiry says when to check whether a channel's cached event has expired.
type expiry struct {
	topic Topic
	at    time.Time
}

// cacheSweep is how often expired events are removed from memory. They are not
// served after they have expired, also before they are removed.
const cacheSweep = 30 * time.Second

// NewMemory returns a running Memory; Close ends it.
func NewMemory() *Memory {
	m := &Memory{seed: maphash.MakeSeed(), stop: make(chan struct{}), start: time.Now()}
	m.began = uint64(m.start.UnixMicro()) //nolint:gosec // it is after 1970
	for i := range m.shards {
		m.shards[i].seq = m.began
		m.shards[i].channels = make(map[Topic]*memoryChannel)
		m.shards[i].histories = make(map[Topic]*memoryHistory)
	}
	m.done.Go(m.sweep)
	return m
}

// Close stops the Memory's goroutine and returns when it has ended.
func (m *Memory) Close() {
	close(m.stop)
	m.done.Wait()
}

func (m *Memory) sweep() {
	tick := time.NewTicker(cacheSweep)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case now := <-tick.C:
			for i := range m.shards {
				m.shards[i].expire(now, m.now())
			}
			m.marks.expire(now)
			m.once.expire(now)
		}
	}
}

func (m *Memory) shard(t Topic) *memoryShard {
	return &m.shards[maphash.Comparable(m.seed, t)%memoryShards]
}

// Follow implements Bus.
func (m *Memory) Follow(t Topic, r Receiver, done func(error)) {
	s := m.shard(t)
	s.mu.Lock()
	s.channel(t).receiver = r
	s.mu.Unlock()
	done(nil)
}

// Unfollow implements Bus.
func (m *Memory) Unfollow(t Topic, r Receiver) {
	s := m.shard(t)
	s.mu.Lock()
	if ch := s.channels[t]; ch != nil && ch.receiver == r {
		ch.receiver = nil
		s.forgetIfIdle(t, ch)
	}
	s.mu.Unlock()
}

// Publish implements Bus.
func (m *Memory) Publish(msg Message, done func(error)) {
	if msg.Keep != nil && !m.hasRoom(&msg) {
		done(ErrHistoryFull)
		return
	}
	if msg.Once != nil && !m.once.first(msg.Topic.App, *msg.Once) {
		done(nil)
		return
	}
	s := m.shard(msg.Topic)
	s.mu.Lock()
	if msg.CacheFor > 0 {
		s.cache(msg)
	}
	if msg.Signal == Terminate {
		s.terminate(msg.Topic)
	}
	if msg.Keep != nil {
		m.keep(s, &msg)
	}
	if ch := s.channels[msg.Topic]; ch != nil {
		s.send(ch, msg)
	}
	if msg.Occurs != nil && s.note != nil {
		s.note(*msg.Occurs)
	}
	s.mu.Unlock()
	if msg.Occurs != nil && m.written != nil {
		m.written(func() { done(nil) })
		return
	}
	done(nil)
}

// Err implements Bus: memory does not fail.
func (m *Memory) Err() error { return nil }

// TopicErr implements Bus.
func (m *Memory) TopicErr(Topic) error { return nil }

// send gives a message to the channel's receiver, if there is one. It numbers those that
// have no number yet.
func (s *memoryShard) send(ch *memoryChannel, msg Message) {
	if msg.Seq == 0 {
		s.seq++
		msg.Seq = s.seq
	}
	if ch.receiver != nil {
		ch.receiver.Receive(msg)
	}
}

func (s *memoryShard) channel(t Topic) *memoryChannel {
	ch := s.channels[t]
	if ch == nil {
		ch = &memoryChannel{}
		s.channels[t] = ch
	}
	return ch
}

func (s *memoryShard) forgetIfIdle(t Topic, ch *memoryChannel) {
	if ch.receiver == nil && ch.subscribers == 0 && len(ch.members) == 0 && ch.cached == nil {
		delete(s.channels, t)
	}
}

func (s *memoryShard) terminate(t Topic) {
	if s.terminated == nil {
		s.terminated = make(map[Topic]time.Time)
	}
	s.terminated[t] = time.Now()
}

// revoked says whether a connection, opened at the given time, was open when the
// user of the status channel was last terminated.
func (s *memoryShard) revoked(t Topic, opened time.Time) bool {
	at, ok := s.terminated[t]
	return ok && !opened.After(at)
}

func (s *memoryShard) cache(msg Message) {
	ch := s.channel(msg.Topic)
	if ch.cached == nil {
		s.expiring = append(s.expiring, expiry{msg.Topic, time.Now().Add(msg.CacheFor)})
	}
	ch.cached = msg.Frame
	ch.expires = time.Now().Add(msg.CacheFor)
}

// expire removes the cached events and the histories that have expired, and the memory of
// Terminates that are older than TerminateKept; number is now as a number. An event that was published again since its
// expiry was noted is checked again when it expires.
func (s *memoryShard) expire(now time.Time, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.expiring[:0]
	for _, e := range s.expiring {
		ch := s.channels[e.topic]
		switch {
		case ch == nil || ch.cached == nil:
		case now.Before(ch.expires):
			kept = append(kept, expiry{e.topic, ch.expires})
		default:
			ch.cached = nil
			s.forgetIfIdle(e.topic, ch)
		}
	}
	clear(s.expiring[len(kept):])
	s.expiring = kept
	maps.DeleteFunc(s.histories, func(_ Topic, h *memoryHistory) bool { return h.expire(number) })
	maps.DeleteFunc(s.missed, func(_ Topic, at time.Time) bool { return now.Sub(at) >= missInterval })
	maps.DeleteFunc(s.terminated, func(_ Topic, at time.Time) bool { return now.Sub(at) >= TerminateKept })
}
