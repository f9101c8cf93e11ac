package redisbus_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// Travellers are clients with tokens that the random audit lets go from node to node, while
// numbers are published on channels that have histories. Each must be given every number
// that was taken, in order, or be told that something is missing.

const (
	travellers  = 4
	travelRooms = 3
)

// travel is what the audit knows of them.
type travel struct {
	mu    sync.Mutex
	taken map[string][]int // numbers that were taken, by room
	all   []*traveller
}

// traveller is one client. Its views are those of its rooms.
type traveller struct {
	t     *testing.T
	token string

	mu      sync.Mutex
	views   map[string]*travelView
	resumed int
	missed  int
}

type travelView struct {
	last          int // the last number that came, 0 = none
	since         int // numbers up to here may be missing, since the client was told so
	replays, seen int
	got           map[int]bool
}

func (a *audit) newTravel() *travel {
	w := &travel{taken: map[string][]int{}}
	for i := range travellers {
		c := &traveller{t: a.t, token: fmt.Sprintf("traveller-%08d", i), views: map[string]*travelView{}}
		for room := range travelRooms {
			c.views[fmt.Sprintf("kept-%d", room)] = &travelView{got: map[int]bool{}}
		}
		w.all = append(w.all, c)
	}
	return w
}

// publish publishes numbers on a room until the end, by any node that lives.
func (w *travel) publish(a *audit, room string, seed uint64, end time.Time) {
	random := rand.New(rand.NewPCG(*auditSeed, seed))
	for n := 1; time.Now().Before(end) && !a.t.Failed(); n++ {
		a.working.RLock()
		a.mu.Lock()
		node := a.nodes[random.IntN(auditLiving)]
		a.mu.Unlock()
		ctx, cancel := contextFor(10 * time.Second)
		err := node.hub.Trigger(ctx, node.hub.AppByID("1"), hub.Event{Name: "n", Data: []byte(`"` + strconv.Itoa(n) + `"`), Channels: []string{room}})
		cancel()
		if err == nil {
			w.mu.Lock()
			w.taken[room] = append(w.taken[room], n)
			w.mu.Unlock()
		}
		a.working.RUnlock()
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
}

// run has a client go from node to node.
func (c *traveller) run(a *audit, seed uint64, end time.Time) {
	random := rand.New(rand.NewPCG(*auditSeed, seed))
	for time.Now().Before(end) && !a.t.Failed() {
		a.mu.Lock()
		node := a.nodes[random.IntN(len(a.nodes))]
		a.mu.Unlock()
		s := c.visit(node)
		if s == nil {
			continue
		}
		select {
		case <-s.closed:
		case <-time.After(time.Duration(random.IntN(2000)) * time.Millisecond):
		}
		s.conn.Gone(hub.End{Code: 1006, Reason: hub.Disconnected})
		s.end()
	}
}

// visit connects to a node, and subscribes to all rooms.
func (c *traveller) visit(n *auditNode) *travelSocket {
	s := &travelSocket{of: c, closed: make(chan struct{})}
	conn, err := n.hub.ConnectAs(n.hub.AppByID("1"), s, hub.Visitor{Token: c.token, Answers: true})
	if err != nil {
		return nil
	}
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	for room := range c.views {
		s.say(`{"event":"pusher:subscribe","data":{"channel":"` + room + `"}}`)
	}
	return s
}

// check wants every number that was taken to have come, but for those of which the client
// was told, and some to have been resumed.
func (w *travel) check(a *audit) {
	for i, c := range w.all {
		s := c.visit(a.nodes[i%auditLiving])
		for room, numbers := range w.taken {
			missing := func() (first int) {
				c.mu.Lock()
				defer c.mu.Unlock()
				v := c.views[room]
				for _, n := range numbers {
					if n > v.since && !v.got[n] {
						return n
					}
				}
				return 0
			}
			for until := time.Now().Add(20 * time.Second); missing() > 0 && time.Now().Before(until); {
				time.Sleep(10 * time.Millisecond)
			}
			if n := missing(); n > 0 {
				a.t.Errorf("traveller %d has not got %d of %s, nor was it told", i, n, room)
			}
		}
		c.mu.Lock()
		a.t.Logf("traveller %d: %d channels resumed, %d missed", i, c.resumed, c.missed)
		if c.resumed == 0 {
			a.t.Errorf("traveller %d was never resumed", i)
		}
		c.mu.Unlock()
		if s != nil {
			s.conn.Gone(hub.End{Code: 1006, Reason: hub.Disconnected})
		}
	}
}

// travelSocket is a connection of a traveller. What comes after its end is not handled: the
// client has given it up.
type travelSocket struct {
	of     *traveller
	closed chan struct{}

	saying sync.Mutex // one message after the other

	mu    sync.Mutex
	conn  *hub.Conn
	over  bool
	ended bool
}

func (s *travelSocket) say(text string) {
	s.saying.Lock()
	defer s.saying.Unlock()
	for wait := s.conn.Receive([]byte(text)); wait != nil; wait = s.conn.Receive([]byte(text)) {
		<-wait
	}
}

func (s *travelSocket) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// Send implements hub.Socket.
func (s *travelSocket) Send(frames [][]byte) hub.Backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, frame := range frames {
		e, err := protocol.ParseEvent(protocol.PayloadOf(frame))
		switch {
		case s.over || err != nil:
		case e.Event == "pusher:ping":
			if s.conn != nil {
				go s.say(`{"event":"pusher:pong"}`)
			}
		default:
			s.of.take(e)
		}
	}
	return hub.Clear
}

// Backlog implements hub.Socket.
func (s *travelSocket) Backlog() hub.Backlog { return hub.Clear }

// Stalled implements hub.Socket.
func (s *travelSocket) Stalled() time.Duration { return 0 }

// Deflates implements hub.Socket.
func (s *travelSocket) Deflates() bool { return false }

// Close implements hub.Socket.
func (s *travelSocket) Close(protocol.Fault, hub.CloseReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.closed)
	}
}

func (c *traveller) take(e protocol.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.views[e.Channel]
	if v == nil {
		return
	}
	data, _ := protocol.Unquote(e.Data)
	switch e.Event {
	case "pusher:resumed":
		c.resumed++
		v.replays, v.seen = 0, 0
		_, _ = fmt.Sscanf(string(data), `{"replayed":%d,"possibly_seen":%d}`, &v.replays, &v.seen)
	case "pusher:missed":
		c.missed++
		v.since, v.replays, v.seen = 1<<30, 0, 0 // until the next number
	case "n":
		n, _ := strconv.Atoi(strings.Trim(string(data), `"`))
		if n <= v.last && (v.seen == 0 || v.replays == 0) {
			c.t.Errorf("%s: %d of %s again, behind %d, which was not announced", c.token, n, e.Channel, v.last)
		}
		if v.since == 1<<30 {
			v.since = n - 1
		}
		v.got[n] = true
		v.last = n
		v.replays, v.seen = max(v.replays-1, 0), max(v.seen-1, 0)
	}
}
