package contract

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// Hub runs a hub over a backend that fails at random.
func Hub(t *testing.T, open Open) {
	t.Run("nothing is left of what has failed", func(t *testing.T) { Churn(t, last(open(t)), 1) })
}

// failing is a backend whose Follow and Join fail at random, and take their time.
type failing struct {
	hub.Bus
	hub.State
	mu     sync.Mutex
	random *rand.Rand
	odds   int // one of so many fails; 0 = none
}

// Follow implements hub.Bus: where it fails, nothing is followed.
func (f *failing) Follow(t hub.Topic, r hub.Receiver, done func(error)) {
	f.answer(func(err error) {
		if err != nil {
			done(err)
			return
		}
		f.Bus.Follow(t, r, done)
	})
}

// Join implements hub.State: where it fails, it may have happened.
func (f *failing) Join(j hub.Join, done func(hub.Joined, error)) {
	f.State.Join(j, func(joined hub.Joined, err error) {
		f.answer(func(failure error) { done(joined, errors.Join(err, failure)) })
	})
}

func (f *failing) answer(done func(error)) {
	f.mu.Lock()
	wait := time.Duration(f.random.IntN(3)) * time.Millisecond
	var err error
	if f.odds > 0 && f.random.IntN(f.odds) == 0 {
		err = fmt.Errorf("%w: by chance", hub.ErrUnavailable)
	}
	f.mu.Unlock()
	if wait == 0 {
		done(err)
		return
	}
	time.AfterFunc(wait, func() { done(err) })
}

func (f *failing) recover() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.odds = 0
}

const (
	key    = "key"
	secret = "secret"
)

// Churn has clients of a hub come and go while Follow and Join fail at random. A
// client is either acknowledged or closed, never left without a word; and when
// all is well again, nothing is left of it. It may run in a synctest bubble.
func Churn(t *testing.T, n Node, seed uint64) {
	f := &failing{Bus: n.Bus, State: n.State, random: rand.New(rand.NewPCG(seed, 0)), odds: 5}
	settings := hub.DefaultApp()
	settings.ID, settings.Key, settings.Secret = app, key, secret
	h := hub.New(hub.Options{Apps: []hub.App{settings}, Bus: f, State: f, Workers: 3})
	defer h.Close()
	c := &churn{t: t, hub: h, app: h.AppByID(app)}
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() { c.comeAndGo(rand.New(rand.NewPCG(seed, uint64(i+1)))) })
	}
	for i := range 300 {
		c.publish(rooms()[i%len(rooms())], "event")
		time.Sleep(time.Millisecond)
	}
	clients.Wait()
	f.recover()
	eventually(t, func() error { return c.isEmpty(n) })
	for _, room := range rooms() {
		c.works(room)
	}
}

func rooms() []string { return []string{"news", "private-x", "presence-room", "cache-x"} }

type churn struct {
	t   *testing.T
	hub *hub.Hub
	app *hub.App
}

func (c *churn) comeAndGo(random *rand.Rand) {
	for range 40 {
		room := rooms()[random.IntN(len(rooms()))]
		s := c.connect()
		s.signIn(fmt.Sprint("u", random.IntN(3)))
		s.subscribe(room, fmt.Sprint("u", random.IntN(3)))
		if random.IntN(2) == 0 {
			time.Sleep(time.Duration(random.IntN(6)) * time.Millisecond)
			s.say(`{"event":"pusher:unsubscribe","data":{"channel":%q}}`, room)
		}
		eventually(c.t, func() error { return s.answered(room) })
		s.conn.Gone(hub.End{Code: 1006, Reason: hub.Disconnected})
	}
}

func (c *churn) publish(room, event string) {
	_ = c.hub.Trigger(c.t.Context(), c.app, hub.Event{Name: event, Channels: []string{room}, Data: []byte(`"{}"`)})
}

// isEmpty says what is left although all clients have gone.
func (c *churn) isEmpty(n Node) error {
	stats := c.hub.Stats()
	if s := stats.Apps[0]; s.Channels != 0 || s.Subscriptions != 0 || s.Connections != 0 || s.HeldBytes != 0 {
		return fmt.Errorf("the hub has %+v", s)
	}
	found, err := n.State.Channels(c.t.Context(), app, "")
	if err != nil || len(found) != 0 {
		return fmt.Errorf("the State has %v, %w", found, err)
	}
	return nil
}

// works wants a newcomer to be served.
func (c *churn) works(room string) {
	s := c.connect()
	s.subscribe(room, "ann")
	eventually(c.t, func() error { return s.answered(room) })
	c.publish(room, "hello")
	eventually(c.t, func() error { return s.has("hello", room) })
	s.conn.Gone(hub.End{Code: 1006, Reason: hub.Disconnected})
}

// eventually wants check to come to nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	if err := poll(patience, time.Millisecond, check); err != nil {
		t.Error(err)
	}
}

// poll calls check, with pauses, until it returns nil or the time is over. It
// returns the last error.
func poll(most, pause time.Duration, check func() error) error {
	err := check()
	for end := time.Now().Add(most); err != nil && time.Now().Before(end); err = check() {
		time.Sleep(pause)
	}
	return err
}

// socket is a client's transport that remembers.
type socket struct {
	conn *hub.Conn

	mu     sync.Mutex
	events []protocol.Event
	closed bool
}

var _ hub.Socket = (*socket)(nil)

func (c *churn) connect() *socket {
	s := &socket{}
	conn, err := c.hub.Connect(c.app, s)
	if err != nil {
		c.t.Fatal(err)
	}
	s.conn = conn
	return s
}

// Send implements hub.Socket.
func (s *socket) Send(frames [][]byte) hub.Backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, frame := range frames {
		if e, err := protocol.ParseEvent(protocol.PayloadOf(frame)); err == nil {
			s.events = append(s.events, e)
		}
	}
	return hub.Clear
}

// Backlog implements hub.Socket.
func (s *socket) Backlog() hub.Backlog { return hub.Clear }

// Stalled implements hub.Socket.
func (s *socket) Stalled() time.Duration { return 0 }

// Deflates implements hub.Socket.
func (s *socket) Deflates() bool { return false }

// Close implements hub.Socket.
func (s *socket) Close(protocol.Fault, hub.CloseReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *socket) say(format string, args ...any) {
	text := fmt.Appendf(nil, format, args...)
	for wait := s.conn.Receive(text); wait != nil; wait = s.conn.Receive(text) {
		<-wait
	}
}

func (s *socket) signIn(user string) {
	data := fmt.Sprintf(`{"id":%q,"watchlist":["u0","u1"]}`, user)
	s.say(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`,
		protocol.UserAuth(key, secret, s.conn.ID(), data), data)
}

func (s *socket) subscribe(room, user string) {
	data := ""
	if protocol.KindOf(room).IsPresence() {
		data = fmt.Sprintf(`{"user_id":%q}`, user)
	}
	s.say(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q,"channel_data":%q}}`,
		room, protocol.ChannelAuth(key, secret, s.conn.ID(), room, data), data)
}

// answered is nil once the client knows what has become of its subscribe.
func (s *socket) answered(room string) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil
	}
	return s.has("pusher_internal:subscription_succeeded", room)
}

func (s *socket) has(event, room string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Event == event && e.Channel == room {
			return nil
		}
	}
	return fmt.Errorf("no %s on %s", event, room)
}
