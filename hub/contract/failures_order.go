package contract

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

const (
	// leastDelay and mostDelay are what a slow backend takes, each way.
	leastDelay, mostDelay = 5 * time.Millisecond, 100 * time.Millisecond
	// slowRounds is how many users come and go by each node of a slow backend.
	slowRounds = 5
)

// failKeepsOrder has users come and go, and events be published, by all nodes at once
// over a backend that takes its time. Every answer to a subscriber fits its place
// in the order: the cached event is the last one up to there, the roster is what was
// announced up to there, and what is published afterwards has a higher number.
func failKeepsOrder(t *testing.T, nodes []Node, trouble Trouble) {
	cached, room := topic("cache-slow"), topic("presence-slow")
	var all []*slowNode
	for i, n := range nodes {
		all = append(all, &slowNode{
			index: i, node: n, other: nodes[(i+1)%len(nodes)], events: follow(t, n, cached), moves: follow(t, n, room),
		})
	}
	trouble.Delay(leastDelay, mostDelay)
	defer trouble.Delay(0, 0)
	var running sync.WaitGroup
	for _, s := range all {
		running.Go(func() { s.publishCached(cached) })
		running.Go(func() { s.joinCached(cached) })
		running.Go(func() { s.comeAndGo(room) })
	}
	running.Wait()
	for _, s := range all {
		for _, to := range []hub.Topic{cached, room} {
			end := publishUntilTaken(t, s.node, to, fmt.Sprint("end-", s.index))
			for _, other := range all {
				r := other.events
				if to == room {
					r = other.moves
				}
				recovers(t, func() error { return r.hasOrIsLost(t, end) })
			}
		}
	}
	for _, s := range all {
		s.check(t)
	}
}

// slowNode is what one node of a slow backend does, and is answered.
type slowNode struct {
	index  int
	node   Node
	other  Node
	events *recorder // of the cache channel
	moves  *recorder // of the presence channel

	mu      sync.Mutex
	answers []slowAnswer
	failed  []error
}

// slowAnswer is the answer to a subscriber, and an event that was published behind it.
type slowAnswer struct {
	joined hub.Joined
	user   string // who joined the presence channel; "" = the other one
	after  string // an event of another node; "" = none
}

func (s *slowNode) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, err)
}

// again does what a slow backend may not do in time, until it is done.
func (s *slowNode) again(do func(done func(error))) {
	err := poll(recovery, recoveryPause, func() error {
		answer := make(chan error, 1)
		do(func(err error) { answer <- err })
		return <-answer
	})
	if err != nil {
		s.fail(err)
	}
}

// publish publishes an event by any node. It returns its name: each attempt has one
// of its own.
func (s *slowNode) publish(by Node, to hub.Topic, prefix string) (text string) {
	attempt := 0
	s.again(func(done func(error)) {
		attempt++
		text = numbered(prefix, attempt)
		by.Bus.Publish(cachedEvent(to, text), done)
	})
	return text
}

// join joins a connection and keeps the answer, behind which another node publishes
// an event, if that has a name.
func (s *slowNode) join(j hub.Join, user, after string) {
	a := slowAnswer{user: user}
	s.again(func(done func(error)) {
		s.node.State.Join(j, func(joined hub.Joined, err error) {
			a.joined = joined
			done(err)
		})
	})
	if after != "" {
		a.after = s.publish(s.other, j.Topic, after)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, a)
}

func cachedEvent(to hub.Topic, text string) hub.Message {
	m := event(to, text)
	m.CacheFor = time.Minute
	return m
}

func (s *slowNode) publishCached(to hub.Topic) {
	for i := range 2 * slowRounds {
		s.publish(s.node, to, numbered(fmt.Sprint("event-", s.index), i))
	}
}

func (s *slowNode) joinCached(to hub.Topic) {
	for i := range slowRounds {
		s.join(hub.Join{Topic: to, Subscribers: i + 1}, "", numbered(fmt.Sprint("after-", s.index), i))
	}
}

// comeAndGo has a user come before the one before him goes.
func (s *slowNode) comeAndGo(to hub.Topic) {
	for i := range slowRounds {
		user := numbered(fmt.Sprint("u-", s.index), i)
		s.join(hub.Join{Topic: to, Subscribers: min(i, 1) + 1, Member: &protocol.Member{ID: user, Info: []byte(`{}`)}}, user, "")
		if i > 0 {
			gone := hub.Leave{Topic: to, Subscribers: 1, Gone: numbered(fmt.Sprint("u-", s.index), i-1)}
			s.again(func(done func(error)) { s.node.State.Leave(gone, done) })
		}
	}
}

func (s *slowNode) check(t *testing.T) {
	t.Helper()
	for _, err := range s.failed {
		t.Errorf("node %d: %v", s.index, err)
	}
	if s.events.isLost() || s.moves.isLost() {
		t.Errorf("node %d was told that something is lost, though the backend was only slow", s.index)
	}
	if want := 2 * slowRounds; len(s.answers) != want {
		t.Errorf("node %d: %d joins were answered, want %d", s.index, len(s.answers), want)
	}
	for _, a := range s.answers {
		if a.user == "" {
			s.checkCached(t, a)
		} else {
			s.checkRoster(t, a)
		}
	}
}

// checkCached compares an answer with the events that this node got.
func (s *slowNode) checkCached(t *testing.T, a slowAnswer) {
	t.Helper()
	want, got := "", ""
	for _, m := range s.events.all() {
		text := name(t, m.Frame)
		if m.Seq <= a.joined.Seq {
			want = text
		}
		if text == a.after && m.Seq <= a.joined.Seq {
			t.Errorf("node %d: %s was published after an answer at %d, and has number %d", s.index, text, a.joined.Seq, m.Seq)
		}
	}
	if a.joined.Cached != nil {
		got = name(t, a.joined.Cached)
	}
	if got != want {
		t.Errorf("node %d: the answer at %d has the cached event %q, want %q", s.index, a.joined.Seq, got, want)
	}
	if !s.events.has(t, a.after) {
		t.Errorf("node %d: %s was taken, and has not come", s.index, a.after)
	}
}

// checkRoster compares an answer with the announcements that this node got.
func (s *slowNode) checkRoster(t *testing.T, a slowAnswer) {
	t.Helper()
	here := make(map[string]bool)
	for _, m := range s.moves.all() {
		if m.Seq <= a.joined.Roster {
			move(here, m)
		}
	}
	if !here[a.user] {
		t.Errorf("node %d: %s is told of himself", s.index, a.user)
	}
	if got, want := idsOf(a.joined.Members), sorted(here); !slices.Equal(got, want) {
		t.Errorf("node %d: %s was answered %v, announced were %v", s.index, a.user, got, want)
	}
}
