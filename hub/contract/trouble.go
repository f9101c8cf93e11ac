package contract

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"channels/hub"
)

// Trouble makes a backend fail under the nodes that were opened with it. Nodes are
// named by their index. Its methods return once they have taken effect, and are
// called by one goroutine at a time.
type Trouble interface {
	// Fails says whether the backend can fail. Where it cannot, the other methods do
	// nothing, and the clauses hold without effort.
	Fails() bool
	// Away cuts the nodes' connections, and lets no new one work until Back.
	Away(nodes ...int)
	// Hang holds what the nodes send, and Mute what is sent to them. Back lets it go
	// on, however late.
	Hang(nodes ...int)
	Mute(nodes ...int)
	// Back ends Away, Hang and Mute for all nodes.
	Back()
	// Lose takes away what the backend has: all, or what a server that takes over
	// does not have. It returns when the backend runs again.
	Lose()
	// Delay holds whatever passes, either way, for a random time between least and
	// most. Zeros end it.
	Delay(least, most time.Duration)
}

// OpenTroubled starts a backend of its own, empty, and returns its nodes, with the
// means to make it fail. What it started it ends with t.Cleanup.
type OpenTroubled func(t *testing.T) ([]Node, Trouble)

// Calm is the Trouble of a backend that cannot fail.
type Calm struct{}

var _ Trouble = Calm{}

// Fails implements Trouble.
func (Calm) Fails() bool { return false }

// Away implements Trouble.
func (Calm) Away(...int) {}

// Hang implements Trouble.
func (Calm) Hang(...int) {}

// Mute implements Trouble.
func (Calm) Mute(...int) {}

// Back implements Trouble.
func (Calm) Back() {}

// Lose implements Trouble.
func (Calm) Lose() {}

// Delay implements Trouble.
func (Calm) Delay(_, _ time.Duration) {}

// Failures runs the tests of what a hub.Bus and a hub.State promise when their
// backend fails, each on a backend of its own, all at the same time.
func Failures(t *testing.T, open OpenTroubled) {
	for name, test := range map[string]func(*testing.T, []Node, Trouble){
		"what is refused reaches nobody":         failRefuses,
		"a receiver gets everything or is told":  failTellsLoss,
		"a slow backend keeps the order":         failKeepsOrder,
		"rosters are right when it is back":      failComesBack,
		"rosters are right when it has lost all": failComesBackEmpty,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes, trouble := open(t)
			test(t, nodes, trouble)
		})
	}
}

const (
	// recovery is how long a backend that is back may take until all is right.
	recovery = 30 * time.Second
	// recoveryPause is how often it is asked meanwhile.
	recoveryPause = 20 * time.Millisecond
	// apart is more than what lies between two moments that a backend's clocks can
	// tell apart.
	apart = 500 * time.Millisecond
)

// recovers wants check to come to nil once the backend is back.
func recovers(t *testing.T, check func() error) {
	t.Helper()
	if err := poll(recovery, recoveryPause, check); err != nil {
		t.Error(err)
	}
}

// awaitRecovery waits for an answer of a backend that is coming back.
func awaitRecovery[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(recovery):
		t.Fatal("no answer, though the backend is back")
		panic("unreachable")
	}
}

// indexes names all nodes.
func indexes(nodes []Node) []int {
	all := make([]int, len(nodes))
	for i := range nodes {
		all[i] = i
	}
	return all
}

// noticesAway waits until the named nodes know that a topic's backend is away.
func noticesAway(t *testing.T, nodes []Node, trouble Trouble, to hub.Topic, named ...int) {
	t.Helper()
	if !trouble.Fails() {
		return
	}
	for _, i := range named {
		recovers(t, func() error {
			if err := nodes[i].Bus.TopicErr(to); !errors.Is(err, hub.ErrUnavailable) {
				return fmt.Errorf("node %d does not say that the topic is unavailable, though the backend is away", i)
			}
			return nil
		})
	}
}

// noticesBack waits until all nodes can publish on a topic.
func noticesBack(t *testing.T, nodes []Node, to hub.Topic) {
	t.Helper()
	for i, n := range nodes {
		recovers(t, func() error {
			if err := n.Bus.TopicErr(to); err != nil {
				return fmt.Errorf("node %d: %w, though the backend is back", i, err)
			}
			return nil
		})
	}
}

// publishUntilTaken publishes an event again until the bus takes it. It returns its
// name: each attempt has one of its own.
func publishUntilTaken(t *testing.T, n Node, to hub.Topic, prefix string) string {
	t.Helper()
	attempt, text := 0, ""
	recovers(t, func() error {
		attempt++
		text = numbered(prefix, attempt)
		done := make(chan error, 1)
		n.Bus.Publish(event(to, text), func(err error) { done <- err })
		return await(t, done)
	})
	return text
}

// attend follows a topic and joins it: from then on nothing may be missed in silence.
func attend(t *testing.T, n Node, to hub.Topic) *recorder {
	t.Helper()
	r := follow(t, n, to)
	mustJoin(t, n, hub.Join{Topic: to, Subscribers: 1})
	return r
}

// has says whether an event has come.
func (r *recorder) has(t testing.TB, text string) bool {
	t.Helper()
	for _, m := range r.all() {
		if name(t, m.Frame) == text {
			return true
		}
	}
	return false
}

// hasOrIsLost is nil once an event has come, or the recorder was told that some may
// be missing.
func (r *recorder) hasOrIsLost(t testing.TB, text string) error {
	t.Helper()
	if r.has(t, text) || r.isLost() {
		return nil
	}
	return fmt.Errorf("%s was taken, has not come, and nobody was told", text)
}
