//go:build conformance && !goroutinereaders

package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pusher/pusher-http-go/v5"
)

// hooked are the settings of a server that tells a receiver of everything.
func hooked(url string, events ...string) []string {
	if len(events) == 0 {
		events = []string{"channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "cache_miss", "subscription_count"}
	}
	return []string{
		"CHANNELS_APP_WEBHOOK_URL=" + url, "CHANNELS_APP_WEBHOOK_EVENTS=" + strings.Join(events, ","), "CHANNELS_WEBHOOKS_ALLOW_PRIVATE=true",
	}
}

// hookEvent is an event of a delivery.
type hookEvent struct {
	Name     string
	Channel  string
	UserID   string `json:"user_id"`
	Event    string
	Data     string
	SocketID string `json:"socket_id"`
	Count    *int   `json:"subscription_count"`
}

func (e hookEvent) String() string {
	text := strings.TrimSpace(strings.Join([]string{e.Name, e.Channel, e.UserID, e.Event, e.Data}, " "))
	if e.Count != nil {
		text += " " + strconv.Itoa(*e.Count)
	}
	return strings.Join(strings.Fields(text), " ")
}

// hookRequest is one delivery as it came.
type hookRequest struct {
	Header http.Header
	Body   []byte
	events []hookEvent
}

// receiver is an application's endpoint.
type receiver struct {
	*httptest.Server
	t testing.TB

	mu       sync.Mutex
	requests []hookRequest
	seen     map[string][]byte // bodies by delivery
	repeats  int
	answer   atomic.Pointer[http.HandlerFunc] // in place of 200; nil = none
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{t: t, seen: map[string][]byte{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // whoever has sent it was killed
	}
	if answer := r.answer.Load(); answer != nil {
		(*answer)(w, q)
		return
	}
	var of struct{ Events []hookEvent }
	if err := json.Unmarshal(body, &of); err != nil {
		r.t.Errorf("%v: %s", err, body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := q.Header.Get("X-Channels-Delivery")
	if before, again := r.seen[id]; again {
		if r.repeats++; !bytes.Equal(before, body) {
			r.t.Errorf("delivery %s differs: %s, then %s", id, before, body)
		}
		return
	}
	r.seen[id] = body
	r.requests = append(r.requests, hookRequest{q.Header.Clone(), body, of.Events})
}

// events are those that came, without repeats.
func (r *receiver) events() (all []hookEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.requests {
		all = append(all, q.events...)
	}
	return all
}

// of are those of a channel, as text.
func (r *receiver) of(channel string) (texts []string) {
	for _, e := range r.events() {
		if e.Channel == channel {
			texts = append(texts, e.String())
		}
	}
	return texts
}

// want waits for exactly these events of a channel.
func (r *receiver) want(channel string, texts ...string) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for len(r.of(channel)) < len(texts) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if got := r.of(channel); !slices.Equal(got, texts) {
		r.t.Errorf("%s: got  %q\nwant %q", channel, got, texts)
	}
}

// TestWebhookBodies: every kind of event, as the SDKs for Go, Node and Python accept it.
func TestWebhookBodies(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := start(t, hooked(r.URL)...)
	ann, bob := connect(t, s), connect(t, s)
	ann.subscribePresence("presence-room", memberData("ann"))
	bob.subscribePresence("presence-room", memberData("bob"))
	ann.send(`{"event":"client-hi","channel":"presence-room","data":{"a":[1,"ü"]}}`)
	bob.expect("client-hi", "presence-room")
	bob.unsubscribe("presence-room")
	connect(t, s).send(`{"event":"pusher:subscribe","data":{"channel":"cache-empty"}}`)
	one, two := connect(t, s), connect(t, s)
	one.subscribe("news")
	two.subscribe("news")
	one.unsubscribe("news")
	one.answers()
	two.unsubscribe("news")
	r.want("presence-room", "channel_occupied presence-room", "member_added presence-room ann", "member_added presence-room bob",
		`client_event presence-room ann client-hi {"a":[1,"ü"]}`, "member_removed presence-room bob")
	r.want("cache-empty", "channel_occupied cache-empty", "subscription_count cache-empty 1", "cache_miss cache-empty")
	r.want("news", "channel_occupied news", "subscription_count news 1", "subscription_count news 2", "subscription_count news 1",
		"channel_vacated news", "subscription_count news 0")
	carol := connect(t, s)
	carol.signInAs(t, s, "carol") // nobody is told of what the server has channels of its own for
	carol.subscribe("last")
	r.want("last", "channel_occupied last", "subscription_count last 1")
	for _, e := range r.events() {
		if strings.HasPrefix(e.Channel, "#") {
			t.Errorf("told of %s", e)
		}
		if e.Name == "client_event" && e.SocketID != ann.SocketID {
			t.Errorf("socket_id %q, want %q", e.SocketID, ann.SocketID)
		}
	}
	checkWithSDKs(t, r)
}

func checkWithSDKs(t *testing.T, r *receiver) {
	t.Helper()
	client := pusher.Client{AppID: appID, Key: appKey, Secret: appSecret}
	var lines bytes.Buffer
	for _, q := range r.requests {
		if got := q.Header.Values("Content-Type"); !slices.Equal(got, []string{"application/json"}) {
			t.Errorf("Content-Type %q", got)
		}
		webhook, err := client.Webhook(q.Header, q.Body)
		if err != nil || len(webhook.Events) != len(q.events) {
			t.Errorf("the Go SDK says %v of %s", err, q.Body)
		}
		headers := map[string]string{}
		for name := range q.Header {
			headers[strings.ToLower(name)] = q.Header.Get(name)
		}
		line, _ := json.Marshal(map[string]any{"headers": headers, "body": string(q.Body)})
		lines.Write(append(line, '\n'))
	}
	count := strconv.Itoa(len(r.events()))
	script := `
import json, os, sys, pusher
client = pusher.Pusher(app_id="1", key=os.environ["CHANNELS_APP_KEY"], secret=os.environ["CHANNELS_APP_SECRET"])
events = 0
for line in sys.stdin:
    sent = json.loads(line)
    webhook = client.validate_webhook(sent["headers"]["x-pusher-key"], sent["headers"]["x-pusher-signature"], sent["body"])
    assert webhook is not None, line
    events += len(webhook["events"])
print(events)
`
	python, err := filepath.Abs(".deps/python/bin/python")
	ok(t, "python", err)
	for name, cmd := range map[string]*exec.Cmd{"node": exec.Command("node", "webhook.mjs"), "python": exec.Command(python, "-c", script)} {
		cmd.Dir, cmd.Stdin = "node", bytes.NewReader(lines.Bytes())
		cmd.Env = append(os.Environ(), "CHANNELS_APP_KEY="+appKey, "CHANNELS_APP_SECRET="+appSecret)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != count {
			t.Errorf("%s: %v\n%s, want %s events", name, err, out, count)
		}
	}
}

// TestWebhookGrace: who is back within three seconds was never gone; an unsubscribe is told
// at once.
func TestWebhookGrace(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := start(t, hooked(r.URL, "channel_occupied", "channel_vacated", "member_added", "member_removed")...)
	first := connect(t, s)
	first.subscribePresence("presence-a", memberData("ann"))
	_ = first.conn.CloseNow()
	time.Sleep(time.Second)
	second := connect(t, s)
	second.subscribePresence("presence-a", memberData("ann"))
	time.Sleep(3500 * time.Millisecond)
	r.want("presence-a", "channel_occupied presence-a", "member_added presence-a ann")
	began := time.Now()
	_ = second.conn.CloseNow()
	r.want("presence-a", "channel_occupied presence-a", "member_added presence-a ann", "member_removed presence-a ann", "channel_vacated presence-a")
	if wait := time.Since(began); wait < 3*time.Second || wait > 8*time.Second {
		t.Errorf("told gone after %v", wait)
	}
}

// TestWebhookFaults: whatever a receiver does, it gets everything once it behaves, and
// sockets notice nothing.
func TestWebhookFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() },
		"fails": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"redirects": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "/elsewhere", http.StatusMovedPermanently)
		},
		"resets": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		},
		"answers garbage": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = conn.Write([]byte("\x00\xffgarbage\r\n\r\n"))
			_ = conn.Close()
		},
		"answers much": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			for range 100 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			r.answer.Store(&fault)
			s := start(t, hooked(r.URL, "channel_occupied")...)
			c := connect(t, s)
			c.subscribe("first")
			time.Sleep(1500 * time.Millisecond)
			c.subscribe("second")
			publish(t, s, "second", "n", `"1"`)
			c.expect("n", "second")
			if got := r.events(); len(got) != 0 {
				t.Errorf("%v came", got)
			}
			r.answer.Store(nil)
			r.want("first", "channel_occupied first")
			r.want("second", "channel_occupied second")
			if _, metrics := s.opsGet("/metrics"); !strings.Contains(metrics, `channels_webhook_requests_total{app_id="1",result="delivered"}`) {
				t.Error("no metrics of webhooks")
			}
		})
	}
}

