package fallback_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/hub/transport/fallback"
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

// rig is a hub with two apps behind the HTTP transports. Its connections are pipes,
// so that it works in a bubble, and that a write blocks until it is read.
type rig struct {
	t                testing.TB
	hub              *hub.Hub
	app              *hub.App
	over             *fallback.Transport
	budget           *hub.QueueBudget
	client           *http.Client
	listener         *pipes
	closeConnections func() // of clients and nodes
	refuse           error  // what the gate says of new clients; nil = nothing
	crowded          bool   // the gate lets no new clients in
	from             fallback.Client
	mu               sync.Mutex        // guards the next
	conns            int               // connections made
	admitted         []fallback.Client // those that the gate was asked about
	signed           string            // what the last request from another node had in its header
}

const base = "http://server/pusher/app/app-key/123/abcdefgh/"

const query = "?protocol=7&client=js&version=8.6.0"

// run calls test with a rig in a bubble.
func run(t *testing.T, change func(*hub.App, *fallback.Options), test func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, stop := newRig(t, change)
		defer func() {
			stop()
			time.Sleep(time.Second) // the HTTP server waits before it closes some connections
			synctest.Wait()
			if n := r.budget.Used(); n != 0 {
				t.Errorf("%d bytes are queued at the end", n)
			}
			if n := r.over.Receivers(); n != 0 {
				t.Errorf("%d receivers are left at the end", n)
			}
		}()
		test(t, r)
	})
}

func newRig(t testing.TB, change func(*hub.App, *fallback.Options)) (r *rig, stop func()) {
	app, other := hub.DefaultApp(), hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", "app-key", "app-secret"
	other.ID, other.Key, other.Secret = "2", "other-key", "other-secret"
	var o fallback.Options
	if change != nil {
		change(&app, &o)
	}
	memory := hub.NewMemory()
	engine := hub.New(hub.Options{Apps: []hub.App{app, other}, Bus: memory, State: memory, Workers: 2})
	o.Hub = engine
	if o.Budget == nil {
		o.Budget = hub.NewQueueBudget(0)
	}
	r = &rig{t: t, hub: engine, app: engine.AppByID("1"), over: fallback.New(o), budget: o.Budget}
	listener := newPipes()
	web := &http.Server{Handler: r, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
	served := make(chan struct{})
	go func() { _ = web.Serve(listener); close(served) }()
	carrier := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		r.mu.Lock()
		r.conns++
		r.mu.Unlock()
		return listener.dial()
	}}
	r.client = &http.Client{Transport: carrier}
	r.listener, r.closeConnections = listener, func() { _ = web.Close() }
	return r, func() {
		r.over.Close()
		_ = web.Close()
		carrier.CloseIdleConnections()
		<-served
		engine.Close()
		memory.Close()
	}
}

// ServeHTTP does what the listener does.
func (r *rig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if signed := req.Header.Get("Channels-Forwarded"); signed != "" {
		r.mu.Lock()
		r.signed = signed
		r.mu.Unlock()
	}
	route, ok := fallback.ParsePath(req.URL.Path)
	if !ok {
		http.NotFound(w, req)
		return
	}
	r.over.Serve(w, req, route, fallback.Gate{
		Client: r.from,
		Allow:  func() bool { return !r.crowded },
		App: func(client fallback.Client, key string, _ url.Values) (*hub.App, hub.Visitor, error) {
			r.mu.Lock()
			r.admitted = append(r.admitted, client)
			r.mu.Unlock()
			if app := r.hub.AppByKey(key); app != nil || r.refuse != nil {
				return app, hub.Visitor{}, r.refuse
			}
			return nil, hub.Visitor{}, protocol.UnknownAppKey(key)
		},
	})
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- near:
		return far, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// stream is a response that is read line by line.
type stream struct {
	t      testing.TB
	res    *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc
	units  int // read, as JavaScript counts
}

func (r *rig) stream(url string) *stream {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.do(req, cancel)
}

func (r *rig) do(req *http.Request, cancel context.CancelFunc) *stream {
	r.t.Helper()
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: got %s, want 200", req.URL, res.Status)
	}
	return &stream{t: r.t, res: res, lines: bufio.NewReaderSize(res.Body, 256<<10), cancel: cancel}
}

