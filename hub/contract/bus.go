package contract

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"channels/hub"
)

// Bus runs the tests of a hub.Bus.
func Bus(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, []Node){
		"what is followed arrives":           busDelivers,
		"sequence numbers rise":              busNumbers,
		"everybody sees one order":           busOrders,
		"the message arrives as it was":      busKeepsMessage,
		"topics and apps are apart":          busSeparates,
		"a later receiver takes over":        busReplaces,
		"unfollowed topics fall silent":      busUnfollows,
		"an old receiver's unfollow is idle": busIgnoresOldUnfollow,
		"publishing to nobody works":         busPublishesToNobody,
		"a working bus says so":              busWorks,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func busDelivers(t *testing.T, nodes []Node) {
	to := topic("news")
	for _, n := range nodes {
		r := follow(t, n, to)
		publish(t, nodes[0], event(to, "hello"))
		if got := name(t, r.wait(t, 1)[0].Frame); got != "hello" {
			t.Errorf("got %q, want hello", got)
		}
	}
}

func busNumbers(t *testing.T, nodes []Node) {
	to := topic("numbers")
	r := follow(t, nodes[0], to)
	for i := range 50 {
		publish(t, nodes[i%len(nodes)], event(to, numbered("n", i)))
	}
	var before uint64
	for i, m := range r.wait(t, 50) {
		if m.Seq <= before {
			t.Errorf("message %d has number %d after %d", i, m.Seq, before)
		}
		before = m.Seq
	}
}

func busOrders(t *testing.T, nodes []Node) {
	const publishers, each = 4, 50
	to := topic("order")
	first, second := follow(t, nodes[0], to), (*recorder)(nil)
	if len(nodes) > 1 {
		second = follow(t, last(nodes), to)
	}
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				publish(t, nodes[p%len(nodes)], event(to, numbered(numbered("p", p), i)))
			}
		})
	}
	all.Wait()
	got := names(t, first.wait(t, publishers*each))
	for p := range publishers {
		checkInOrder(t, got, numbered("p", p), each)
	}
	if second == nil {
		return
	}
	if other := names(t, second.wait(t, publishers*each)); !slices.Equal(got, other) {
		t.Error("two nodes saw two orders")
	}
}

// checkInOrder wants one publisher's events in the order of their publishing,
// each once.
func checkInOrder(t *testing.T, got []string, publisher string, each int) {
	t.Helper()
	next := 0
	for _, name := range got {
		if len(name) > len(publisher) && name[:len(publisher)] == publisher {
			if want := numbered(publisher, next); name != want {
				t.Fatalf("got %s, want %s", name, want)
			}
			next++
		}
	}
	if next != each {
		t.Errorf("%s: %d events, want %d", publisher, next, each)
	}
}

func busKeepsMessage(t *testing.T, nodes []Node) {
	to := topic("whole")
	r := follow(t, last(nodes), to)
	sent := event(to, "hello")
	sent.Exclude = "1.2"
	publish(t, nodes[0], sent)
	got := r.wait(t, 1)[0]
	if got.Topic != to || got.Exclude != "1.2" || string(got.Frame) != string(sent.Frame) {
		t.Errorf("got %+v, want %+v", got, sent)
	}
}

func busSeparates(t *testing.T, nodes []Node) {
	to, other := topic("a"), topic("b")
	foreign := hub.Topic{App: "2", Channel: to.Channel}
	r := follow(t, nodes[0], to)
	follow(t, nodes[0], foreign)
	publish(t, nodes[0], event(other, "other"))
	publish(t, nodes[0], event(foreign, "foreign"))
	if got := fence(t, nodes[0], r, to); len(got) != 0 {
		t.Errorf("got %v of other topics", names(t, got))
	}
}

func busReplaces(t *testing.T, nodes []Node) {
	to := topic("replaced")
	before, after := follow(t, nodes[0], to), follow(t, nodes[0], to)
	publish(t, nodes[0], event(to, "hello"))
	after.wait(t, 1)
	if got := before.all(); len(got) != 0 {
		t.Errorf("the replaced receiver got %v", names(t, got))
	}
}

func busUnfollows(t *testing.T, nodes []Node) {
	to := topic("left")
	before := follow(t, nodes[0], to)
	nodes[0].Bus.Unfollow(to, before)
	after := follow(t, nodes[0], to)
	fence(t, nodes[0], after, to)
	if got := before.all(); len(got) != 0 {
		t.Errorf("got %v after leaving", names(t, got))
	}
}

func busIgnoresOldUnfollow(t *testing.T, nodes []Node) {
	to := topic("kept")
	before, after := follow(t, nodes[0], to), follow(t, nodes[0], to)
	nodes[0].Bus.Unfollow(to, before)
	publish(t, nodes[0], event(to, "hello"))
	after.wait(t, 1)
}

func busPublishesToNobody(t *testing.T, nodes []Node) {
	publish(t, nodes[0], event(topic("nobody"), "hello"))
}

func busWorks(t *testing.T, nodes []Node) {
	for i, n := range nodes {
		if err := errors.Join(n.Bus.Err(), n.Bus.TopicErr(topic("any"))); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
}
