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
	bus     Bus
	state   State
	workers []*worker
	seed    maphash.Seed
	shards  [registryShards]registryShard
}

type registryShard struct {
	mu       sync.Mutex
	channels map[Topic]*channel
}

func newRegistry(bus Bus, state State) *registry {
	r := &registry{bus: bus, state: state, seed: maphash.MakeSeed()}
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
func (r *registry) subscribe(w *worker, sub *subscription, t Topic) {
	s := r.shard(t)
	s.mu.Lock()
	ch := s.channels[t]
	isNew := ch == nil
	if isNew {
		ch = r.newChannel(t)
		s.channels[t] = ch
	}
	ch.attach(w, sub)
	if ch.follow == followed {
		r.join(sub)
	} else {
		ch.waiting = append(ch.waiting, sub)
	}
	s.mu.Unlock()
	if isNew {
		r.bus.Follow(t, ch, func(err error) { r.confirm(s, ch, err) })
	}
}

func (r *registry) newChannel(t Topic) *channel {
	return &channel{
		topic:   t,
		kind:    protocol.KindOf(t.Channel),
		status:  isStatus(t.Channel),
		workers: r.workers,
		local:   make([]subscribers, len(r.workers)),
	}
}

func (ch *channel) attach(w *worker, sub *subscription) {
	sub.channel = ch
	ch.local[w.index].add(sub)
	ch.subscribed.Or(1 << w.index)
	ch.count++
	if sub.member != nil {
		if ch.users == nil {
			ch.users = make(map[string]int)
		}
		ch.users[sub.member.ID]++
	}
}

// confirm goes on with those who waited for the bus to follow the channel.
func (r *registry) confirm(s *registryShard, ch *channel, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch.follow == abandoned {
		return
	}
	if err == nil {
		ch.follow = followed
	}
	waiting := ch.waiting
	ch.waiting = nil
	for _, sub := range waiting {
		if err != nil {
			sub.conn.worker.put(func(w *worker) { w.joined(sub, Joined{}, err) })
			continue
		}
		r.join(sub)
	}
}

// join asks the State what the subscriber must see. The shard's lock is held.
func (r *registry) join(sub *subscription) {
	sub.joined = true
	w, ch, app := sub.conn.worker, sub.channel, sub.conn.app
	j := Join{
		Topic:       ch.topic,
		Subscribers: ch.count - len(ch.waiting),
		Member:      sub.member,
		Counted:     ch.counted(app),
	}
	if ch.kind.IsPresence() {
		j.MaxMembers = app.MaxPresenceMembers
	}
	r.state.Join(j, func(joined Joined, err error) {
		w.put(func(w *worker) { w.joined(sub, joined, err) })
	})
}

// counted says whether the channel's subscribers are told how many they are.
func (ch *channel) counted(app *App) bool {
	return app.SubscriptionCountEvents && !ch.kind.IsPresence() && !ch.status
}

// unsubscribe detaches sub. Its worker calls this.
func (r *registry) unsubscribe(w *worker, sub *subscription) {
	ch := sub.channel
	s := r.shard(ch.topic)
	s.mu.Lock()
	gone := ch.detach(w, sub)
	if sub.joined {
		r.state.Leave(Leave{
			Topic:       ch.topic,
			Subscribers: ch.count - len(ch.waiting),
			Gone:        gone,
			Counted:     ch.counted(sub.conn.app),
		}, ignoreError)
	}
	last := ch.count == 0
	if last {
		ch.follow = abandoned
		delete(s.channels, ch.topic)
	}
	s.mu.Unlock()
	if last {
		r.bus.Unfollow(ch.topic, ch)
	}
}

// detach returns the id of the user who now has no subscription on this node.
func (ch *channel) detach(w *worker, sub *subscription) (gone string) {
	local := &ch.local[w.index]
	local.remove(sub)
	if local.empty() {
		ch.subscribed.And(^(uint64(1) << w.index))
	}
	ch.count--
	ch.dropWaiting(sub)
	if sub.member == nil {
		return ""
	}
	ch.users[sub.member.ID]--
	if ch.users[sub.member.ID] > 0 {
		return ""
	}
	delete(ch.users, sub.member.ID)
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