// TestWebhookAddresses: without permission no request is made to this machine or a private
// network, whatever the name; nor to a server whose certificate is wrong.
func TestWebhookAddresses(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	secure := httptest.NewTLSServer(r)
	t.Cleanup(secure.Close)
	port := r.Listener.Addr().(*net.TCPAddr).Port
	for name, test := range map[string]struct {
		settings []string
		says     string
	}{
		"this machine":        {hooked(r.URL, "channel_occupied")[:2], "webhooks_allow_private"},
		"a name for it":       {hooked(fmt.Sprintf("http://localhost:%d/", port), "channel_occupied")[:2], "webhooks_allow_private"},
		"a private network":   {hooked("http://192.168.77.77/", "channel_occupied")[:2], "webhooks_allow_private"},
		"a wrong certificate": {hooked(secure.URL, "channel_occupied"), "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, test.settings...)
			connect(t, s).subscribe("a")
			within(t, patience, "the operator sees why", func() bool {
				return strings.Contains(askWebhooks(t, s, "list"), test.says)
			})
			if got := r.events(); len(got) != 0 {
				t.Errorf("%v came", got)
			}
		})
	}
}

// askWebhooks runs channels webhooks; a wrong exit is shown with what it has printed.
func askWebhooks(t testing.TB, s *server, words ...string) string {
	t.Helper()
	cmd := exec.Command(mustBinary(t), append([]string{"webhooks"}, words...)...)
	cmd.Env = []string{"CHANNELS_OPS_LISTEN=" + s.Ops}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	return string(out)
}

