package server_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"channels/hub"
	"channels/hub/api"
	"channels/hub/ops"
	"channels/hub/server"
	"channels/hub/transport"
	"channels/hub/transport/fallback"
	"channels/protocol"
)

// goroutineReaders and parkedReaders are the two ways to read from sockets.
const (
	goroutineReaders = "goroutine"
	parkedReaders    = "parked"
)

// readers says how the servers under test read.
var readers = flag.String("readers", "both", "how sockets are read: "+parkedReaders+", "+goroutineReaders+" or both")

// readersOf returns how the servers of this run read.
func readersOf() string {
	if *readers == goroutineReaders {
		return goroutineReaders
	}
	return parkedReaders
}

// TestMain runs the tests twice, with readers of both kinds. It fails when a test
// leaves a goroutine of ours behind.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if left := leftGoroutines(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
		code = 1
	}
	if code == 0 && *readers == "both" && plainRun() {
		code = runAgain(goroutineReaders)
	}
	os.Exit(code)
}

// plainRun says that tests are run, not listed, fuzzed or measured.
func plainRun() bool {
	for _, name := range []string{"test.list", "test.fuzz", "test.bench"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return flag.Lookup("test.fuzzworker").Value.String() == "false"
}

// runAgain runs this program once more, with the other readers.
func runAgain(kind string) int {
	again := exec.Command(os.Args[0])
	for _, arg := range append(os.Args[1:], "-readers="+kind) {
		if !strings.HasPrefix(arg, "-test.coverprofile") { // that of the first run stays
			again.Args = append(again.Args, arg)
		}
	}
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	if err := again.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "with -readers=%s: %v\n", kind, err)
		return 1
	}
	return 0
}

func leftGoroutines() string {
	var left []string
	for range 400 {
		buf := make([]byte, 4<<20)
		left = nil
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "channels/hub") && !strings.Contains(g, "leftGoroutines") {
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

	// patience is how long anything may take before a test fails.
	patience = 10 * time.Second
)

// rig is a running server on a loopback port.
type rig struct {
	t       testing.TB
	addr    string
	hub     *hub.Hub
	app     *hub.App
	metrics *ops.Metrics
	front   *server.Server
	carrier *transport.Transport
	budget  *hub.QueueBudget
	over    way // how raw clients come
}

// options are those of what a rig is made of.
type options struct {
	transport transport.Options
	api       api.Options
	server    server.Options
	secure    *tls.Config // nil = plain
}

// newRig starts a server with an app that change has changed, and a second one
// with other credentials.
func newRig(t testing.TB, change func(*hub.App), changes ...func(*options)) *rig {
	t.Helper()
	app, other := hub.DefaultApp(), hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", key, secret
	other.ID, other.Key, other.Secret = "2", "other-key", "other-secret"
	if change != nil {
		change(&app)
	}
	memory := hub.NewMemory()
	metrics := ops.NewMetrics()
	engine := hub.New(hub.Options{
		Apps: []hub.App{app, other}, Bus: memory, State: memory, Delivered: metrics.Delivered,
	})
	var o options
	for _, change := range changes {
		change(&o)
	}
	if o.transport.Budget == nil {
		o.transport.Budget = hub.NewQueueBudget(0)
	}
	front, carrier, requests := assemble(engine, o)
	metrics.Show(ops.Sources{Hub: engine, API: requests, Queued: o.transport.Budget, Transport: carrier, Soketi: true, Port: "6001"})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := front.HTTPServer()
	go func() { _ = web.Serve(front.Listener(listener, o.secure)) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = web.Close()
		if err := engine.Drain(ctx, protocol.Reconnect(), 0); err != nil {
			t.Error(err)
		}
		if err := carrier.Wait(ctx); err != nil {
			t.Error(err)
		}
		carrier.Close()
		engine.Close()
		memory.Close()
	})
	return &rig{
		t: t, addr: listener.Addr().String(), hub: engine, app: engine.AppByID("1"),
		metrics: metrics, front: front, carrier: carrier, budget: o.transport.Budget,
	}
}

// assemble puts a server for the hub together.
func assemble(engine *hub.Hub, o options) (*server.Server, *transport.Transport, *api.API) {
	o.transport.Hub, o.api.Hub, o.server.Hub = engine, engine, engine
	o.transport.GoroutineReaders = readersOf() == goroutineReaders
	carrier, requests := transport.New(o.transport), api.New(o.api)
	o.server.Transport, o.server.API = carrier, requests
	o.server.Fallback = fallback.New(fallback.Options{Hub: engine, Budget: o.transport.Budget})
	return server.New(o.server), carrier, requests
}

// client is a WebSocket client.
type client struct {
	t  testing.TB
	ws *websocket.Conn
	id string
}

func (r *rig) dial(path string) *client {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+r.addr+path, nil)
	if err != nil {
		r.t.Fatalf("dial %s: %v", path, err)
	}
	ws.SetReadLimit(1 << 20)
	r.t.Cleanup(func() { _ = ws.CloseNow() })
	return &client{t: r.t, ws: ws}
}

func (r *rig) connect() *client {
	r.t.Helper()
	c := r.dial("/app/" + key + "?protocol=7")
	var data struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal(c.expect("pusher:connection_established"), &data); err != nil {
		r.t.Fatal(err)
	}
	c.id = data.SocketID
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

func (c *client) read() (protocol.Event, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, message, err := c.ws.Read(ctx)
	if err != nil {
		return protocol.Event{}, err
	}
	return protocol.ParseEvent(message)
}

// expect reads one event and returns its data, undone from its string.
func (c *client) expect(event string) []byte {
	c.t.Helper()
	e, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for %s: %v", event, err)
	}
	if e.Event != event {
		c.t.Fatalf("got %s %s, want %s", e.Event, e.Data, event)
	}
	if event == "pusher:error" {
		return e.Data
	}
	text, err := protocol.Unquote(e.Data)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// expectClose reads on until the connection is closed, and wants this code.
func (c *client) expectClose(code protocol.Code, reason string) {
	c.t.Helper()
	for {
		_, err := c.read()
		if err == nil {
			continue
		}
		var ce websocket.CloseError
		if !asCloseError(err, &ce) || protocol.Code(ce.Code) != code || !strings.Contains(ce.Reason, reason) {
			c.t.Fatalf("closed with %v, want %d %q", err, code, reason)
		}
		return
	}
}

func asCloseError(err error, target *websocket.CloseError) bool {
	if websocket.CloseStatus(err) == -1 {
		return false
	}
	for e := err; e != nil; {
		if ce, ok := e.(websocket.CloseError); ok {
			*target = ce
			return true
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		e = u.Unwrap()
	}
	return false
}

func (c *client) subscribe(channel string) {
	c.t.Helper()
	c.say(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q}}`, channel))
	c.expect("pusher_internal:subscription_succeeded")
}

func (r *rig) trigger(channel, event, data string) {
	r.t.Helper()
	err := r.hub.Trigger(r.t.Context(), r.app, hub.Event{
		Name: event, Channels: []string{channel}, Data: protocol.QuoteData([]byte(data)),
	})
	if err != nil {
		r.t.Fatalf("trigger: %v", err)
	}
}
