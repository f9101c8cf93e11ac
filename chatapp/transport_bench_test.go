package chatapp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// The comparison of the old way with the new one.
const (
	benchUsers   = 200
	benchFor     = 30 * time.Second
	benchEach    = 10 * time.Second // a message of every user, where they write
	benchPolling = 2 * time.Second
)

// BenchmarkTransports has 200 users in one room, who only listen or write each ten
// seconds, told by polling or by push. It reports requests a minute, the
// processor time of chat and server together, and how long a message takes.
func BenchmarkTransports(b *testing.B) {
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		for _, transport := range []string{TransportPoll, TransportPush} {
			for _, writing := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/%s/writing=%v", database, transport, writing), func(b *testing.B) {
					for range b.N {
						benchTransport(b, database, transport, writing)
					}
				})
			}
		}
	}
}

// crowd is users of a chat process, and what they notice.
type crowd struct {
	b        *testing.B
	chat     string
	server   *realtime
	requests atomic.Int64
	sent     sync.Map // client id → time.Time

	mu    sync.Mutex
	delay []time.Duration
}

func benchTransport(b *testing.B, database, transport string, writing bool) {
	config := StoreConfig{Dir: b.TempDir()}
	if database == "PostgreSQL" {
		config = StoreConfig{URL: newPostgres(b)}
	}
	tokens := benchAccounts(b, config)
	c := &crowd{b: b, server: startRealtime(b, buildRealtime(b))}
	chat := c.startChat(config, transport)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i, token := range tokens {
		u := &member{crowd: c, token: token, index: i}
		listen := u.poll
		if transport == TransportPush {
			socket := u.subscribe(ctx)
			listen = func(ctx context.Context) { u.hear(ctx, socket) }
		}
		all.Go(func() { listen(ctx) })
		if writing {
			all.Go(func() { u.write(ctx) })
		}
	}
	time.Sleep(3 * time.Second)
	c.requests.Store(0)
	before := cpuOf(b, chat.Process.Pid) + cpuOf(b, c.server.process.Process.Pid)
	time.Sleep(benchFor)
	used := cpuOf(b, chat.Process.Pid) + cpuOf(b, c.server.process.Process.Pid) - before
	requests := c.requests.Load()
	stop()
	all.Wait()
	b.ReportMetric(float64(requests)*float64(time.Minute)/float64(benchFor), "requests/min")
	b.ReportMetric(100*used.Seconds()/benchFor.Seconds(), "%CPU")
	b.ReportMetric(0, "ns/op")
	if len(c.delay) > 0 {
		slices.Sort(c.delay)
		b.ReportMetric(float64(c.delay[len(c.delay)/2])/1e6, "p50-ms")
		b.ReportMetric(float64(c.delay[len(c.delay)*99/100])/1e6, "p99-ms")
	}
}

// benchAccounts makes the users, and a session for each.
func benchAccounts(b *testing.B, config StoreConfig) (tokens []string) {
	store, err := OpenStore(context.Background(), config)
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchUsers {
		_, token, err := store.signUp(context.Background(), newAccount{
			Name: fmt.Sprint("User ", i), Hash: "none", Policy: SignupOpen, Session: time.Hour,
		})
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	if err := store.Close(); err != nil { // SQLite is for one process
		b.Fatal(err)
	}
	return tokens
}

func (c *crowd) startChat(config StoreConfig, transport string) *exec.Cmd {
	binary := filepath.Join(c.b.TempDir(), "chat")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "channels/cmd/chat").CombinedOutput(); err != nil {
		c.b.Fatalf("build chat: %v: %s", err, out)
	}
	p := exec.Command(binary)
	p.Env = append(os.Environ(), "CHAT_LISTEN=127.0.0.1:0", "CHAT_TRANSPORT="+transport, "CHAT_DATA="+config.Dir,
		"DATABASE_URL="+config.URL, "PUSHER_PORT="+strconv.Itoa(c.server.port))
	log, err := p.StderrPipe()
	if err != nil {
		c.b.Fatal(err)
	}
	if err := p.Start(); err != nil {
		c.b.Fatal(err)
	}
	c.b.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGKILL) // it has nothing to lose
		_ = p.Wait()
	})
	first := make([]byte, 4096)
	n, err := log.Read(first)
	match := regexp.MustCompile(`listen=(\S+)`).FindSubmatch(first[:n])
	if match == nil {
		c.b.Fatalf("chat said %q, %v", first[:n], err)
	}
	go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the process
	c.chat = "http://" + string(match[1])
	return p
}