// open opens a streaming session and returns its socket id.
func (r *rig) open(url string) (*stream, string) {
	r.t.Helper()
	s := r.stream(url)
	s.expectPrelude()
	s.expect("o")
	return s, s.expectEstablished()
}

func (s *stream) expectEstablished() string {
	s.t.Helper()
	var data struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(s.expectEvent("pusher:connection_established")), &data); err != nil {
		s.t.Fatal(err)
	}
	return data.SocketID
}

// line returns the next line, without its end; io.EOF is the end of the response.
func (s *stream) line() (string, error) {
	line, err := s.lines.ReadString('\n')
	s.units += protocol.UTF16Len([]byte(line))
	if err != nil && line != "" {
		s.t.Fatalf("the response ends in a line: %.100q", line)
	}
	return strings.TrimSuffix(line, "\n"), err
}

func (s *stream) expect(want string) {
	s.t.Helper()
	line, err := s.line()
	if err != nil || line != want {
		s.t.Fatalf("got %.200q, %v, want %.200q", line, err, want)
	}
}

func (s *stream) expectPrelude() {
	s.t.Helper()
	s.expect(strings.Repeat("h", 2048))
}

// expectEvent reads an event and returns its data, undone from its string.
func (s *stream) expectEvent(event string) string {
	s.t.Helper()
	line, err := s.line()
	if err != nil {
		s.t.Fatalf("waiting for %s: %v", event, err)
	}
	e := eventOf(s.t, line)
	if e.Event != event {
		s.t.Fatalf("got %.200s, want %s", line, event)
	}
	text, err := protocol.Unquote(e.Data)
	if err != nil {
		return string(e.Data)
	}
	return string(text)
}

func eventOf(t testing.TB, line string) protocol.Event {
	t.Helper()
	var messages []string
	if !strings.HasPrefix(line, "a") || json.Unmarshal([]byte(line[1:]), &messages) != nil || len(messages) != 1 {
		t.Fatalf("not one message: %.200q", line)
	}
	e, err := protocol.ParseEvent([]byte(messages[0]))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// expectEnd wants the end of the response as it should be, without an error.
func (s *stream) expectEnd() {
	s.t.Helper()
	if line, err := s.line(); err != io.EOF {
		s.t.Fatalf("got %.200q, %v, want the end", line, err)
	}
	s.close()
}

func (s *stream) close() {
	s.cancel()
	_ = s.res.Body.Close()
}

// poll makes a request and returns the lines of the whole answer.
func (r *rig) poll(url string) []string {
	r.t.Helper()
	s := r.stream(url)
	var lines []string
	for {
		line, err := s.line()
		if err == io.EOF {
			s.close()
			return lines
		}
		if err != nil {
			r.t.Fatal(err)
		}
		lines = append(lines, line)
	}
}

// post sends a body and returns the status and the text of the answer.
func (r *rig) post(url, body string) (int, string) {
	r.t.Helper()
	res, err := r.client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// say sends messages, and wants them to be handled.
func (r *rig) say(url string, messages ...string) {
	r.t.Helper()
	if messages == nil {
		messages = []string{}
	}
	body, err := json.Marshal(messages)
	if err != nil {
		r.t.Fatal(err)
	}
	if status, text := r.post(url+"xhr_send", string(body)); status != http.StatusNoContent {
		r.t.Fatalf("send: got %d %q, want 204", status, text)
	}
}

func subscribeTo(channel string) string {
	return fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q}}`, channel)
}

func (r *rig) trigger(channel, event, data string) {
	r.t.Helper()
	if err := r.tryTrigger(channel, event, data); err != nil {
		r.t.Fatalf("trigger: %v", err)
	}
}

func (r *rig) tryTrigger(channel, event, data string) error {
	return r.hub.Trigger(context.Background(), r.app, hub.Event{
		Name: event, Channels: []string{channel}, Data: protocol.QuoteData([]byte(data)),
	})
}

// ends returns how connections have ended.
func (r *rig) ends() map[hub.End]uint64 {
	synctest.Wait()
	return r.hub.Stats().Closes
}

func (r *rig) expectEnds(want hub.End, n uint64) {
	r.t.Helper()
	if ends := r.ends(); ends[want] != n || n == 0 && len(ends) > 0 {
		r.t.Fatalf("got ends %v, want %d of %v", ends, n, want)
	}
}