// TestWebhookCommand: what an operator sees and does.
func TestWebhookCommand(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := start(t, hooked(r.URL+"/hooks?token=hidden", "channel_occupied")...)
	connect(t, s).subscribe("a")
	r.want("a", "channel_occupied a")
	within(t, patience, "the delivery is listed", func() bool {
		text := askWebhooks(t, s, "list")
		return strings.Contains(text, "200 OK") && strings.Contains(text, "0 deliveries were given up") && !strings.Contains(text, "hidden")
	})
	if text := askWebhooks(t, s, "test"); !strings.Contains(text, "200 OK") {
		t.Error(text)
	}
	r.want("webhook-test", "channel_occupied webhook-test")
	fails := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not now", http.StatusTeapot) })
	r.answer.Store(&fails)
	if text := askWebhooks(t, s, "test"); !strings.Contains(text, "418") || !strings.Contains(text, "not now") || !strings.Contains(text, "exit status 1") {
		t.Error(text)
	}
	if text := askWebhooks(t, s, "failed"); !strings.Contains(text, "0 deliveries") {
		t.Error(text)
	}
	for _, words := range [][]string{{"replay", "nonsense"}, {"list", "no-such-app"}, {"dance"}, {}} {
		if text := askWebhooks(t, s, words...); !strings.Contains(text, "exit status") || strings.Contains(text, "panic") {
			t.Errorf("%v: %s", words, text)
		}
	}
}

// TestWebhookSnippets runs the receivers of docs/webhooks.md.
func TestWebhookSnippets(t *testing.T) {
	t.Parallel()
	python, err := filepath.Abs(".deps/python/bin/python")
	ok(t, "python", err)
	for name, run := range map[string]func(text string) *exec.Cmd{
		"webhook-node": func(text string) *exec.Cmd { return nodeProgram(t.Context(), t, text) },
		"webhook-go": func(text string) *exec.Cmd {
			binary := filepath.Join(t.TempDir(), "receiver")
			build := exec.Command("go", "build", "-o", binary, program(t, "main.go", text))
			build.Dir = root // where the SDK is known
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return exec.Command(binary)
		},
		"webhook-python": func(text string) *exec.Cmd { return exec.Command(python, program(t, "main.py", text)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, found := snippetsOf(t, "docs/webhooks.md")[name]
			if !found {
				t.Fatal("docs/webhooks.md has no such snippet")
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			ok(t, "a free port", err)
			_, port, _ := net.SplitHostPort(l.Addr().String())
			_ = l.Close()
			output := background(t, run(strings.ReplaceAll(text, "4567", port)))
			s := start(t, hooked("http://127.0.0.1:"+port+"/webhooks", "channel_occupied")...)
			connect(t, s).subscribe("room")
			output.awaitText(" channel_occupied room")
			res, err := http.Post("http://127.0.0.1:"+port+"/webhooks", "application/json", strings.NewReader(`{"events":[]}`))
			ok(t, "a request that is not signed", err)
			if _ = res.Body.Close(); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("a request that is not signed: %s", res.Status)
			}
		})
	}
}

