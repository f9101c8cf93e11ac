// Package storetest holds what every webhook.Store must do, together with the hub.State
// and the hub.Bus that note occurrences in it.
package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/webhook"
	"channels/protocol"
)

// Node is one node's parts.
type Node struct {
	Bus   hub.Bus
	State hub.State
	Store webhook.Store
}

// Open returns nodes that share everything, which are closed with the test. There is one
// at least.
type Open func(t *testing.T) []Node

// All are all kinds.
const All = hub.HookOccupied | hub.HookVacated | hub.HookMemberAdded | hub.HookMemberRemoved | hub.HookClientEvent | hub.HookCacheMiss | hub.HookCount

// Store runs the suite.
func Store(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, []Node){
		"notes who comes and goes":    comesAndGoes,
		"notes over nodes":            overNodes,
		"notes nothing unasked":       unasked,
		"notes a cache miss a second": misses,
		"notes client events":         clientEvents,
		"keeps the order":             keepsOrder,
		"keeps deliveries":            keepsDeliveries,
		"keeps what was given up":     keepsFailed,
		"has one owner":               oneOwner,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func topic(channel string) hub.Topic { return hub.Topic{App: "1", Channel: channel} }

// reader gathers what has occurred, as text.
type reader struct {
	node Node
	mu   sync.Mutex
	got  []hub.Occurrence
	woke bool
}

func read(t *testing.T, n Node) *reader {
	t.Helper()
	r := &reader{node: n}
	n.Store.Watch("1", func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.woke = true
	})
	if mine, err := n.Store.Own(t.Context(), "1"); err != nil || !mine {
		t.Fatalf("own: %v, %v", mine, err)
	}
	r.more(t)
	return r
}

func (r *reader) more(t *testing.T) {
	t.Helper()
	found, err := r.node.Store.Occurrences(t.Context(), "1", len(r.got) == 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found {
		if !slices.ContainsFunc(r.got, func(before hub.Occurrence) bool { return before.ID == o.ID }) {
			r.got = append(r.got, o)
		}
	}
}

// Name is what a kind of occurrence is called in Text.
func Name(kind hub.Hooks) string {
	return map[hub.Hooks]string{
		hub.HookOccupied: "occupied", hub.HookVacated: "vacated", hub.HookMemberAdded: "added", hub.HookMemberRemoved: "removed",
		hub.HookClientEvent: "client", hub.HookCacheMiss: "miss", hub.HookCount: "count",
	}[kind]
}

// Text is an occurrence as text: its name, its channel, and what else is known of it.
func Text(o hub.Occurrence) string {
	words := []string{Name(o.Kind), o.Topic.Channel}
	if o.User != "" {
		words = append(words, o.User)
	}
	if o.Kind == hub.HookCount {
		words = append(words, fmt.Sprint(o.Count))
	}
	if o.Broken {
		words = append(words, "broken")
	}
	if o.Event != "" {
		words = append(words, o.Event, string(o.Data), o.SocketID)
	}
	return strings.Join(words, " ")
}

// want waits for exactly these, in this order.
func (r *reader) want(t *testing.T, texts ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r.more(t)
		got = nil
		for _, o := range r.got {
			got = append(got, Text(o))
		}
		if len(got) >= len(texts) {
			break
		}
	}
	if !slices.Equal(got, texts) {
		t.Errorf("got  %q\nwant %q", got, texts)
	}
	for _, o := range r.got {
		if age := time.Since(o.At); age < -time.Second || age > time.Minute {
			t.Errorf("%s: noted at %v", Text(o), o.At)
		}
	}
	for end := time.Now().Add(5 * time.Second); len(texts) > 0 && !r.wasWoken(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody was woken")
		}
	}
}

func (r *reader) wasWoken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.woke
}

