package redisbus

import (
	"context"
	"time"

	"channels/hub"
	"channels/protocol"
)

// comparer finds out, after Redis has lost something and all nodes have said what
// they have, on which channels the node's sockets have been told of others than are
// there. Sums are compared; a roster is read only where they differ.
type comparer struct {
	bus   *Bus
	turns chan struct{} // holds a token for each partition that is compared
}

const (
	// compareAtOnce is how many partitions are compared at a time.
	compareAtOnce = 4
	// comparePage is of how many channels one script is asked.
	comparePage = 64
	// compareRounds is how often sums are compared before a roster is read: they
	// differ also while an announcement is under way.
	compareRounds = 3
)

func newComparer(b *Bus) *comparer {
	return &comparer{bus: b, turns: make(chan struct{}, compareAtOnce)}
}

// compare compares a partition's rosters, in the background.
func (c *comparer) compare(partition int) {
	in := c.bus.in[partition]
	c.check(in, in.rosters()...)
}

// check compares rosters, in the background. Those that cannot be read, or not yet, since
// Redis has lost something again, are checked again.
func (c *comparer) check(in *incoming, topics ...hub.Topic) {
	if len(topics) == 0 {
		return
	}
	ctx := c.bus.lifetime
	c.bus.running.Go(func() {
		for {
			if topics = c.checkOnce(ctx, in, topics); len(topics) == 0 {
				return
			}
			select {
			case <-time.After(jittered(beatInterval)):
			case <-ctx.Done():
				return
			}
		}
	})
}

// checkOnce returns the topics whose rosters could not be read.
func (c *comparer) checkOnce(ctx context.Context, in *incoming, topics []hub.Topic) (unread []hub.Topic) {
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return nil
	}
	differ := topics
	for round := range compareRounds {
		if round > 0 && len(differ) > 0 {
			select {
			case <-time.After(comparePause):
			case <-ctx.Done():
				return nil
			}
		}
		differ = c.differing(ctx, in, differ)
	}
	for _, t := range differ {
		if !c.replace(ctx, in, t) {
			unread = append(unread, t)
		}
	}
	return unread
}

// differing returns those topics whose sums are not those of the node.
func (c *comparer) differing(ctx context.Context, in *incoming, topics []hub.Topic) []hub.Topic {
	var differ []hub.Topic
	for len(topics) > 0 {
		page := topics[:min(len(topics), comparePage)]
		topics = topics[len(page):]
		reply, err := answerOf(c.bus.eval(ctx, c.bus.reads, in.index, "", compareCall{page}))
		words, malformed := wordsOf(reply)
		if outcomeOf(reply, err) != done || malformed != nil || len(words) != 3+len(page) {
			differ = append(differ, page...) // then the roster is asked for
			continue
		}
		for i, t := range page {
			if !in.agrees(t, words[3+i]) {
				differ = append(differ, t)
			}
		}
	}
	return differ
}

// replace reads a roster and tells the sockets what is new about it. It says whether
// it could be read, or need not be.
func (c *comparer) replace(ctx context.Context, in *incoming, t hub.Topic) bool {
	known := in.expectRoster(t)
	if known == nil {
		return true
	}
	name, _ := c.bus.out[in.index].identity()
	reply, err := answerOf(c.bus.eval(ctx, c.bus.reads, in.index, name, rosterCall{t}))
	words, malformed := wordsOf(reply)
	if outcomeOf(reply, err) != done || malformed != nil || len(words) < 2 || len(words)%2 != 0 || words[1] == "0" {
		in.unexpectRoster(known)
		return false
	}
	c.bus.stats.rosters.Add(1)
	in.replaceRoster(t, known, digitsOf(words[1]), membersOf(words[2:]))
	return true
}

func membersOf(words []string) []protocol.Member {
	members := make([]protocol.Member, 0, len(words)/2)
	for i := 0; i+1 < len(words); i += 2 {
		members = append(members, member(words[i], words[i+1]))
	}
	return members
}