// transitions has sockets occupy and vacate channels on servers, each channel once, and
// returns those whose subscribe was answered.
func transitions(t *testing.T, servers func() []*server, prefix string, channels, sockets int, meanwhile func(done int)) (told []string) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	var next atomic.Int64
	for range sockets {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= channels {
					return
				}
				if meanwhile != nil {
					meanwhile(i)
				}
				name := fmt.Sprintf("%s-%d", prefix, i)
				nodes := servers()
				if occupyAndVacate(nodes[i%len(nodes)], name) {
					mu.Lock()
					told = append(told, name)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return told
}

// occupyAndVacate says whether the subscribe was answered; the server may die meanwhile.
func occupyAndVacate(s *server, channel string) bool {
	w, err := s.subscribed(1, channel)
	if w != nil {
		defer func() { _ = w.conn.Close() }()
	}
	if err != nil {
		time.Sleep(100 * time.Millisecond) // until the test has noticed
		return false
	}
	_, _ = w.conn.Write(w.encode(text(`{"event":"pusher:unsubscribe","data":{"channel":"` + channel + `"}}`)))
	return true
}

// complete requires that of every channel it was told once that it was occupied and then
// vacated, and of no other channel anything else.
func (r *receiver) complete(prefix string, told []string) {
	r.t.Helper()
	byChannel := func() map[string][]string {
		all := map[string][]string{}
		for _, e := range r.events() {
			all[e.Channel] = append(all[e.Channel], e.Name)
		}
		return all
	}
	whole := []string{"channel_occupied", "channel_vacated"}
	missing := func() (names []string) {
		got := byChannel()
		for _, name := range told {
			if !slices.Equal(got[name], whole) {
				names = append(names, fmt.Sprint(name, got[name]))
			}
		}
		return names
	}
	deadline := time.Now().Add(60 * time.Second)
	for len(missing()) > 0 && time.Now().Before(deadline) {
		time.Sleep(200 * time.Millisecond)
	}
	if names := missing(); len(names) > 0 {
		r.t.Errorf("%s: of %d channels %d were not told whole, once and in order: %.500v", prefix, len(told), len(names), names)
	}
	for name, events := range byChannel() {
		if !slices.Equal(events, whole) && len(events) > 0 && !slices.Equal(events, whole[:1]) {
			r.t.Errorf("%s: %v", name, events)
		}
	}
}

// TestWebhooksOverNodes: of two thousand transitions none is missing, although the node
// that delivers is killed, then a node with sockets, and then Redis.
func TestWebhooksOverNodes(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	redis := &redisServer{t: t, dir: t.TempDir(), port: freeRedisPort(t), keep: true}
	redis.start()
	t.Cleanup(redis.kill)
	settings := hooked(r.URL, "channel_occupied", "channel_vacated")
	first := startMortal(t, redis, settings...)
	within(t, patience, "the first node delivers", func() bool { return redis.cli("keys", "*:deliverer:*") != "\n" })
	second, third := startMortal(t, redis, settings...), startNode(t, redis, settings...)
	var mu sync.Mutex
	nodes := []*server{first, second, third}
	kill := func(s *server) {
		mu.Lock()
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(n *server) bool { return n == s })
		mu.Unlock()
		s.killNow()
	}
	servers := func() []*server {
		mu.Lock()
		defer mu.Unlock()
		return nodes
	}
	told := transitions(t, servers, "c", 1100, 10, func(done int) {
		switch done {
		case 200:
			kill(first) // which delivers
		case 500:
			kill(second) // which has sockets
		case 800:
			redis.kill()
			time.Sleep(500 * time.Millisecond)
			redis.start()
		}
	})
	if len(told) < 1000 {
		t.Errorf("only %d channels were occupied", len(told))
	}
	r.complete("nodes", told)
	t.Logf("%d channels, %d deliveries, %d repeats", len(told), len(r.requests), r.repeats)
}

// TestWebhooksOnDisk: a single node that keeps webhooks on disk is killed again and again,
// while its receiver is down for some time.
func TestWebhooksOnDisk(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	down := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	r.answer.Store(&down)
	settings := append(hooked(r.URL, "channel_occupied", "channel_vacated"), "--data="+t.TempDir(), "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0")
	begin := func() *server {
		s := launch(t, mustBinary(t), settings...)
		t.Cleanup(s.killNow)
		s.awaitListening()
		return s
	}
	var told []string
	for life := range 4 {
		s := begin()
		if life == 2 {
			r.answer.Store(nil)
		}
		got := transitions(t, func() []*server { return []*server{s} }, fmt.Sprint("life-", life), 260, 10, func(done int) {
			if done == 250 {
				s.killNow()
			}
		})
		told = append(told, got...)
	}
	begin() // what is left is told now
	if len(told) < 960 {
		t.Errorf("only %d channels were occupied", len(told))
	}
	r.complete("disk", told)
	t.Logf("%d channels, %d deliveries, %d repeats", len(told), len(r.requests), r.repeats)
}
