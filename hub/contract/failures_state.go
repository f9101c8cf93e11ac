package contract

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// outage is for how long a backend may be away before those who join or leave are told
// that it is.
const outage = 4 * time.Second

// failComesBack has users come and go while the backend is away.
func failComesBack(t *testing.T, nodes []Node, trouble Trouble) { comesBack(t, nodes, trouble, false) }

// failComesBackEmpty does so with a backend that comes back without its data.
func failComesBackEmpty(t *testing.T, nodes []Node, trouble Trouble) {
	comesBack(t, nodes, trouble, true)
}

// comesBack has on each node one user stay, one go and one come while the backend is
// away. Afterwards all nodes know who is there, by answers and by announcements, and
// nobody was announced more than once.
func comesBack(t *testing.T, nodes []Node, trouble Trouble, empty bool) {
	to := topic(room)
	var all []*party
	var want []string
	for i, n := range nodes {
		p := &party{node: n, topic: to, stays: fmt.Sprint("stays-", i), goes: fmt.Sprint("goes-", i), comes: fmt.Sprint("comes-", i)}
		p.begin(t)
		all, want = append(all, p), append(want, p.stays, p.comes)
	}
	slices.Sort(want)
	for _, p := range all {
		p.hearsOf(t, 2*len(nodes))
	}
	trouble.Away(indexes(nodes)...)
	asked := time.Now()
	for _, p := range all {
		p.change()
	}
	noticesAway(t, nodes, trouble, to, indexes(nodes)...)
	if empty {
		trouble.Lose()
	}
	trouble.Back()
	noticesBack(t, nodes, to)
	inTime := time.Since(asked) < outage
	for _, p := range all {
		p.answered(t, inTime)
	}
	for i, p := range all {
		recovers(t, func() error {
			for _, other := range all {
				other.startAfresh(t)
			}
			if err := p.knows(want); err != nil {
				return fmt.Errorf("node %d: %w", i, err)
			}
			return nil
		})
	}
	checkAnnounced(t, all)
	checkNewcomers(t, nodes, to, want)
}

// party is the users of one node on a presence channel.
type party struct {
	node               Node
	topic              hub.Topic
	stays, goes, comes string

	heard    *recorder
	base     hub.Joined // the first answer, on top of which come the announcements
	changing chan error
	afresh   bool // it had to start afresh
}

func (p *party) begin(t *testing.T) {
	t.Helper()
	p.heard = follow(t, p.node, p.topic)
	p.base = mustJoin(t, p.node, p.join(p.stays, 1))
	mustJoin(t, p.node, p.join(p.goes, 2))
}

// hearsOf waits until the node's clients know so many users: who is gone before they
// have heard of him need not be announced.
func (p *party) hearsOf(t *testing.T, users int) {
	t.Helper()
	eventually(t, func() error {
		if told := p.told(); len(told) != users {
			return fmt.Errorf("who listens was told of %v, want %d users", told, users)
		}
		return nil
	})
}

func (p *party) join(user string, subscribers int) hub.Join {
	return hub.Join{Topic: p.topic, Subscribers: subscribers, Member: &protocol.Member{ID: user, Info: []byte(`{}`)}}
}

// change has one user go and another come. Nobody waits for the answers.
func (p *party) change() {
	p.changing = make(chan error, 2)
	p.node.State.Leave(hub.Leave{Topic: p.topic, Subscribers: 1, Gone: p.goes}, func(err error) { p.changing <- err })
	p.node.State.Join(p.join(p.comes, 2), func(_ hub.Joined, err error) { p.changing <- err })
}

// answered waits for the answers. None has failed if the backend was back in time. One
// that has is as good as a loss: the client is told to come back.
func (p *party) answered(t *testing.T, inTime bool) {
	t.Helper()
	for range cap(p.changing) {
		err := awaitRecovery(t, p.changing)
		if err == nil {
			continue
		}
		if inTime && !p.heard.isLost() {
			t.Errorf("who came or went while the backend was away: %v", err)
		}
		p.restart(t)
		return
	}
}

// startAfresh does what a hub does when it is told of a loss: its clients leave, and
// come back.
func (p *party) startAfresh(t *testing.T) {
	t.Helper()
	if p.heard.isLost() {
		p.restart(t)
	}
}

