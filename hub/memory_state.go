package hub

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"channels/protocol"
)

// Join implements State.
func (m *Memory) Join(j Join, done func(Joined, error)) {
	s := m.shard(j.Topic)
	s.mu.Lock()
	joined, err := s.join(j)
	s.mu.Unlock()
	if j.Hooks != 0 && m.written != nil {
		m.written(func() { done(joined, err) })
		return
	}
	done(joined, err)
}

func (s *memoryShard) join(j Join) (Joined, error) {
	if !j.Opened.IsZero() && s.revoked(j.Topic, j.Opened) {
		return Joined{}, ErrRevoked
	}
	ch := s.channel(j.Topic)
	if j.Member != nil {
		if err := s.admits(ch, j); err != nil {
			s.forgetIfIdle(j.Topic, ch)
			return Joined{}, err
		}
	}
	s.setSubscribers(ch, j.Topic, j.Subscribers, j.Hooks, false)
	if j.Member != nil {
		s.enter(ch, j)
	}
	joined := Joined{
		Seq:     s.seq,
		Roster:  s.seq,
		Members: slices.Clone(ch.members),
		Cached:  ch.live(time.Now()),
	}
	if joined.Cached == nil && j.Hooks.Has(HookCacheMiss) && protocol.KindOf(j.Topic.Channel).IsCache() {
		s.miss(j.Topic)
	}
	if j.Counted {
		s.count(j.Topic, ch)
	}
	return joined, nil
}

// admits says whether there is room for the joiner.
func (s *memoryShard) admits(ch *memoryChannel, j Join) error {
	if j.MaxMembers > 0 && len(ch.members) >= j.MaxMembers && ch.place(j.Member.ID) < 0 {
		return ErrPresenceFull
	}
	return nil
}

// enter puts the joiner on the roster, and announces a user who is new there.
// One who is there already gets the newer info, without a word.
func (s *memoryShard) enter(ch *memoryChannel, j Join) {
	if at := ch.place(j.Member.ID); at >= 0 {
		ch.members[at].Info = j.Member.Info
		return
	}
	ch.addMember(*j.Member)
	s.send(ch, Message{
		Topic:  j.Topic,
		Frame:  protocol.MemberAddedFrame(j.Topic.Channel, j.Member.ID, j.Member.Info),
		Signal: Entered,
		User:   j.Member.ID,
	})
	s.occur(j.Hooks, Occurrence{Kind: HookMemberAdded, Topic: j.Topic, User: j.Member.ID})
}

// setSubscribers notes how many there are.
func (s *memoryShard) setSubscribers(ch *memoryChannel, t Topic, count int, hooks Hooks, broken bool) {
	before := ch.subscribers
	ch.subscribers = count
	switch {
	case before == 0 && count > 0:
		s.occur(hooks, Occurrence{Kind: HookOccupied, Topic: t})
	case before > 0 && count == 0:
		s.occur(hooks, Occurrence{Kind: HookVacated, Topic: t, Broken: broken})
	}
	if before != count && hooks.Has(HookCount) && !protocol.KindOf(t.Channel).IsPresence() {
		s.occur(hooks, Occurrence{Kind: HookCount, Topic: t, Count: count})
	}
}

// missInterval is how often it is noted that a channel was found empty.
const missInterval = time.Second

func (s *memoryShard) miss(t Topic) {
	now := time.Now()
	if at, before := s.missed[t]; before && now.Sub(at) < missInterval {
		return
	}
	if s.missed == nil {
		s.missed = make(map[Topic]time.Time)
	}
	s.missed[t] = now
	s.occur(HookCacheMiss, Occurrence{Kind: HookCacheMiss, Topic: t})
}

// occur notes what somebody is told of.
func (s *memoryShard) occur(hooks Hooks, o Occurrence) {
	if s.note != nil && hooks.Has(o.Kind) {
		o.At = time.Now()
		s.note(o)
	}
}

// Leave implements State.
func (m *Memory) Leave(l Leave, done func(error)) {
	s := m.shard(l.Topic)
	s.mu.Lock()
	if ch := s.channels[l.Topic]; ch != nil {
		if l.Gone != "" {
			s.exit(ch, l)
		}
		s.setSubscribers(ch, l.Topic, l.Subscribers, l.Hooks, l.Broken)
		if l.Counted {
			s.count(l.Topic, ch)
		}
		s.forgetIfIdle(l.Topic, ch)
	}
	s.mu.Unlock()
	done(nil)
}

// exit takes a user off the roster, and announces it.
func (s *memoryShard) exit(ch *memoryChannel, l Leave) {
	at := ch.place(l.Gone)
	if at < 0 {
		return
	}
	ch.removeMember(at)
	s.send(ch, Message{
		Topic:  l.Topic,
		Frame:  protocol.MemberRemovedFrame(l.Topic.Channel, l.Gone),
		Signal: Left,
		User:   l.Gone,
	})
	s.occur(l.Hooks, Occurrence{Kind: HookMemberRemoved, Topic: l.Topic, User: l.Gone, Broken: l.Broken})
}

