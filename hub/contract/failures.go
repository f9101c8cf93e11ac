package contract

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"channels/hub"
)

// failRefuses has all nodes publish while the backend is taken away from some of
// them, and from all: what is answered ErrUnavailable reaches nobody, what is taken
// reaches everybody once and in one order, and of the rest nobody knows.
func failRefuses(t *testing.T, nodes []Node, trouble Trouble) {
	to := topic("refused")
	var receivers []*recorder
	for _, n := range nodes {
		receivers = append(receivers, attend(t, n, to))
	}
	c := chat(nodes, to)
	for _, step := range []struct {
		begin func(...int)
		whom  []int
	}{
		{trouble.Away, []int{0}},
		{trouble.Hang, []int{len(nodes) - 1}}, // what it has sent arrives, late
		{trouble.Mute, []int{len(nodes) - 1}}, // what it has sent is carried out, and not answered
		{trouble.Away, indexes(nodes)},
	} {
		c.goesOn(t)
		step.begin(step.whom...)
		noticesAway(t, nodes, trouble, to, step.whom...)
		c.goesOn(t)
		trouble.Back()
		noticesBack(t, nodes, to)
	}
	c.goesOn(t)
	c.end()
	end := publishUntilTaken(t, nodes[0], to, "end")
	for i, r := range receivers {
		recovers(t, func() error { return r.hasOrIsLost(t, end) })
		c.check(t, fmt.Sprint("node ", i), r)
	}
	checkSameOrder(t, receivers, end)
	if trouble.Fails() && c.count(hub.ErrUnavailable) == 0 {
		t.Error("no publish was refused: the test proves nothing")
	}
}

// checkSameOrder wants all receivers that have missed nothing to have got the same up
// to an event.
func checkSameOrder(t *testing.T, receivers []*recorder, end string) {
	t.Helper()
	var first []string
	for i, r := range receivers {
		if r.isLost() {
			continue
		}
		got := names(t, r.all())
		got = got[:slices.Index(got, end)+1]
		if first == nil {
			first = got
		}
		if !slices.Equal(got, first) {
			t.Errorf("node %d saw another order than the first:\n%v\n%v", i, got, first)
		}
	}
}

// chatter publishes on a topic by all nodes, one event after the other, and keeps
// what became of each.
type chatter struct {
	topic      hub.Topic
	publishers []string
	stop       chan struct{}
	running    sync.WaitGroup

	mu    sync.Mutex
	fates map[string]error // by event; nil: the bus has it
	ended map[string]int   // publishes that were answered, by publisher
}

const (
	chattersPerNode = 2
	chatPause       = 3 * time.Millisecond
)

// errSilence is the fate of a publish that was never answered.
var errSilence = errors.New("no answer")

func chat(nodes []Node, to hub.Topic) *chatter {
	c := &chatter{topic: to, stop: make(chan struct{}), fates: make(map[string]error), ended: make(map[string]int)}
	for i, n := range nodes {
		for j := range chattersPerNode {
			publisher := fmt.Sprintf("p%d%c", i, 'a'+j)
			c.publishers = append(c.publishers, publisher)
			c.running.Go(func() { c.run(n, publisher) })
		}
	}
	return c
}

func (c *chatter) run(n Node, publisher string) {
	for i := 0; ; i++ {
		select {
		case <-c.stop:
			return
		case <-time.After(chatPause):
		}
		text := numbered(publisher, i)
		done := make(chan error, 1)
		n.Bus.Publish(event(c.topic, text), func(err error) { done <- err })
		err := errSilence
		select {
		case err = <-done:
		case <-time.After(recovery):
		}
		c.mu.Lock()
		c.fates[text] = err
		c.ended[publisher]++
		c.mu.Unlock()
	}
}

// goesOn waits until every publisher has had some more answers.
func (c *chatter) goesOn(t *testing.T) {
	t.Helper()
	const more = 10
	answers := func() (least int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, publisher := range c.publishers {
			if n := c.ended[publisher]; i == 0 || n < least {
				least = n
			}
		}
		return least
	}
	before := answers()
	recovers(t, func() error {
		if now := answers(); now < before+more {
			return fmt.Errorf("a publisher has had %d answers, want %d", now-before, more)
		}
		return nil
	})
}

// end stops the publishers and waits for their last answers.
func (c *chatter) end() {
	close(c.stop)
	c.running.Wait()
}

// count returns how many publishes were answered so.
func (c *chatter) count(fate error) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.fates {
		if errors.Is(err, fate) {
			n++
		}
	}
	return n
}

// check compares what a receiver got with what the publishers were answered.
func (c *chatter) check(t *testing.T, whose string, r *recorder) {
	t.Helper()
	lost, all := r.isLost(), r.all()
	came := make(map[string]bool, len(all))
	before := uint64(0)
	for _, m := range all {
		text := name(t, m.Frame)
		if came[text] {
			t.Errorf("%s: %s came twice", whose, text)
		}
		came[text] = true
		if m.Seq <= before {
			t.Errorf("%s: %s has number %d after %d", whose, text, m.Seq, before)
		}
		before = m.Seq
	}
	for text, fate := range c.fates {
		switch {
		case errors.Is(fate, errSilence):
			t.Errorf("the publish of %s was never answered", text)
		case errors.Is(fate, hub.ErrUnavailable) && came[text]:
			t.Errorf("%s: %s came, though it was refused: %v", whose, text, fate)
		case fate == nil && !came[text] && !lost:
			t.Errorf("%s: %s was taken, has not come, and nobody was told", whose, text)
		}
	}
	c.checkPublishers(t, whose, all)
}

// checkPublishers wants each publisher's events in the order of their publishing.
func (c *chatter) checkPublishers(t *testing.T, whose string, all []hub.Message) {
	t.Helper()
	last := make(map[string]int)
	for _, m := range all {
		publisher, number := cutNumber(name(t, m.Frame))
		if before, again := last[publisher]; again && number <= before {
			t.Errorf("%s: %s-%d came after %s-%d", whose, publisher, number, publisher, before)
		}
		last[publisher] = number
	}
}

// failTellsLoss has a node be cut off while others go on, and the backend then lose
// what it had: each receiver gets what was taken, or is told that it may be missing.
func failTellsLoss(t *testing.T, nodes []Node, trouble Trouble) {
	to, cut := topic("lost"), len(nodes)-1
	var receivers []*recorder
	for _, n := range nodes {
		receivers = append(receivers, attend(t, n, to))
	}
	publish(t, nodes[0], event(to, "before"))
	for _, r := range receivers {
		r.wait(t, 1)
	}
	trouble.Away(cut)
	noticesAway(t, nodes, trouble, to, cut)
	time.Sleep(apart) // what was published at the moment of the break may have come
	publish(t, nodes[0], event(to, "meanwhile"))
	time.Sleep(apart) // and what was at the moment of the loss may be unknown to all
	trouble.Lose()
	trouble.Back()
	var after []string
	for i, n := range nodes {
		after = append(after, publishUntilTaken(t, n, to, fmt.Sprint("after-", i)))
	}
	for i, r := range receivers {
		for _, text := range append([]string{"before", "meanwhile"}, after...) {
			recovers(t, func() error {
				if err := r.hasOrIsLost(t, text); err != nil {
					return fmt.Errorf("node %d: %w", i, err)
				}
				return nil
			})
		}
	}
}
