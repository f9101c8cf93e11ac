package hub_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/protocol"
)

// TestMain fails when a test leaves a goroutine of ours behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leftGoroutines(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
		code = 1
	}
	os.Exit(code)
}

func leftGoroutines() string {
	var left []string
	for range 50 {
		buf := make([]byte, 1<<20)
		left = nil
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "channels/hub.") && !strings.Contains(g, "leftGoroutines") {
				left = append(left, g)
			}
		}
		if left == nil {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}

const (
	key    = "app-key"
	secret = "app-secret"
)

// rig is a hub for tests, in memory unless a test puts something in between.
type rig struct {
	t      testing.TB
	hub    *hub.Hub
	app    *hub.App
	memory *hub.Memory
}

// newRig starts a hub whose only app has been changed by change.
func newRig(t testing.TB, change func(*hub.App), options ...func(*hub.Options)) *rig {
	t.Helper()
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", key, secret
	if change != nil {
		change(&app)
	}
	memory := hub.NewMemory()
	o := hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory, Workers: 3}
	for _, option := range options {
		option(&o)
	}
	h := hub.New(o)
	t.Cleanup(func() {
		h.Close()
		memory.Close()
	})
	return &rig{t: t, hub: h, app: h.AppByID("1"), memory: memory}
}

// client is a Socket that remembers, with the connection it belongs to.
type client struct {
	t    testing.TB
	conn *hub.Conn

	mu      sync.Mutex
	frames  [][]byte
	backlog hub.Backlog // what Send answers
	stalled time.Duration
	closed  *protocol.Fault
	at      time.Time // of closed
}

func (c *client) Send(frames [][]byte) hub.Backlog {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, frames...)
	return c.backlog
}

func (c *client) Backlog() hub.Backlog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.backlog
}

func (c *client) set(b hub.Backlog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backlog = b
}

// stallFor sets what Stalled answers.
func (c *client) stallFor(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = d
}

func (c *client) Stalled() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stalled
}

func (c *client) Deflates() bool { return false }

func (c *client) Close(f protocol.Fault, _ hub.CloseReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == nil {
		c.closed, c.at = &f, time.Now()
	}
}

// connect returns a greeted client.
func (r *rig) connect() *client {
	r.t.Helper()
	return r.connectTo(r.app)
}

func (r *rig) connectTo(app *hub.App) *client {
	r.t.Helper()
	c := &client{t: r.t}
	conn, err := r.hub.Connect(app, c)
	if err != nil {
		r.t.Fatalf("connect: %v", err)
	}
	c.conn = conn
	r.settle()
	c.expect("pusher:connection_established")
	return c
}

// settle returns when nothing moves any more; tests run in a synctest bubble.
func (r *rig) settle() { synctest.Wait() }

// got is one event that a client received.
type got struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	UserID  string          `json:"user_id"`
}

// take returns what has been received since the last time; pings are "ping".
func (c *client) take() []got {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	events := make([]got, 0, len(c.frames))
	for _, frame := range c.frames {
		if string(frame) == string(protocol.PingFrame()) {
			events = append(events, got{Event: "ping"})
			continue
		}
		var e got
		if err := json.Unmarshal(protocol.PayloadOf(frame), &e); err != nil {
			c.t.Fatalf("frame %q: %v", frame, err)
		}
		events = append(events, e)
	}
	c.frames = nil
	return events
}

// expect settles and wants exactly these events, in this order.
func (c *client) expect(want ...string) []got {
	c.t.Helper()
	synctest.Wait()
	events := c.take()
	var names []string
	for _, e := range events {
		names = append(names, e.Event)
	}
	if !slices.Equal(names, want) {
		c.t.Fatalf("received %v, want %v\n%s", names, want, events)
	}
	return events
}

// expectError wants one pusher:error whose message contains text.
func (c *client) expectError(code string, text string) {
	c.t.Helper()
	for _, e := range c.expect("pusher:error") {
		var data struct {
			Code    json.RawMessage
			Message string
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			c.t.Fatalf("error data %s: %v", e.Data, err)
		}
		if string(data.Code) != code || !strings.Contains(data.Message, text) {
			c.t.Errorf("got error %s, want code %s and %q", e.Data, code, text)
		}
	}
}

func (c *client) expectClosed(code protocol.Code) {
	c.t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == nil || c.closed.Code != code {
		c.t.Fatalf("closed with %v, want code %d", c.closed, code)
	}
}

func (c *client) expectOpen() {
	c.t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		c.t.Fatalf("closed with %v", *c.closed)
	}
}

// say sends a message as the client.
func (c *client) say(format string, args ...any) {
	receive(c.conn, fmt.Appendf(nil, format, args...))
}

// receive waits as a transport does.
func receive(c *hub.Conn, text []byte) {
	for wait := c.Receive(text); wait != nil; wait = c.Receive(text) {
		<-wait
	}
}

// gone is how most clients of these tests end.
var gone = hub.End{Code: 1006, Reason: hub.Disconnected}

const (
	acknowledged = "pusher_internal:subscription_succeeded"
	refused      = "pusher_internal:subscription_error"
	added        = "pusher_internal:member_added"
	removed      = "pusher_internal:member_removed"
)

func (c *client) subscribe(name string) {
	if protocol.KindOf(name).NeedsAuth() {
		c.subscribeSigned(name, "")
		return
	}
	c.say(`{"event":"pusher:subscribe","data":{"channel":%q}}`, name)
}

func (c *client) subscribeSigned(name, channelData string) {
	auth := protocol.ChannelAuth(key, secret, c.conn.ID(), name, channelData)
	if channelData == "" {
		c.say(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q}}`, name, auth)
		return
	}
	c.say(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q,"channel_data":%q}}`, name, auth, channelData)
}

// enter subscribes to a presence channel as a user.
func (c *client) enter(name, userID string) {
	c.subscribeSigned(name, fmt.Sprintf(`{"user_id":%q,"user_info":{"name":%q}}`, userID, userID))
}

func (c *client) unsubscribe(name string) {
	c.say(`{"event":"pusher:unsubscribe","data":{"channel":%q}}`, name)
}

func (r *rig) trigger(name, event string) {
	r.t.Helper()
	if err := r.publish(name, event, ""); err != nil {
		r.t.Fatalf("trigger: %v", err)
	}
}

func (r *rig) publish(name, event, exclude string) error {
	return r.hub.Trigger(r.t.Context(), r.app, hub.Event{
		Name: event, Channels: []string{name}, Data: []byte(`"{}"`), Exclude: exclude,
	})
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
