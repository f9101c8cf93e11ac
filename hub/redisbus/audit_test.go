package redisbus_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/redisbus"
	"channels/protocol"
)

var (
	auditFor  = flag.Duration("audit", 30*time.Second, "how long the random audit takes")
	auditHard = flag.Bool("hard", false, "the random audit also makes the moves that take long: Redis stands still, is lost, or is full")
	auditOnly = flag.String("moves", "", "the random audit makes only moves that match this expression")
	auditSeed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random audit")
)

const (
	auditors    = 6 // goroutines, each with users of its own
	auditUsers  = 6 // of each
	auditRooms  = 3 //
	auditLiving = 2 // nodes that live, with a watcher for each room
	auditMortal = 2 // nodes that die
	auditKey    = "k"
	auditSecret = "s"
)

type audit struct {
	t     *testing.T
	redis []*server
	proxy *proxy // between the nodes and Redis; nil = none. Each node has one of its own before it
	url   string
	log   *slog.Logger
	app   hub.App

	mu       sync.Mutex
	nodes    []*auditNode
	model    map[place]*presence
	watchers []*auditSocket

	working sync.RWMutex // held by who does anything; and by who takes away what Redis has

	losing sync.RWMutex // held by who takes away what Redis has; and while nobody may

	joins, leaves, published, kills, frozen, givenUp int
}

// auditNode is a hub on a bus of its own; nil fields while it is down.
type auditNode struct {
	bus   *redisbus.Bus
	hub   *hub.Hub
	proxy *proxy // nil = none
}

// place is a user in a room.
type place struct{ room, user string }

// presence is what the model knows of a user in a room.
type presence struct {
	sockets map[*auditSocket]*auditNode
	added   int // announcements that there must have been
	removed int
	mourned bool // it is not announced yet that the user's last node has died
	maybe   int  // pairs of them of which nobody knows: a node died while it joined
}

func newAudit(t *testing.T, servers []*server, p *proxy, url string) *audit {
	a := &audit{t: t, redis: servers, proxy: p, url: url, model: map[place]*presence{}}
	a.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	a.app = hub.DefaultApp()
	a.app.ID, a.app.Key, a.app.Secret = "1", auditKey, auditSecret
	a.app.Resume, a.app.History = 5*time.Minute, hub.History{Events: 5000, Age: 10 * time.Minute, Bytes: 4 << 20, Total: 1 << 30, Prefix: "kept-"}
	for range auditLiving + auditMortal {
		a.nodes = append(a.nodes, a.newNode())
	}
	t.Cleanup(func() {
		for _, n := range a.nodes {
			n.hub.Close()
			ctx, cancel := contextFor(5 * time.Second)
			n.bus.Close(ctx)
			cancel()
		}
	})
	for room := range auditRooms {
		for i, n := range a.nodes[:auditLiving] {
			w := a.connect(n)
			a.join(w, n, fmt.Sprintf("presence-%d", room), fmt.Sprintf("watcher-%d", i))
			a.watchers = append(a.watchers, w)
		}
	}
	return a
}

