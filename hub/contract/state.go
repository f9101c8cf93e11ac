package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// State runs the tests of a hub.State.
func State(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, []Node){
		"an empty channel is vacant":              stateVacant,
		"subscribers are counted":                 stateCounts,
		"saying it twice changes nothing":         stateRepeats,
		"channels are listed by app and prefix":   stateLists,
		"a user is announced at the first join":   stateAnnouncesAdded,
		"and at the last leave":                   stateAnnouncesRemoved,
		"the roster holds everybody":              stateRoster,
		"newer info replaces older":               stateReplacesInfo,
		"a full channel takes nobody new":         stateFull,
		"who was terminated does not come back":   stateRevokes,
		"channels are described all at once":      stateDescribes,
		"connections of an app are limited":       stateReserves,
		"apps have quotas of their own":           stateReservesApart,
		"the answer has its place in the order":   stateOrder,
		"subscribers are told their number":       stateTellsCount,
		"the last event is cached":                stateCaches,
		"a cached event expires":                  stateExpires,
		"the cache outlives the subscribers":      stateCacheOutlives,
		"a stranger's leave is harmless":          stateForeignLeave,
		"concurrent joins announce everyone once": stateConcurrent,
		"what comes after a join comes on top":    stateOrdersOverNodes,
		"events are kept for later":               stateKeeps,
		"a part of a history is read":             stateReadsSpans,
		"a history is bounded":                    stateBoundsHistory,
		"what is too old is forgotten":            stateForgetsOld,
		"events are erased":                       stateErases,
		"a full history refuses":                  stateRefusesHistory,
		"a token has one owner":                   stateClaims,
		"a request is carried out once":           stateCarriesOutOnce,
		"a message is published once":             statePublishesOnce,
		"marks of many are noted together":        stateNotesMany,
		"a token is forgotten":                    stateForgetsTokens,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

const room = "presence-room"

func join(t testing.TB, n Node, j hub.Join) (hub.Joined, error) {
	t.Helper()
	type answer struct {
		joined hub.Joined
		err    error
	}
	done := make(chan answer, 1)
	n.State.Join(j, func(joined hub.Joined, err error) { done <- answer{joined, err} })
	a := await(t, done)
	return a.joined, a.err
}

func mustJoin(t testing.TB, n Node, j hub.Join) hub.Joined {
	t.Helper()
	joined, err := join(t, n, j)
	if err != nil {
		t.Fatalf("join %+v: %v", j, err)
	}
	return joined
}

func leave(t testing.TB, n Node, l hub.Leave) {
	t.Helper()
	done := make(chan error, 1)
	n.State.Leave(l, func(err error) { done <- err })
	if err := await(t, done); err != nil {
		t.Fatalf("leave %+v: %v", l, err)
	}
}

// enter joins a user's only connection of the node to the room.
func enter(t testing.TB, n Node, subscribers int, id, info string) hub.Joined {
	t.Helper()
	return mustJoin(t, n, hub.Join{
		Topic: topic(room), Subscribers: subscribers,
		Member: &protocol.Member{ID: id, Info: []byte(info)},
	})
}

func channel(t testing.TB, n Node, to hub.Topic) hub.ChannelInfo {
	t.Helper()
	infos, err := n.State.ChannelInfos(context.Background(), to.App, []string{to.Channel})
	if err != nil || len(infos) != 1 {
		t.Fatalf("channel %v: %v, %v", to, infos, err)
	}
	return infos[0]
}

func stateVacant(t *testing.T, nodes []Node) {
	want := hub.ChannelInfo{Name: "nothing"}
	if got := channel(t, nodes[0], topic("nothing")); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func stateCounts(t *testing.T, nodes []Node) {
	to := topic("counted")
	for i, n := range nodes {
		mustJoin(t, n, hub.Join{Topic: to, Subscribers: 1})
		mustJoin(t, n, hub.Join{Topic: to, Subscribers: 2})
		if got, want := channel(t, nodes[0], to).Subscribers, 2*(i+1); got != want {
			t.Errorf("after node %d joined: %d subscribers, want %d", i, got, want)
		}
	}
	for _, n := range nodes {
		leave(t, n, hub.Leave{Topic: to, Subscribers: 0})
	}
	if got := channel(t, nodes[0], to).Subscribers; got != 0 {
		t.Errorf("after all left: %d subscribers", got)
	}
}

func stateRepeats(t *testing.T, nodes []Node) {
	r := follow(t, nodes[0], topic(room))
	enter(t, nodes[0], 1, "ann", `{}`)
	enter(t, nodes[0], 1, "ann", `{}`)
	if got, want := channel(t, nodes[0], topic(room)), (hub.ChannelInfo{Name: room, Subscribers: 1, Users: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	leave(t, nodes[0], hub.Leave{Topic: topic(room), Gone: "ann"})
	leave(t, nodes[0], hub.Leave{Topic: topic(room), Gone: "ann"})
	got := names(t, fence(t, nodes[0], r, topic(room)))
	if want := []string{"pusher_internal:member_added", "pusher_internal:member_removed"}; !slices.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
}

func stateLists(t *testing.T, nodes []Node) {
	for _, to := range []hub.Topic{topic("a-1"), topic("a-2"), topic("b-1"), {App: "2", Channel: "a-3"}} {
		mustJoin(t, last(nodes), hub.Join{Topic: to, Subscribers: 1})
	}
	for prefix, want := range map[string][]string{
		"":   {"a-1", "a-2", "b-1"},
		"a-": {"a-1", "a-2"},
		"x":  nil,
	} {
		found, err := nodes[0].State.Channels(context.Background(), app, prefix)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ch := range found {
			got = append(got, ch.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: got %v, want %v", prefix, got, want)
		}
	}
}

func stateAnnouncesAdded(t *testing.T, nodes []Node) {
	r := follow(t, nodes[0], topic(room))
	enter(t, nodes[0], 1, "ann", `{"n":1}`)
	enter(t, last(nodes), 2, "ann", `{"n":1}`)
	got := fence(t, nodes[0], r, topic(room))
	if len(got) != 1 {
		t.Fatalf("announced %v, want one member_added", names(t, got))
	}
	want := protocol.MemberAddedFrame(room, "ann", []byte(`{"n":1}`))
	if string(got[0].Frame) != string(want) {
		t.Errorf("got %q, want %q", got[0].Frame, want)
	}
}

func stateAnnouncesRemoved(t *testing.T, nodes []Node) {
	for _, n := range nodes {
		enter(t, n, 1, "ann", `{}`)
	}
	r := follow(t, nodes[0], topic(room))
	for _, n := range nodes {
		if got := r.all(); len(got) != 0 {
			t.Errorf("announced %v before the last leave", names(t, got))
		}
		leave(t, n, hub.Leave{Topic: topic(room), Gone: "ann"})
	}
	got := fence(t, nodes[0], r, topic(room))
	want := protocol.MemberRemovedFrame(room, "ann")
	if len(got) != 1 || string(got[0].Frame) != string(want) {
		t.Errorf("announced %v, want one member_removed", names(t, got))
	}
}

func stateRoster(t *testing.T, nodes []Node) {
	enter(t, nodes[0], 1, "ann", `{"n":1}`)
	joined := enter(t, last(nodes), 2, "bob", `{"n":2}`)
	got := map[string]string{}
	for _, m := range joined.Members {
		got[m.ID] = string(m.Info)
	}
	if len(joined.Members) != 2 || got["ann"] != `{"n":1}` || got["bob"] != `{"n":2}` {
		t.Errorf("roster %v, want ann and bob", got)
	}
	ids, err := nodes[0].State.Users(context.Background(), topic(room))
	slices.Sort(ids)
	if err != nil || !slices.Equal(ids, []string{"ann", "bob"}) {
		t.Errorf("users %v, %v; want ann and bob", ids, err)
	}
}

func stateReplacesInfo(t *testing.T, nodes []Node) {
	enter(t, nodes[0], 1, "ann", `{"n":1}`)
	joined := enter(t, last(nodes), 2, "ann", `{"n":2}`)
	if len(joined.Members) != 1 || string(joined.Members[0].Info) != `{"n":2}` {
		t.Errorf("roster %v, want ann with the newer info", joined.Members)
	}
}

func stateFull(t *testing.T, nodes []Node) {
	r := follow(t, nodes[0], topic(room))
	full := func(id string) error {
		_, err := join(t, last(nodes), hub.Join{
			Topic: topic(room), Subscribers: 2, MaxMembers: 1, Member: &protocol.Member{ID: id},
		})
		return err
	}
	enter(t, nodes[0], 1, "ann", `{}`)
	if err := full("bob"); !errors.Is(err, hub.ErrPresenceFull) {
		t.Errorf("bob: got %v, want ErrPresenceFull", err)
	}
	if err := full("ann"); err != nil {
		t.Errorf("ann again: %v", err)
	}
	if got := channel(t, nodes[0], topic(room)).Users; got != 1 {
		t.Errorf("%d users, want 1", got)
	}
	if got := fence(t, nodes[0], r, topic(room)); len(got) != 1 {
		t.Errorf("announced %v, want ann only", names(t, got))
	}
}

func stateDescribes(t *testing.T, nodes []Node) {
	mustJoin(t, last(nodes), hub.Join{Topic: topic("a"), Subscribers: 3})
	enter(t, nodes[0], 1, "ann", `{}`)
	infos, err := nodes[0].State.ChannelInfos(context.Background(), app, []string{room, "nothing", "a", "a"})
	want := []hub.ChannelInfo{
		{Name: room, Subscribers: 1, Users: 1}, {Name: "nothing"},
		{Name: "a", Subscribers: 3}, {Name: "a", Subscribers: 3},
	}
	if err != nil || !slices.Equal(infos, want) {
		t.Errorf("got %+v, %v; want %+v", infos, err, want)
	}
	if infos, err := nodes[0].State.ChannelInfos(context.Background(), app, nil); err != nil || len(infos) != 0 {
		t.Errorf("no names: got %+v, %v", infos, err)
	}
}

func reserve(t testing.TB, n Node, app string, connections, most int) error {
	t.Helper()
	done := make(chan error, 1)
	n.State.Reserve(app, connections, most, func(err error) { done <- err })
	return await(t, done)
}

func release(t testing.TB, n Node, app string, connections int) {
	t.Helper()
	done := make(chan error, 1)
	n.State.Release(app, connections, func(err error) { done <- err })
	if err := await(t, done); err != nil {
		t.Fatalf("release: %v", err)
	}
}

func stateReserves(t *testing.T, nodes []Node) {
	first, other := nodes[0], last(nodes)
	mine := 1 // connections of other, which may be first
	if err := reserve(t, first, app, 1, 2); err != nil {
		t.Fatal(err)
	}
	if len(nodes) == 1 {
		mine = 2
	}
	if err := reserve(t, other, app, mine, 2); err != nil {
		t.Errorf("the second: %v", err)
	}
	if err := reserve(t, other, app, mine, 2); err != nil {
		t.Errorf("the second, said twice: %v", err)
	}
	if err := reserve(t, other, app, mine+1, 2); !errors.Is(err, hub.ErrFull) {
		t.Errorf("the third: got %v, want ErrFull", err)
	}
	release(t, other, app, mine) // what was refused
	release(t, other, app, mine-1)
	if err := reserve(t, other, app, mine, 2); err != nil {
		t.Errorf("when there was room again: %v", err)
	}
	if found, err := first.State.Channels(context.Background(), app, ""); err != nil || len(found) != 0 {
		t.Errorf("connections are listed as channels: %v, %v", found, err)
	}
}

func stateReservesApart(t *testing.T, nodes []Node) {
	for _, app := range []string{"1", "2"} {
		if err := reserve(t, nodes[0], app, 1, 1); err != nil {
			t.Errorf("app %s: %v", app, err)
		}
	}
	release(t, nodes[0], "2", 0)
	if err := reserve(t, last(nodes), "2", 1, 1); err != nil {
		t.Errorf("when there was room again: %v", err)
	}
}

func stateOrder(t *testing.T, nodes []Node) {
	r := follow(t, nodes[0], topic(room))
	publish(t, nodes[0], event(topic(room), "before"))
	joined := enter(t, nodes[0], 1, "ann", `{}`)
	publish(t, nodes[0], event(topic(room), "after"))
	events := 0
	eventually(t, func() error {
		if events = len(eventsOf(r.all())); events < 2 {
			return fmt.Errorf("%d events have come, want 2", events)
		}
		return nil
	})
	for _, m := range r.all() {
		is, contained := name(t, m.Frame), m.Seq <= joined.Seq
		if m.Signal == hub.Entered {
			contained = m.Seq <= joined.Roster
		}
		if contained != (is != "after") {
			t.Errorf("%s has number %d, the answer %d and %d", is, m.Seq, joined.Seq, joined.Roster)
		}
	}
}

// eventsOf returns those messages that are no announcements.
func eventsOf(all []hub.Message) []hub.Message {
	return slices.DeleteFunc(slices.Clone(all), func(m hub.Message) bool { return m.Signal != hub.NoSignal })
}

func stateTellsCount(t *testing.T, nodes []Node) {
	to := topic("told")
	r := follow(t, nodes[0], to)
	joined := mustJoin(t, last(nodes), hub.Join{Topic: to, Subscribers: 1, Counted: true})
	first := r.wait(t, 1)[0]
	if want := protocol.SubscriptionCountFrame("told", 1); string(first.Frame) != string(want) {
		t.Errorf("got %q, want %q", first.Frame, want)
	}
	if first.Seq <= joined.Seq {
		t.Error("the count comes ahead of the acknowledgement")
	}
	mustJoin(t, last(nodes), hub.Join{Topic: to, Subscribers: 2, Counted: true})
	leave(t, last(nodes), hub.Leave{Topic: to, Subscribers: 1, Counted: true})
	got := r.wait(t, 3)
	if want := protocol.SubscriptionCountFrame("told", 1); string(got[2].Frame) != string(want) {
		t.Errorf("after the leave: got %q, want %q", got[2].Frame, want)
	}
}

func stateCaches(t *testing.T, nodes []Node) {
	for _, channel := range []string{"cache-x", "private-cache-x", "presence-cache-x"} {
		stateCachesOn(t, nodes, topic(channel))
	}
}

func stateCachesOn(t *testing.T, nodes []Node, to hub.Topic) {
	for _, text := range []string{"first", "second"} {
		m := event(to, text)
		m.CacheFor, m.Exclude = time.Minute, "1.1"
		publish(t, nodes[0], m)
	}
	publish(t, nodes[0], event(to, "not cached"))
	for i := range 2 { // the first subscriber of a node, and another
		j := hub.Join{Topic: to, Subscribers: i + 1}
		if protocol.KindOf(to.Channel).IsPresence() {
			j.Member = &protocol.Member{ID: numbered("u", i)}
		}
		joined := mustJoin(t, last(nodes), j)
		if joined.Cached == nil || name(t, joined.Cached) != "second" {
			t.Errorf("%s: cached %q, want second", to.Channel, joined.Cached)
		}
	}
	c, ok, err := last(nodes).State.Cached(context.Background(), to)
	if err != nil || !ok || name(t, c.Frame) != "second" || c.TTL <= 50*time.Second || c.TTL > time.Minute {
		t.Errorf("got %q for %v, %v, %v; want second for a minute", c.Frame, c.TTL, ok, err)
	}
}

func stateExpires(t *testing.T, nodes []Node) {
	to := topic("cache-brief")
	m := event(to, "brief")
	m.CacheFor = 50 * time.Millisecond
	publish(t, nodes[0], m)
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if joined := mustJoin(t, nodes[0], hub.Join{Topic: to, Subscribers: 1}); joined.Cached == nil {
			if _, ok, err := nodes[0].State.Cached(context.Background(), to); ok || err != nil {
				t.Errorf("Cached: %v, %v; Join found nothing", ok, err)
			}
			return
		}
		time.Sleep(10 * time.Millisecond) // the backend's own clock must go on
	}
	t.Error("still cached")
}

func stateCacheOutlives(t *testing.T, nodes []Node) {
	to := topic("cache-alone")
	mustJoin(t, nodes[0], hub.Join{Topic: to, Subscribers: 1})
	m := event(to, "kept")
	m.CacheFor = time.Minute
	publish(t, nodes[0], m)
	leave(t, nodes[0], hub.Leave{Topic: to})
	if joined := mustJoin(t, nodes[0], hub.Join{Topic: to, Subscribers: 1}); joined.Cached == nil {
		t.Error("the cache went with the last subscriber")
	}
}

func stateForeignLeave(t *testing.T, nodes []Node) {
	r := follow(t, nodes[0], topic(room))
	leave(t, nodes[0], hub.Leave{Topic: topic(room), Gone: "nobody"})
	if got := fence(t, nodes[0], r, topic(room)); len(got) != 0 {
		t.Errorf("announced %v", names(t, got))
	}
}

func stateConcurrent(t *testing.T, nodes []Node) {
	const users = 40
	r := follow(t, nodes[0], topic(room))
	joined := enter(t, nodes[0], 1, "watcher", "")
	done := make(chan error, 2*users)
	for i := range users {
		n := nodes[i%len(nodes)]
		n.State.Join(hub.Join{
			Topic: topic(room), Subscribers: i + 1, Member: &protocol.Member{ID: numbered("u", i)},
		}, func(_ hub.Joined, err error) { done <- err })
		n.State.Leave(hub.Leave{Topic: topic(room), Gone: numbered("u", i)}, func(err error) { done <- err })
	}
	for range 2 * users {
		if err := await(t, done); err != nil {
			t.Fatal(err)
		}
	}
	got := fence(t, nodes[0], r, topic(room))
	got = slices.DeleteFunc(got, func(m hub.Message) bool { return m.Seq <= joined.Roster })
	if len(got) != 2*users {
		t.Errorf("%d announcements, want %d", len(got), 2*users)
	}
	if got := channel(t, nodes[0], topic(room)).Users; got != 1 {
		t.Errorf("%d users left, want the watcher alone", got)
	}
}

// stateRevokes has connections sign in that were open when their user's were
// terminated, and others that were not.
func stateRevokes(t *testing.T, nodes []Node) {
	topic := func(user string) hub.Topic { return hub.Topic{App: "1", Channel: "#user-" + user} }
	signIn := func(n Node, user string, opened time.Time) error {
		_, err := join(t, n, hub.Join{
			Topic: topic(user), Subscribers: 1, Member: &protocol.Member{ID: user}, Opened: opened,
		})
		return err
	}
	before := time.Now()
	for i, n := range nodes {
		if err := signIn(n, "bob", before); err != nil {
			t.Fatalf("node %d: %v before anything was terminated", i, err)
		}
	}
	first, last := nodes[0], nodes[len(nodes)-1]
	done := make(chan error, 1)
	first.Bus.Publish(hub.Message{Topic: topic("alice"), Signal: hub.Terminate, User: "alice"}, func(err error) { done <- err })
	if err := await(t, done); err != nil {
		t.Fatal(err)
	}
	after := time.Now().Add(50 * time.Millisecond) // clocks and answers take a while
	for _, n := range []Node{first, last} {
		if err := signIn(n, "alice", before); !errors.Is(err, hub.ErrRevoked) {
			t.Errorf("a connection of before: got %v, want ErrRevoked", err)
		}
		if err := signIn(n, "bob", before); err != nil {
			t.Errorf("another user: %v", err)
		}
	}
	time.Sleep(time.Until(after.Add(time.Millisecond)))
	for _, n := range []Node{first, last} {
		if err := signIn(n, "alice", after); err != nil {
			t.Errorf("a connection of after: %v", err)
		}
	}
}

// stateOrdersOverNodes: what any node publishes after a join was answered has a
// higher number than the answer, for the first subscriber of a node and the next.
func stateOrdersOverNodes(t *testing.T, nodes []Node) {
	at := last(nodes)
	for _, channel := range []string{"plain", "cache-plain", "presence-a"} {
		to := topic(channel)
		r := follow(t, at, to)
		for i := range 3 {
			j := hub.Join{Topic: to, Subscribers: i + 1}
			if protocol.KindOf(channel).IsPresence() {
				j.Member = &protocol.Member{ID: numbered("u", i), Info: []byte(`{}`)}
			}
			joined := mustJoin(t, at, j)
			if j.Member != nil && len(joined.Members) != i+1 {
				t.Errorf("%s: %d members, want %d", channel, len(joined.Members), i+1)
			}
			publish(t, nodes[0], event(to, numbered("after", i)))
			var all []hub.Message
			eventually(t, func() error {
				if all = r.all(); len(all) == 0 || name(t, all[len(all)-1].Frame) != numbered("after", i) {
					return errors.New("an event that was published after a join has not come")
				}
				return nil
			})
			if after := all[len(all)-1]; after.Seq <= joined.Seq {
				t.Errorf("%s: number %d comes after an answer at %d", to.Channel, after.Seq, joined.Seq)
			}
			for _, m := range all {
				if m.Signal == hub.Entered && m.User == numbered("u", i) && m.Seq > joined.Roster {
					t.Errorf("%s: %s is told of himself", to.Channel, m.User)
				}
			}
		}
	}
}
