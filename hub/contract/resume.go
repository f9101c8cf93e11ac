package contract

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"channels/hub"
)

// Resume runs hubs over a backend, between which clients with tokens go back and forth.
func Resume(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, []*hub.Hub){
		"a client goes to another node at once":    resumeAtOnce,
		"and while its old connection is still up": resumeSideBySide,
		"and back, again and again":                resumeAgain,
	} {
		t.Run(name, func(t *testing.T) { test(t, openHubs(t, open(t))) })
	}
}

func openHubs(t *testing.T, nodes []Node) []*hub.Hub {
	app := resumingApp()
	hubs := make([]*hub.Hub, len(nodes))
	for i, n := range nodes {
		h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: n.Bus, State: n.State, Workers: 2})
		hubs[i] = h
		t.Cleanup(h.Close)
	}
	return hubs
}

func resumingApp() hub.App {
	a := hub.DefaultApp()
	a.ID, a.Key, a.Secret = app, key, secret
	a.History.Events, a.Resume = 1000, 2*time.Minute
	return a
}

const resumeToken = "0123456789abcdef"

// resumer is a client with a token that goes from node to node.
type resumer struct {
	t    *testing.T
	room string
	now  *socket
	old  []*socket
}

func visit(t *testing.T, h *hub.Hub, token string) *socket {
	t.Helper()
	s := &socket{}
	conn, err := h.ConnectAs(h.AppByID(app), s, hub.Visitor{Token: token, Answers: true})
	if err != nil {
		t.Fatal(err)
	}
	s.conn = conn
	return s
}

// arrive connects and subscribes. Its last connection, if there is one, is left as it is.
func (r *resumer) arrive(h *hub.Hub) {
	r.t.Helper()
	if r.now != nil {
		r.old = append(r.old, r.now)
	}
	r.now = visit(r.t, h, resumeToken)
	r.now.subscribe(r.room, "")
	eventually(r.t, func() error { return r.now.answered(r.room) })
}

// breaks ends the connection.
func (r *resumer) breaks() { r.now.conn.Gone(hub.End{Code: 1006, Reason: hub.Disconnected}) }

// told returns the events of the channel, without those of the protocol but for resumed and
// missed.
func (s *socket) told(room string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Channel == room && !strings.HasPrefix(e.Event, "pusher_internal:") {
			all = append(all, e.Event)
		}
	}
	return all
}

func (r *resumer) wants(want ...string) {
	r.t.Helper()
	eventually(r.t, func() error {
		if got := fmt.Sprint(r.now.told(r.room)); got != fmt.Sprint(want) {
			return fmt.Errorf("told %s, want %s", got, want)
		}
		return nil
	})
}

func trigger(t *testing.T, h *hub.Hub, room string, names ...string) {
	t.Helper()
	for _, name := range names {
		e := hub.Event{Name: name, Channels: []string{room}, Data: []byte(`"{}"`)}
		if err := h.Trigger(t.Context(), h.AppByID(app), e); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	resumedEvent = "pusher:resumed"
	missedEvent  = "pusher:missed" // of a token that is new to a backend that is new
)

func resumeAtOnce(t *testing.T, hubs []*hub.Hub) {
	r := &resumer{t: t, room: "at-once"}
	r.arrive(hubs[0])
	trigger(t, hubs[0], r.room, "a")
	r.wants(missedEvent, "a")
	r.breaks()
	began := time.Now()
	r.arrive(hubs[len(hubs)-1])
	r.wants(resumedEvent, "a")
	if took := time.Since(began); took > 400*time.Millisecond {
		t.Errorf("it took %v: the other node was not asked, or has not answered", took)
	}
}

func resumeSideBySide(t *testing.T, hubs []*hub.Hub) {
	r := &resumer{t: t, room: "side-by-side"}
	r.arrive(hubs[0])
	trigger(t, hubs[0], r.room, "a")
	r.wants(missedEvent, "a")
	r.now.say(`{"event":"pusher:pong"}`) // of a
	trigger(t, hubs[0], r.room, "b")
	eventually(t, func() error { return r.now.has("b", r.room) })
	r.arrive(hubs[len(hubs)-1])
	r.wants(resumedEvent, "b")
	trigger(t, hubs[0], r.room, "c")
	r.wants(resumedEvent, "b", "c")
}

func resumeAgain(t *testing.T, hubs []*hub.Hub) {
	r := &resumer{t: t, room: "again"}
	r.arrive(hubs[0])
	r.wants(missedEvent)
	want := []string{resumedEvent}
	for i := range 20 {
		h := hubs[(i+1)%len(hubs)]
		name := numbered("e", i)
		if i%3 > 0 {
			r.breaks()
		}
		trigger(t, h, r.room, name)
		want = append(want, name)
		r.arrive(h)
		r.wants(want...)
	}
}