// manyMembers is where a roster gets a map, since searching becomes slower.
const manyMembers = 12

// place returns a user's index in members, -1 when there is none.
func (ch *memoryChannel) place(id string) int {
	if ch.places != nil {
		if at, here := ch.places[id]; here {
			return at
		}
		return -1
	}
	return slices.IndexFunc(ch.members, func(m protocol.Member) bool { return m.ID == id })
}

func (ch *memoryChannel) addMember(m protocol.Member) {
	ch.members = append(ch.members, m)
	if ch.places == nil && len(ch.members) > manyMembers {
		ch.places = make(map[string]int, 2*manyMembers)
		for i := range ch.members {
			ch.places[ch.members[i].ID] = i
		}
	}
	if ch.places != nil {
		ch.places[m.ID] = len(ch.members) - 1
	}
}

// removeMember moves the last member into the place of another, so that it takes
// the same time however many there are.
func (ch *memoryChannel) removeMember(at int) {
	last := len(ch.members) - 1
	gone, moved := ch.members[at].ID, ch.members[last]
	ch.members[at], ch.members[last] = moved, protocol.Member{}
	ch.members = ch.members[:last]
	if ch.places != nil {
		ch.places[moved.ID] = at
		delete(ch.places, gone)
	}
}

// memoryQuotas are the connections of each app.
type memoryQuotas struct {
	mu          sync.Mutex
	connections map[string]int
}

// Reserve implements State.
func (m *Memory) Reserve(app string, connections, most int, done func(error)) {
	done(m.quotas.reserve(app, connections, most))
}

func (q *memoryQuotas) reserve(app string, connections, most int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if connections > max(q.connections[app], most) {
		return ErrFull
	}
	if q.connections == nil {
		q.connections = make(map[string]int)
	}
	q.connections[app] = connections
	return nil
}

// Release implements State.
func (m *Memory) Release(app string, connections int, done func(error)) {
	m.quotas.mu.Lock()
	if m.quotas.connections != nil {
		m.quotas.connections[app] = connections
	}
	m.quotas.mu.Unlock()
	done(nil)
}

// live returns the cached event's frame, nil when there is none or its time is
// over.
func (ch *memoryChannel) live(now time.Time) []byte {
	if ch.cached == nil || !now.Before(ch.expires) {
		return nil
	}
	return ch.cached
}

func (ch *memoryChannel) info(name string) ChannelInfo {
	return ChannelInfo{Name: name, Subscribers: ch.subscribers, Users: len(ch.members)}
}

// Channels implements State.
func (m *Memory) Channels(_ context.Context, app, prefix string) ([]ChannelInfo, error) {
	var found []ChannelInfo
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for t, ch := range s.channels {
			if ch.subscribers > 0 && t.App == app && strings.HasPrefix(t.Channel, prefix) {
				found = append(found, ch.info(t.Channel))
			}
		}
		s.mu.Unlock()
	}
	return found, nil
}

// ChannelInfos implements State.
func (m *Memory) ChannelInfos(_ context.Context, app string, names []string) ([]ChannelInfo, error) {
	infos := make([]ChannelInfo, len(names))
	for i, name := range names {
		infos[i] = m.channelInfo(Topic{App: app, Channel: name})
	}
	return infos, nil
}

func (m *Memory) channelInfo(t Topic) ChannelInfo {
	s := m.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channels[t]; ch != nil {
		return ch.info(t.Channel)
	}
	return ChannelInfo{Name: t.Channel}
}

// Users implements State.
func (m *Memory) Users(_ context.Context, t Topic) ([]string, error) {
	s := m.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	if ch := s.channels[t]; ch != nil {
		for _, member := range ch.members {
			ids = append(ids, member.ID)
		}
	}
	return ids, nil
}

// Cached implements State.
func (m *Memory) Cached(_ context.Context, t Topic) (Cached, bool, error) {
	s := m.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	ch := s.channels[t]
	if ch == nil || ch.live(now) == nil {
		return Cached{}, false, nil
	}
	return Cached{Frame: ch.cached, TTL: ch.expires.Sub(now)}, true, nil
}

// A channel with more than busyCount subscribers is told their number at most
// once every countInterval.
const (
	busyCount     = 100
	countInterval = 5 * time.Second
)

// count tells the subscribers how many they are, now or when the interval is
// over.
func (s *memoryShard) count(t Topic, ch *memoryChannel) {
	if ch.countDue || ch.subscribers == 0 {
		return
	}
	wait := countInterval - time.Since(ch.counted)
	if ch.subscribers <= busyCount || wait <= 0 {
		s.sendCount(t, ch)
		return
	}
	ch.countDue = true
	time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		ch.countDue = false
		if s.channels[t] == ch && ch.subscribers > 0 {
			s.sendCount(t, ch)
		}
	})
}

func (s *memoryShard) sendCount(t Topic, ch *memoryChannel) {
	ch.counted = time.Now()
	s.send(ch, Message{Topic: t, Frame: protocol.SubscriptionCountFrame(t.Channel, ch.subscribers)})
}