func (a *audit) newNode() *auditNode {
	var own *proxy
	url := a.url
	if a.proxy != nil {
		own = newProxy(a.t, a.proxy.host())
		url = own.url() + url
	}
	config, err := redisbus.ParseURL(url)
	if err != nil {
		a.t.Fatal(err)
	}
	bus, err := redisbus.Open(context.Background(), redisbus.Options{Config: config, Log: a.log})
	for until := time.Now().Add(time.Minute); err != nil && time.Now().Before(until); {
		bus, err = redisbus.Open(context.Background(), redisbus.Options{Config: config, Log: a.log}) // a master is dead, or Redis away
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return &auditNode{bus, hub.New(hub.Options{Apps: []hub.App{a.app}, Bus: bus, State: bus, Workers: 2}), own}
}

// work has its users come and go, one change at a time for each user, so that
// the model knows what must be announced.
func (a *audit) work(index int, end time.Time) {
	random := rand.New(rand.NewPCG(*auditSeed, uint64(index)))
	for time.Now().Before(end) && !a.t.Failed() {
		a.working.RLock()
		user := fmt.Sprintf("u%d-%d", index, random.IntN(auditUsers))
		at := place{fmt.Sprintf("presence-%d", random.IntN(auditRooms)), user}
		switch n := random.IntN(10); {
		case n < 5:
			a.enter(at, random)
		case n < 9:
			a.exit(at, random)
		default:
			a.publish(at.room, random)
		}
		a.working.RUnlock()
	}
}

func (a *audit) presence(at place) *presence {
	p := a.model[at]
	if p == nil {
		p = &presence{sockets: map[*auditSocket]*auditNode{}}
		a.model[at] = p
	}
	return p
}

// enter gives the user another socket in the room, on any node.
func (a *audit) enter(at place, random *rand.Rand) {
	p := a.mourn(at)
	node := a.nodes[random.IntN(len(a.nodes))]
	s := a.connect(node)
	if len(p.sockets) == 0 {
		p.added++
	}
	p.sockets[s] = node // from now on: the announcement comes before the answer
	a.joins++
	a.mu.Unlock()
	if !a.join(s, node, at.room, at.user) {
		a.giveUp(at, s)
		return // or the node has died meanwhile, and all that it had
	}
	a.await(at)
}

// giveUp has the model know of a subscribe that was given up, since Redis was away for too
// long. It may have been announced, or not.
func (a *audit) giveUp(at place, s *auditSocket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.presence(at)
	if p.sockets[s] == nil {
		return
	}
	if delete(p.sockets, s); len(p.sockets) == 0 {
		p.added--
		p.maybe++
	}
	a.givenUp++
}

// mourn waits until a user whose last node has died is announced gone: one who
// comes back before that was never gone. It returns with the lock held.
func (a *audit) mourn(at place) *presence {
	for {
		a.mu.Lock()
		p := a.presence(at)
		if !p.mourned || a.t.Failed() {
			return p
		}
		a.mu.Unlock()
		a.await(at)
	}
}

// exit closes one of the user's sockets in the room.
func (a *audit) exit(at place, random *rand.Rand) {
	a.mu.Lock()
	p := a.presence(at)
	var sockets []*auditSocket
	for s := range p.sockets {
		sockets = append(sockets, s)
	}
	if len(sockets) == 0 {
		a.mu.Unlock()
		return
	}
	s := sockets[random.IntN(len(sockets))]
	delete(p.sockets, s)
	if len(p.sockets) == 0 {
		p.removed++
	}
	a.leaves++
	a.mu.Unlock()
	s.conn.Gone(hub.End{Code: 1006, Reason: hub.Disconnected})
	a.await(at)
}

// await waits until the watchers have been told what the model says. Those who
// were on a node that died are told gone once its lease is over, which may take
// until there is calm.
func (a *audit) await(at place) {
	deadline := time.Now().Add(time.Minute)
	for {
		a.mu.Lock()
		p := a.presence(at)
		want := *p
		a.mu.Unlock()
		if a.told(at, want) {
			a.mu.Lock()
			p.mourned = p.mourned && p.removed != want.removed
			a.mu.Unlock()
			return
		}
		if time.Now().After(deadline) {
			a.t.Errorf("%v: the watchers were not told what the model says: added %d, removed %d; %s", at, want.added, want.removed, a.accounts(at))
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (a *audit) told(at place, want presence) bool {
	for _, w := range a.watchers {
		if w.room != at.room {
			continue
		}
		w.mu.Lock()
		added, removed := w.added[at.user]-want.added, w.removed[at.user]-want.removed
		w.mu.Unlock()
		if added != removed || added < 0 || added > want.maybe {
			return false
		}
	}
	return true
}

func (a *audit) accounts(at place) string {
	var text string
	for i, w := range a.watchers {
		if w.room == at.room {
			w.mu.Lock()
			text += fmt.Sprintf("watcher %d: added %d, removed %d. ", i, w.added[at.user], w.removed[at.user])
			w.mu.Unlock()
		}
	}
	return text
}

// publish sends an event that must reach every watcher of the room, if it is
// taken.
func (a *audit) publish(room string, random *rand.Rand) {
	a.mu.Lock()
	node := a.nodes[random.IntN(auditLiving)]
	a.published++
	name := fmt.Sprintf("event-%d", a.published)
	a.mu.Unlock()
	ctx, cancel := contextFor(10 * time.Second)
	defer cancel()
	err := node.hub.Trigger(ctx, node.hub.AppByID("1"), hub.Event{Name: name, Data: []byte(`"{}"`), Channels: []string{room}})
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.watchers {
		if w.room == room {
			w.mu.Lock()
			w.due = append(w.due, name)
			w.mu.Unlock()
		}
	}
}

// killNodes lets mortal nodes die, and others take their places.
func (a *audit) killNodes(end time.Time) {
	random := rand.New(rand.NewPCG(*auditSeed, 1000))
	for time.Now().Before(end.Add(-2*time.Second)) && !a.t.Failed() {
		time.Sleep(time.Duration(500+random.IntN(2500)) * time.Millisecond)
		at := auditLiving + random.IntN(auditMortal)
		next := a.newNode()
		a.mu.Lock()
		dead := a.nodes[at]
		a.nodes[at] = next
		a.kills++
		a.mu.Unlock()
		if dead.proxy != nil && random.IntN(3) == 0 {
			a.freeze(dead, time.Duration(5500+random.IntN(2500))*time.Millisecond)
			continue
		}
		dead.bus.Crash()
		dead.hub.Close()
		a.forget(dead)
	}
}

// freeze has a node stand still and, if it was declared dead meanwhile, go on. What it then
// still wants to do must change nothing.
func (a *audit) freeze(n *auditNode, long time.Duration) {
	n.proxy.still.Lock()
	a.forget(n)
	time.Sleep(long)
	a.losing.RLock() // a Redis that forgets who is dead would have the node back
	defer a.losing.RUnlock()
	if dead, err := a.redis[0].try("exists", n.bus.OverKey()); err == nil && strings.TrimSpace(dead) == "1" {
		n.proxy.still.Unlock()
		time.Sleep(2 * time.Second)
		a.mu.Lock()
		a.frozen++
		a.mu.Unlock()
	} else {
		defer n.proxy.still.Unlock()
	}
	n.bus.Crash()
	n.hub.Close()
}

// forget has the model know that a node is dead.
func (a *audit) forget(dead *auditNode) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.model {
		p.lose(dead)
	}
}

// lose takes away what the user had on a node that died. A socket without its
// answer may have been announced, or not.
func (p *presence) lose(dead *auditNode) {
	lost, answered := false, false
	for s, n := range p.sockets {
		if n != dead {
			continue
		}
		delete(p.sockets, s)
		lost = true
		select {
		case <-s.joined:
			answered = true
		default:
		}
	}
	switch {
	case !lost || len(p.sockets) > 0:
	case answered:
		p.removed++
		p.mourned = true
	default:
		p.added--
		p.maybe++
	}
}

// settle waits for quiet and compares everything.
func (a *audit) settle() {
	for at := range maps.Clone(a.model) {
		a.await(at)
	}
	within(a.t, "every event has come", func() bool {
		return !slices.ContainsFunc(a.watchers, func(w *auditSocket) bool { return w.missing() != "" })
	})
	for room := range auditRooms {
		name := fmt.Sprintf("presence-%d", room)
		var want []string
		for i := range auditLiving {
			want = append(want, fmt.Sprintf("watcher-%d", i))
		}
		sockets := auditLiving
		for at, p := range a.model {
			if at.room == name && len(p.sockets) > 0 {
				want = append(want, at.user)
				sockets += len(p.sockets)
			}
		}
		slices.Sort(want)
		for i, n := range a.nodes {
			a.compare(i, n, name, want, sockets)
		}
	}
	for i, w := range a.watchers {
		if got, want := w.members(), 0; len(got) == want {
			a.t.Errorf("watcher %d sees nobody", i)
		}
	}
}

// compare compares what a node says of a room with the model, for a while: a master
// may have moved, and a node that died last may not be cleared away yet.
func (a *audit) compare(index int, n *auditNode, room string, want []string, sockets int) {
	wrong := "not compared"
	for until := time.Now().Add(10 * time.Second); wrong != "" && time.Now().Before(until); {
		users, err := n.bus.Users(context.Background(), topicOf(room))
		slices.Sort(users)
		infos, err2 := n.bus.ChannelInfos(context.Background(), "1", []string{room})
		wrong = ""
		if err != nil || err2 != nil || !slices.Equal(users, want) || infos[0].Subscribers != sockets {
			wrong = fmt.Sprintf("users %v, %+v, %v, %v; the model has %v and %d subscribers", users, infos, err, err2, want, sockets)
			time.Sleep(10 * time.Millisecond)
		}
	}
	if wrong != "" {
		a.t.Errorf("node %d, %s: %s", index, room, wrong)
	}
}

func topicOf(room string) hub.Topic { return hub.Topic{App: "1", Channel: room} }

// connect opens a socket on a node.
func (a *audit) connect(n *auditNode) *auditSocket {
	s := &auditSocket{
		t: a.t, added: map[string]int{}, removed: map[string]int{}, here: map[string]bool{},
		got: map[string]bool{}, joined: make(chan struct{}), closed: make(chan struct{}),
	}
	conn, err := n.hub.Connect(n.hub.AppByID("1"), s)
	if err != nil {
		a.t.Error(err)
	}
	s.conn = conn
	return s
}

// join subscribes the socket to the room and waits for the answer; false when
// the node dies first.
func (a *audit) join(s *auditSocket, n *auditNode, room, user string) bool {
	data := fmt.Sprintf(`{"user_id":%q}`, user)
	mac := hmac.New(sha256.New, []byte(auditSecret))
	mac.Write([]byte(s.conn.ID() + ":" + room + ":" + data))
	s.room = room
	message, _ := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{
		"channel": room, "auth": auditKey + ":" + hex.EncodeToString(mac.Sum(nil)), "channel_data": data,
	}})
	for wait := s.conn.Receive(message); wait != nil; wait = s.conn.Receive(message) {
		<-wait
	}
	deadline := time.After(20 * time.Second)
	for {
		select {
		case <-s.joined:
			return true
		case <-s.closed:
			if s.fault.Code != protocol.CodeOverCapacity {
				a.t.Errorf("%s was closed", user)
			}
			return false
		case <-deadline:
			a.t.Errorf("%s was not answered", user)
			return false
		case <-time.After(20 * time.Millisecond):
			a.mu.Lock()
			alive := slices.Contains(a.nodes, n)
			a.mu.Unlock()
			if !alive && len(a.watchers) > 0 {
				return false
			}
		}
	}
}

// auditSocket is a client that checks what it is told.
type auditSocket struct {
	t    *testing.T
	conn *hub.Conn
	room string

	joined chan struct{}
	closed chan struct{}
	fault  protocol.Fault // once it is closed

	mu             sync.Mutex
	here           map[string]bool
	added, removed map[string]int
	got            map[string]bool // events
	due            []string        // those that must come
}

// Send implements hub.Socket.
func (s *auditSocket) Send(frames [][]byte) hub.Backlog {
	for _, frame := range frames {
		if bytes.Equal(frame, protocol.PingFrame()) {
			s.conn.Touch() // an hour has many
		} else if payload := protocol.PayloadOf(frame); payload != nil {
			s.read(payload)
		}
	}
	return hub.Clear
}

// Backlog implements hub.Socket.
func (s *auditSocket) Backlog() hub.Backlog { return hub.Clear }

// Stalled implements hub.Socket.
func (s *auditSocket) Stalled() time.Duration { return 0 }

// Deflates implements hub.Socket.
func (s *auditSocket) Deflates() bool { return false }

// Close implements hub.Socket.
func (s *auditSocket) Close(f protocol.Fault, _ hub.CloseReason) {
	s.t.Logf("a socket in %s was closed: %v", s.room, f)
	s.fault = f
	close(s.closed)
}

func (s *auditSocket) read(payload []byte) {
	e, err := protocol.ParseEvent(payload)
	if err != nil {
		s.t.Errorf("%v: %s", err, payload)
		return
	}
	data, _ := protocol.Unquote(e.Data)
	var about struct {
		User     string `json:"user_id"`
		Presence struct {
			IDs []string `json:"ids"`
		} `json:"presence"`
	}
	_ = json.Unmarshal(data, &about)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Event {
	case "pusher_internal:subscription_succeeded":
		for _, id := range about.Presence.IDs {
			s.here[id] = true
		}
		close(s.joined)
	case "pusher_internal:member_added":
		s.added[about.User]++
		if s.here[about.User] {
			s.t.Errorf("%s is announced, but is in %s", about.User, s.room)
		}
		s.here[about.User] = true
	case "pusher_internal:member_removed":
		s.removed[about.User]++
		if !s.here[about.User] {
			s.t.Errorf("%s is announced gone, but is not in %s", about.User, s.room)
		}
		delete(s.here, about.User)
	case "pusher:connection_established":
	default:
		if s.got[e.Event] {
			s.t.Errorf("%s came twice", e.Event)
		}
		s.got[e.Event] = true
	}
}

// missing names an event that must come, and has not.
func (s *auditSocket) missing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.due {
		if !s.got[name] {
			return name
		}
	}
	return ""
}

func (s *auditSocket) members() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.here))
}