func follow(t *testing.T, n Node, to hub.Topic) {
	t.Helper()
	done := make(chan error, 1)
	n.Bus.Follow(to, deaf{}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

type deaf struct{}

func (deaf) Receive(hub.Message) {}
func (deaf) Lost()               {}

func join(t *testing.T, n Node, j hub.Join) {
	t.Helper()
	done := make(chan error, 1)
	n.State.Join(j, func(_ hub.Joined, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func leave(t *testing.T, n Node, l hub.Leave) {
	t.Helper()
	done := make(chan error, 1)
	n.State.Leave(l, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func comesAndGoes(t *testing.T, nodes []Node) {
	n := nodes[0]
	r := read(t, n)
	room := topic("presence-room")
	follow(t, n, room)
	join(t, n, hub.Join{Topic: room, Subscribers: 1, Member: &protocol.Member{ID: "ann"}, Hooks: All})
	join(t, n, hub.Join{Topic: room, Subscribers: 2, Member: &protocol.Member{ID: "ann"}, Hooks: All})
	join(t, n, hub.Join{Topic: room, Subscribers: 3, Member: &protocol.Member{ID: "bob"}, Hooks: All})
	leave(t, n, hub.Leave{Topic: room, Subscribers: 2, Gone: "bob", Hooks: All})
	leave(t, n, hub.Leave{Topic: room, Subscribers: 1, Hooks: All, Broken: true})
	leave(t, n, hub.Leave{Topic: room, Subscribers: 0, Gone: "ann", Hooks: All, Broken: true})
	r.want(t, "occupied presence-room", "added presence-room ann", "added presence-room bob", "removed presence-room bob",
		"removed presence-room ann broken", "vacated presence-room broken")
}

func overNodes(t *testing.T, nodes []Node) {
	one, two := nodes[0], nodes[len(nodes)-1]
	r := read(t, one)
	news := topic("news")
	follow(t, one, news)
	join(t, one, hub.Join{Topic: news, Subscribers: 1, Hooks: All})
	want := []string{"occupied news", "count news 1"}
	if len(nodes) > 1 {
		follow(t, two, news)
		join(t, two, hub.Join{Topic: news, Subscribers: 1, Hooks: All})
		leave(t, one, hub.Leave{Topic: news, Subscribers: 0, Hooks: All})
		want = append(want, "count news 2", "count news 1")
	}
	leave(t, two, hub.Leave{Topic: news, Subscribers: 0, Hooks: All})
	r.want(t, append(want, "vacated news", "count news 0")...)
}

func unasked(t *testing.T, nodes []Node) {
	n := nodes[0]
	r := read(t, n)
	for _, hooks := range []hub.Hooks{0, hub.HookVacated} {
		room := topic(fmt.Sprint("presence-", hooks))
		follow(t, n, room)
		join(t, n, hub.Join{Topic: room, Subscribers: 1, Member: &protocol.Member{ID: "ann"}, Hooks: hooks})
		leave(t, n, hub.Leave{Topic: room, Subscribers: 0, Gone: "ann", Hooks: hooks})
	}
	r.want(t, fmt.Sprint("vacated presence-", hub.HookVacated))
}

func misses(t *testing.T, nodes []Node) {
	n := nodes[0]
	r := read(t, n)
	empty := topic("cache-c")
	follow(t, n, empty)
	for i := range 3 {
		join(t, n, hub.Join{Topic: empty, Subscribers: i + 1, Hooks: hub.HookCacheMiss})
	}
	time.Sleep(1100 * time.Millisecond)
	join(t, n, hub.Join{Topic: empty, Subscribers: 4, Hooks: hub.HookCacheMiss})
	publish(t, n, hub.Message{Topic: empty, Frame: protocol.EventFrame("e", "cache-c", []byte(`"x"`), ""), CacheFor: time.Minute})
	time.Sleep(1100 * time.Millisecond)
	join(t, n, hub.Join{Topic: empty, Subscribers: 5, Hooks: hub.HookCacheMiss})
	r.want(t, "miss cache-c", "miss cache-c")
}

func publish(t *testing.T, n Node, m hub.Message) {
	t.Helper()
	done := make(chan error, 1)
	n.Bus.Publish(m, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func clientEvents(t *testing.T, nodes []Node) {
	n := nodes[0]
	r := read(t, n)
	room := topic("presence-room")
	for i := range 3 {
		o := hub.Occurrence{Kind: hub.HookClientEvent, Topic: room, At: time.Now(), User: "ann", Event: fmt.Sprint("client-", i), Data: []byte(`"{\"a\":1}"`), SocketID: "1.2"}
		publish(t, n, hub.Message{Topic: room, Frame: protocol.EventFrame(o.Event, room.Channel, o.Data, "ann"), Occurs: &o})
	}
	r.want(t, `client presence-room ann client-0 "{\"a\":1}" 1.2`, `client presence-room ann client-1 "{\"a\":1}" 1.2`, `client presence-room ann client-2 "{\"a\":1}" 1.2`)
}

// keepsOrder publishes many at once, which may travel together.
func keepsOrder(t *testing.T, nodes []Node) {
	n := nodes[len(nodes)-1]
	r := read(t, nodes[0])
	var sent sync.WaitGroup
	var want []string
	for i := range 300 {
		to := topic(fmt.Sprint("private-", i%3))
		o := hub.Occurrence{Kind: hub.HookClientEvent, Topic: to, At: time.Now(), Event: fmt.Sprint(i), Data: []byte(`"x"`), SocketID: "1.2"}
		sent.Add(1)
		n.Bus.Publish(hub.Message{Topic: to, Frame: protocol.EventFrame("e", to.Channel, o.Data, ""), Occurs: &o}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			sent.Done()
		})
		if i%3 == 0 {
			want = append(want, fmt.Sprint(i))
		}
	}
	sent.Wait()
	var got []string
	for end := time.Now().Add(10 * time.Second); len(r.got) < 300 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r.more(t)
	}
	for _, o := range r.got {
		if o.Topic.Channel == "private-0" {
			got = append(got, o.Event)
		}
	}
	if len(r.got) != 300 || !slices.Equal(got, want) {
		t.Errorf("%d of 300, and of one channel %q", len(r.got), got)
	}
}

func commit(t *testing.T, n Node, c webhook.Change) {
	t.Helper()
	if err := n.Store.Commit(t.Context(), "1", c); err != nil {
		t.Fatal(err)
	}
}

// ids are those of the deliveries that are to be made.
func ids(t *testing.T, n Node) (found []string) {
	t.Helper()
	kept, _, err := n.Store.Parcels(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range kept {
		found = append(found, p.ID+"="+string(p.Record))
	}
	slices.Sort(found)
	return found
}

func keepsDeliveries(t *testing.T, nodes []Node) {
	n := nodes[0]
	r := read(t, n)
	news := topic("news")
	follow(t, n, news)
	join(t, n, hub.Join{Topic: news, Subscribers: 1, Hooks: All})
	r.want(t, "occupied news", "count news 1")
	first, second := r.got[0], r.got[1]
	commit(t, n, webhook.Change{
		Take:   []hub.Parcel{{ID: "a", Record: []byte("1")}, {ID: "b", Record: []byte("2")}},
		Remove: []hub.Occurrence{first}, Told: map[string][]string{second.ID: {"x", "y"}},
	})
	again, err := n.Store.Occurrences(t.Context(), "1", true)
	if err != nil || len(again) != 1 || again[0].ID != second.ID {
		t.Errorf("after one was removed: %v, %v", again, err)
	}
	last := nodes[len(nodes)-1]
	if got := ids(t, last); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("deliveries %v", got)
	}
	if _, told, err := last.Store.Parcels(t.Context(), "1"); err != nil || !slices.Equal(told[second.ID], []string{"x", "y"}) {
		t.Errorf("told %v, %v", told, err)
	}
	commit(t, n, webhook.Change{Remove: []hub.Occurrence{second}, Untell: []string{second.ID}, Settle: []string{"a"}})
	if got := ids(t, last); !slices.Equal(got, []string{"b=2"}) {
		t.Errorf("deliveries %v", got)
	}
	if _, told, _ := last.Store.Parcels(t.Context(), "1"); len(told) != 0 {
		t.Errorf("told %v", told)
	}
}

func keepsFailed(t *testing.T, nodes []Node) {
	n, last := nodes[0], nodes[len(nodes)-1]
	read(t, n)
	var change webhook.Change
	for i := range hub.KeptFailed + 10 {
		change.GiveUp = append(change.GiveUp, hub.Parcel{ID: fmt.Sprintf("%05d", i), Record: []byte("old")})
	}
	for i := range hub.KeptRecent + 10 {
		change.Recent = append(change.Recent, fmt.Append(nil, i))
	}
	commit(t, n, change)
	failed, err := last.Store.Failed(t.Context(), "1")
	if err != nil || len(failed) != hub.KeptFailed || failed[0].ID != "00010" {
		t.Fatalf("%d were given up, %v", len(failed), err)
	}
	recent, err := last.Store.Recent(t.Context(), "1")
	if err != nil || len(recent) != hub.KeptRecent || string(recent[0]) != "10" {
		t.Errorf("%d tries, %v", len(recent), err)
	}
	again := hub.Parcel{ID: "00500", Record: []byte("new")}
	if done, err := last.Store.Retry(t.Context(), "1", again); !done || err != nil {
		t.Errorf("retry: %v, %v", done, err)
	}
	if done, err := last.Store.Retry(t.Context(), "1", again); done || err != nil {
		t.Errorf("retry of what is none: %v, %v", done, err)
	}
	retried, err := n.Store.Retried(t.Context(), "1")
	if err != nil || len(retried) != 1 || retried[0].ID != "00500" || string(retried[0].Record) != "new" {
		t.Errorf("retried %v, %v", retried, err)
	}
	if retried, _ := n.Store.Retried(t.Context(), "1"); len(retried) != 0 {
		t.Errorf("twice: %v", retried)
	}
	if got := ids(t, n); !slices.Equal(got, []string{"00500=new"}) {
		t.Errorf("deliveries %v", got)
	}
}

func oneOwner(t *testing.T, nodes []Node) {
	for range 3 {
		owners := 0
		for _, n := range nodes {
			if mine, err := n.Store.Own(context.Background(), "1"); err != nil {
				t.Fatal(err)
			} else if mine {
				owners++
			}
		}
		if owners != 1 {
			t.Errorf("%d owners", owners)
		}
	}
}