// member is one of the crowd.
type member struct {
	*crowd
	token string
	index int
}

func (u *member) do(ctx context.Context, method, path, kind, body string, into any) bool {
	u.requests.Add(1)
	req, err := http.NewRequestWithContext(ctx, method, u.chat+path, strings.NewReader(body))
	if err != nil {
		return false
	}
	req.AddCookie(&http.Cookie{Name: "chat_session", Value: u.token})
	req.Header.Set("Content-Type", kind)
	res, err := benchClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	err = json.NewDecoder(res.Body).Decode(into)
	return err == nil && res.StatusCode < 300
}

var benchClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * benchUsers}}

func (u *member) write(ctx context.Context) {
	wait(ctx, rand.N(benchEach))
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("bench-%d-%d", u.index, i)
		u.sent.Store(id, time.Now())
		var answer object
		u.do(ctx, http.MethodPost, "/api/rooms/general/messages", "application/json", `{"clientId":"`+id+`","text":"`+strings.Repeat("word ", 12)+`"}`, &answer)
		wait(ctx, benchEach)
	}
}

// poll asks as a browser does that is not told.
func (u *member) poll(ctx context.Context) {
	wait(ctx, rand.N(benchPolling))
	var have int64
	for ctx.Err() == nil {
		var changes Changes
		if u.do(ctx, http.MethodGet, fmt.Sprint("/api/rooms/general/changes?after=", have), "", "", &changes) {
			for _, m := range changes.Messages {
				u.got(m.ClientID)
			}
			have = changes.Rev
		}
		wait(ctx, benchPolling)
	}
}

func (u *member) subscribe(ctx context.Context) *websocket.Conn {
	conn, res, err := websocket.Dial(ctx, fmt.Sprintf("ws://127.0.0.1:%d/app/app-key?protocol=7", u.server.port), nil)
	if err != nil {
		u.b.Fatal(err)
	}
	_ = res.Body
	conn.SetReadLimit(1 << 20)
	var established struct {
		SocketID string `json:"socket_id"`
	}
	u.event(ctx, conn, "pusher:connection_established", &established)
	form := url.Values{"socket_id": {established.SocketID}, "channel_name": {roomChannel(generalRoom, 1)}}.Encode()
	for _, step := range []struct{ path, event, answer string }{
		{"/api/pusher/user-auth", "pusher:signin", "pusher:signin_success"},
		{"/api/pusher/auth", "pusher:subscribe", "pusher_internal:subscription_succeeded"},
	} {
		signed := object{}
		if !u.do(ctx, http.MethodPost, step.path, "application/x-www-form-urlencoded", form, &signed) {
			u.b.Fatalf("%s: %v", step.path, signed)
		}
		signed["channel"] = roomChannel(generalRoom, 1)
		message, err := json.Marshal(object{"event": step.event, "data": signed})
		if err != nil {
			u.b.Fatal(err)
		}
		if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
			u.b.Fatal(err)
		}
		var any object
		u.event(ctx, conn, step.answer, &any)
	}
	return conn
}

// event waits for an event.
func (u *member) event(ctx context.Context, conn *websocket.Conn, name string, into any) {
	for {
		var e struct {
			Event string
			Data  string
		}
		_, message, err := conn.Read(ctx)
		if err == nil {
			err = json.Unmarshal(message, &e)
		}
		if err != nil {
			u.b.Fatalf("%s: %v: %s", name, err, message)
		}
		if e.Event == name {
			if err := json.Unmarshal([]byte(e.Data), into); err != nil {
				u.b.Fatal(err)
			}
			return
		}
	}
}

func (u *member) hear(ctx context.Context, conn *websocket.Conn) {
	defer conn.CloseNow() //nolint:errcheck // it is over
	id := regexp.MustCompile(`bench-\d+-\d+`)
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if found := id.Find(message); found != nil {
			u.got(string(found))
		}
	}
}

// got notes how long a message took to one member.
func (u *member) got(id string) {
	sent, ok := u.sent.Load(id)
	if !ok {
		return
	}
	took := time.Since(sent.(time.Time))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.delay = append(u.delay, took)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// cpuOf returns a process's processor time.
func cpuOf(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
