package hub

// subscriptions are a connection's channels by name. Most connections have a
// few, for which a slice takes a fraction of a map's memory.
type subscriptions struct {
	list   []*subscription
	byName map[string]*subscription // instead of list once there are many
}

// manySubscriptions is where searching a slice becomes slower than a map.
const manySubscriptions = 12

func (s *subscriptions) get(name string) *subscription {
	if s.byName != nil {
		return s.byName[name]
	}
	for _, sub := range s.list {
		if sub.channel.topic.Channel == name {
			return sub
		}
	}
	return nil
}

func (s *subscriptions) add(sub *subscription) {
	switch {
	case s.byName != nil:
		s.byName[sub.channel.topic.Channel] = sub
	case len(s.list) < manySubscriptions:
		s.list = append(s.list, sub)
	default:
		s.byName = make(map[string]*subscription, 2*manySubscriptions)
		for _, earlier := range append(s.list, sub) {
			s.byName[earlier.channel.topic.Channel] = earlier
		}
		s.list = nil
	}
}

func (s *subscriptions) remove(sub *subscription) {
	if s.byName != nil {
		delete(s.byName, sub.channel.topic.Channel)
		return
	}
	for i, other := range s.list {
		if other == sub {
			last := len(s.list) - 1
			s.list[i] = s.list[last]
			s.list[last] = nil
			s.list = s.list[:last]
			return
		}
	}
}

// len returns how many there are.
func (s *subscriptions) len() int { return len(s.list) + len(s.byName) }

// each calls f for all of them; f leaves them as they are.
func (s *subscriptions) each(f func(*subscription)) {
	for _, sub := range s.list {
		f(sub)
	}
	for _, sub := range s.byName {
		f(sub)
	}
}

// all returns a copy.
func (s *subscriptions) all() []*subscription {
	all := append([]*subscription(nil), s.list...)
	for _, sub := range s.byName {
		all = append(all, sub)
	}
	return all
}

func (s *subscriptions) clear() { *s = subscriptions{} }
