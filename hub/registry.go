package hub

import (
	"hash/maphash"
	"sync"

	"channels/protocol"
)

// registryShards is how many locks the node's channels are spread over.
const registryShards = 64

// registry knows which channels this node has subscribers on, has the bus
// follow them, and tells the State who comes and goes. Its locks give joins and
// leaves of one channel their order; nothing under them waits.
type registry struct {
	hub    *Hub
	bus    Bus
	state  State
	seed   maphash.Seed
	shards [registryShards]registryShard
}

type registryShard struct {
	mu       sync.Mutex
	channels map[Topic]*channel
	ghosts   map[ghost]*wake
}

func newRegistry(h *Hub) *registry {
	r := &registry{hub: h, bus: h.bus, state: h.state, seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].channels = make(map[Topic]*channel)
	}
	return r
}

func (r *registry) shard(t Topic) *registryShard {
	return &r.shards[maphash.Comparable(r.seed, t)%registryShards]
}

// subscribe attaches sub, pending, to the topic's channel. Its worker, which
// calls this, hears of the rest through worker.joined.
func (r *registry) subscribe(w *worker, sub *subscription, t Topic, u *usage) {
	sub.waiting = new(waiting)
	s := r.shard(t)
	s.mu.Lock()
	ch := s.channels[t]
	isNew := ch == nil
	if isNew {
		ch = r.newChannel(t, u)
		s.channels[t] = ch
	}
	ch.attach(w, sub)
	if sub.member != nil {
		s.wakeGhost(t, sub.member.ID)
	}
	if ch.follow == followed {
		r.join(w, sub)
	} else {
		ch.waiting = append(ch.waiting, sub)
	}
	s.mu.Unlock()
	if isNew {
		r.bus.Follow(t, ch, func(err error) { r.confirm(s, ch, err) })
	}
}

// newChannel makes a channel, and counts it.
func (r *registry) newChannel(t Topic, u *usage) *channel {
	ch := &channel{
		topic:  t,
		kind:   protocol.KindOf(t.Channel),
		status: isStatus(t.Channel),
		hub:    r.hub,
		usage:  u,
		local:  make([]*subscribers, len(r.hub.workers)),
	}
	if !ch.status {
		u.channels.Add(1)
	}
	return ch
}

// attach adds a subscription. The shard's lock is held, as it is for detach.
func (ch *channel) attach(w *worker, sub *subscription) {
	sub.channel = ch
	if ch.local[w.index] == nil {
		ch.local[w.index] = new(subscribers)
		ch.subscribed.Or(1 << w.index)
	}
	ch.local[w.index].add(sub)
	ch.count++
	if !ch.status {
		ch.usage.subscriptions.Add(1)
		if sub.conn.deflates {
			ch.deflating.Add(1)
		}
	}
	if sub.member != nil {
		ch.users.add(sub.member.ID, 1)
	}
}

// confirm goes on with those who waited for the bus to follow the channel. Where
// it does not, the channel goes out of use at once: all its subscribers are told,
// and whoever comes next starts afresh.
func (r *registry) confirm(s *registryShard, ch *channel, err error) {
	s.mu.Lock()
	if ch.follow == abandoned {
		s.mu.Unlock()
		return
	}
	waiting := ch.waiting
	ch.waiting = nil
	if err == nil {
		ch.follow = followed
		for _, sub := range waiting {
			r.join(sub.worker(), sub)
		}
		s.mu.Unlock()
		return
	}
	r.abandon(s, ch)
	s.mu.Unlock()
	r.bus.Unfollow(ch.topic, ch)
	ch.post(&unfollowed{ofChannel{ch}, err})
}

// abandon takes a channel out of use. The shard's lock is held.
func (r *registry) abandon(s *registryShard, ch *channel) {
	ch.follow = abandoned
	delete(s.channels, ch.topic)
	if !ch.status {
		ch.usage.channels.Add(-1)
	}
}

// worker returns the subscription's owner.
func (sub *subscription) worker() *worker {
	if sub.watched != nil {
		return sub.watched.worker
	}
	return sub.conn.worker
}

// join asks the State what the subscriber must see. The shard's lock is held.
func (r *registry) join(w *worker, sub *subscription) {
	sub.joined = true
	ch := sub.channel
	j := Join{
		Topic:       ch.topic,
		Subscribers: ch.count - len(ch.waiting),
		Member:      sub.member,
		Counted:     ch.counted(),
		Hooks:       ch.hooks(),
		Placed:      sub.resumes(),
	}
	if ch.kind.IsPresence() {
		j.MaxMembers = ch.usage.app().MaxPresenceMembers
	}
	if ch.status && sub.member != nil {
		j.Opened = sub.conn.openedAt()
	}
	r.state.Join(j, func(answer Joined, err error) {
		w.post(&joined{ofChannel{ch}, sub, answer, err})
	})
}

// counted says whether the channel's subscribers are told how many they are.
func (ch *channel) counted() bool {
	return ch.usage.app().SubscriptionCountEvents && !ch.kind.IsPresence() && !ch.status
}

// unsubscribe detaches sub, because its connection has ended, or not. Its worker calls
// this.
func (r *registry) unsubscribe(w *worker, sub *subscription, broken bool) {
	ch := sub.channel
	s := r.shard(ch.topic)
	s.mu.Lock()
	gone := ch.detach(w, sub)
	if gone != "" && broken && sub.joined && ch.kind.IsPresence() && ch.usage.app().PresenceGrace > 0 {
		r.keepGhost(s, ch, gone)
		gone = ""
	}
	if sub.joined {
		r.state.Leave(Leave{
			Topic:       ch.topic,
			Subscribers: ch.count - len(ch.waiting),
			Gone:        gone,
			Counted:     ch.counted(),
			Hooks:       ch.hooks(),
			Broken:      broken,
		}, ignoreError)
	}
	last := ch.count == 0 && ch.follow != abandoned
	if last {
		r.abandon(s, ch)
	}
	s.mu.Unlock()
	if last {
		r.bus.Unfollow(ch.topic, ch)
	}
}

// detach returns the id of the user who now has no subscription on this node.
func (ch *channel) detach(w *worker, sub *subscription) (gone string) {
	local := ch.local[w.index]
	local.remove(sub)
	if local.empty() {
		ch.local[w.index] = nil
		ch.subscribed.And(^(uint64(1) << w.index))
	}
	ch.count--
	if !ch.status {
		ch.usage.subscriptions.Add(-1)
		if sub.conn.deflates {
			ch.deflating.Add(-1)
		}
	}
	ch.dropWaiting(sub)
	if sub.member == nil || ch.users.add(sub.member.ID, -1) > 0 {
		return ""
	}
	return sub.member.ID
}

func (ch *channel) dropWaiting(sub *subscription) {
	for i, waiting := range ch.waiting {
		if waiting == sub {
			ch.waiting = append(ch.waiting[:i], ch.waiting[i+1:]...)
			return
		}
	}
}

// ignoreError is for calls whose failure the State itself makes good.
func ignoreError(error) {}