func (p *party) restart(t *testing.T) {
	t.Helper()
	p.afresh = true
	for _, user := range []string{p.stays, p.goes, p.comes} {
		p.node.State.Leave(hub.Leave{Topic: p.topic, Gone: user}, func(error) {})
	}
	p.heard = follow(t, p.node, p.topic)
	p.base = mustJoin(t, p.node, p.join(p.stays, 1))
	mustJoin(t, p.node, p.join(p.comes, 2))
}

// knows is nil once the node says of the channel what it should: when it is asked,
// and to those who listen.
func (p *party) knows(want []string) error {
	users, err := p.node.State.Users(context.Background(), p.topic)
	if err != nil {
		return err
	}
	if slices.Sort(users); !slices.Equal(users, want) {
		return fmt.Errorf("users %v, want %v", users, want)
	}
	infos, err := p.node.State.ChannelInfos(context.Background(), p.topic.App, []string{p.topic.Channel})
	if err != nil {
		return err
	}
	if described := (hub.ChannelInfo{Name: p.topic.Channel, Subscribers: len(want), Users: len(want)}); infos[0] != described {
		return fmt.Errorf("described as %+v, want %+v", infos[0], described)
	}
	if told := p.told(); !slices.Equal(told, want) {
		return fmt.Errorf("who listens was told of %v, want %v", told, want)
	}
	return nil
}

// told is who is there according to what the node's clients were told.
func (p *party) told() []string {
	here := make(map[string]bool)
	for _, m := range p.base.Members {
		here[m.ID] = true
	}
	for _, m := range p.heard.all() {
		if m.Seq > p.base.Roster {
			move(here, m)
		}
	}
	return sorted(here)
}

// checkAnnounced wants nobody to be announced who stayed, and everybody else once,
// unless a node had to start afresh, for which its users go and come.
func checkAnnounced(t *testing.T, all []*party) {
	t.Helper()
	if slices.ContainsFunc(all, func(p *party) bool { return p.afresh }) {
		return
	}
	for i, p := range all {
		entered, left := make(map[string]int), make(map[string]int)
		for _, m := range p.heard.all() {
			switch m.Signal {
			case hub.Entered:
				entered[m.User]++
			case hub.Left:
				left[m.User]++
			}
		}
		for _, other := range all {
			if left[other.stays] != 0 || entered[other.stays] > 1 {
				t.Errorf("node %d: %s, who stayed, was announced %d times, and gone %d times", i, other.stays, entered[other.stays], left[other.stays])
			}
			if left[other.goes] != 1 || entered[other.goes] > 1 {
				t.Errorf("node %d: %s was announced %d times, and gone %d times; want gone once", i, other.goes, entered[other.goes], left[other.goes])
			}
			if left[other.comes] != 0 || entered[other.comes] != 1 {
				t.Errorf("node %d: %s was announced %d times, and gone %d times; want once, and not gone", i, other.comes, entered[other.comes], left[other.comes])
			}
		}
	}
}

// checkNewcomers wants each node to answer a new user with all that are there.
func checkNewcomers(t *testing.T, nodes []Node, to hub.Topic, want []string) {
	t.Helper()
	here := slices.Clone(want)
	for i, n := range nodes {
		user := fmt.Sprint("new-", i)
		here = append(here, user)
		slices.Sort(here)
		joined := mustJoin(t, n, hub.Join{Topic: to, Subscribers: 3, Member: &protocol.Member{ID: user, Info: []byte(`{}`)}})
		if got := idsOf(joined.Members); !slices.Equal(got, here) {
			t.Errorf("node %d answered a new user %v, want %v", i, got, here)
		}
	}
}

// move changes who is there as an announcement says.
func move(here map[string]bool, m hub.Message) {
	switch m.Signal {
	case hub.Entered:
		here[m.User] = true
	case hub.Left:
		delete(here, m.User)
	}
}

func idsOf(members []protocol.Member) []string {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	slices.Sort(ids)
	return ids
}

func sorted(here map[string]bool) []string { return slices.Sorted(maps.Keys(here)) }
