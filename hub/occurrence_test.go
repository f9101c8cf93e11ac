package hub_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/webhook/storetest"
	"channels/protocol"
)

// noted gathers what a hub has noted, as text.
type noted struct {
	mu  sync.Mutex
	all []string
}

func (n *noted) note(o hub.Occurrence) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, storetest.Text(o))
}

// want takes what was noted.
func (n *noted) want(t *testing.T, what string, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.all, want) {
		t.Errorf("%s: noted %q, want %q", what, n.all, want)
	}
	n.all = nil
}

func named(kind hub.Hooks, rest string) string { return storetest.Name(kind) + " " + rest }

// newNotingRig starts a hub whose app has endpoints.
func newNotingRig(t *testing.T, endpoints ...hub.Webhook) (*rig, *noted) {
	t.Helper()
	n := &noted{}
	r := newRig(t, func(app *hub.App) { app.Webhooks = endpoints })
	r.memory.NoteOccurrences(n.note, nil)
	return r, n
}

// TestOccurrences: what clients do is noted, and whether a connection has ended.
func TestOccurrences(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, n := newNotingRig(t, hub.Webhook{Hooks: storetest.All})
		a, b := r.connect(), r.connect()
		a.enter("presence-room", "ann")
		b.enter("presence-room", "ann")
		r.settle()
		n.want(t, "two connections of a user", named(hub.HookOccupied, "presence-room"), named(hub.HookMemberAdded, "presence-room ann"))
		a.say(`{"event":"client-typing","channel":"presence-room","data":{"a":1}}`)
		r.settle()
		n.want(t, "a client event", named(hub.HookClientEvent, `presence-room ann client-typing "{\"a\":1}" `+a.conn.ID()))
		a.unsubscribe("presence-room")
		r.settle()
		n.want(t, "one of two leaves")
		b.unsubscribe("presence-room")
		r.settle()
		n.want(t, "the other unsubscribes", named(hub.HookMemberRemoved, "presence-room ann"), named(hub.HookVacated, "presence-room"))
		a.enter("presence-room", "ann")
		r.settle()
		n.want(t, "it comes back", named(hub.HookOccupied, "presence-room"), named(hub.HookMemberAdded, "presence-room ann"))
		a.conn.Gone(gone)
		r.settle()
		n.want(t, "its connection ends", named(hub.HookMemberRemoved, "presence-room ann broken"), named(hub.HookVacated, "presence-room broken"))
		b.subscribe("news")
		r.settle()
		n.want(t, "a public channel", named(hub.HookOccupied, "news"), named(hub.HookCount, "news 1"))
	})
}

// TestCacheMissesAreNotedOnceASecond: also when the channel was empty in between.
func TestCacheMissesAreNotedOnceASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, n := newNotingRig(t, hub.Webhook{Hooks: hub.HookCacheMiss})
		c := r.connect()
		for range 3 {
			c.subscribe("cache-c")
			r.settle()
			c.unsubscribe("cache-c")
			r.settle()
		}
		n.want(t, "three subscribes at once", named(hub.HookCacheMiss, "cache-c"))
		time.Sleep(time.Second)
		c.subscribe("cache-c")
		r.settle()
		n.want(t, "one a second later", named(hub.HookCacheMiss, "cache-c"))
		c.unsubscribe("cache-c")
		r.trigger("cache-c", "e")
		time.Sleep(time.Second)
		c.subscribe("cache-c")
		r.settle()
		n.want(t, "one that finds the event")
	})
}

// TestNobodyAskedForOccurrences: nothing is noted of what no endpoint wants, and never of
// channels of the server's own; of an arrival and its departure both are, since they take
// back each other.
func TestNobodyAskedForOccurrences(t *testing.T) {
	for name, test := range map[string]struct {
		endpoints []hub.Webhook
		want      []string
	}{
		"no endpoint":    {},
		"another prefix": {endpoints: []hub.Webhook{{Hooks: storetest.All, ChannelPrefix: "private-"}}},
		"one kind": {
			endpoints: []hub.Webhook{{Hooks: hub.HookMemberRemoved}},
			want:      []string{named(hub.HookMemberAdded, "presence-room ann"), named(hub.HookMemberRemoved, "presence-room ann broken")},
		},
		"two endpoints": {
			endpoints: []hub.Webhook{{Hooks: hub.HookOccupied, ChannelPrefix: "presence-"}, {Hooks: storetest.All, ChannelPrefix: "x"}},
			want:      []string{named(hub.HookOccupied, "presence-room"), named(hub.HookVacated, "presence-room broken")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, n := newNotingRig(t, test.endpoints...)
				c := r.connect()
				c.signInAs("ann", "bob")
				c.subscribe("#server-to-user-ann")
				c.enter("presence-room", "ann")
				c.say(`{"event":"client-typing","channel":"presence-room","data":{}}`)
				r.settle()
				c.conn.Gone(gone)
				r.settle()
				n.want(t, name, test.want...)
			})
		})
	}
}

// TestOccurrencesCostNothingUnasked: an app without webhooks has the allocations that it
// would have if there were none.
func TestOccurrencesCostNothingUnasked(t *testing.T) {
	cost := func(m *hub.Memory) [2]float64 {
		defer m.Close()
		room := hub.Topic{App: "1", Channel: "presence-room"}
		member := &protocol.Member{ID: "ann"}
		m.Follow(room, deaf{}, func(error) {})
		frame := []byte("x")
		return [2]float64{
			testing.AllocsPerRun(1000, func() {
				m.Join(hub.Join{Topic: room, Subscribers: 1, Member: member}, func(hub.Joined, error) {})
				m.Leave(hub.Leave{Topic: room, Gone: "ann"}, func(error) {})
			}),
			testing.AllocsPerRun(1000, func() { m.Publish(hub.Message{Topic: room, Frame: frame}, func(error) {}) }),
		}
	}
	noting := hub.NewMemory()
	noting.NoteOccurrences(func(o hub.Occurrence) { t.Errorf("noted %+v", o) }, func(func()) { t.Error("somebody waits for the disk") })
	with, without := cost(noting), cost(hub.NewMemory())
	if with != without || with[0] > 3 || with[1] > 0 {
		t.Errorf("a join and a leave, and a publish: %v allocations where occurrences can be noted, %v where they cannot", with, without)
	}
}

type deaf struct{}

func (deaf) Receive(hub.Message) {}
func (deaf) Lost()               {}
