package chatapp

import (
	"context"
	"encoding/json"
	"errors"
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
	benchPolling = 2 * time.Second
	benchReading = 15 * time.Second // between two reports of a reader in a room of more than 20
)

// BenchmarkTransports has 200 users in one room, half of them with another room
// open, told by polling or by push, while so many messages a second are written. It
// reports requests a minute, the processor time of chat and server together, and
// how long a message takes to those who look. The users make the requests that
// the page makes, by the rules of web/API.md.
func BenchmarkTransports(b *testing.B) {
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		for _, transport := range []string{TransportPoll, TransportPush} {
			for _, perSecond := range []int{0, 1, 20} {
				b.Run(fmt.Sprintf("%s/%s/messages=%d", database, transport, perSecond), func(b *testing.B) {
					for range b.N {
						benchTransport(b, database, transport, perSecond)
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
	failed   atomic.Int64 // answers of 5xx
	sent     sync.Map     // client id → time.Time

	mu    sync.Mutex
	delay []time.Duration
}

func benchTransport(b *testing.B, database, transport string, perSecond int) {
	c, chat, members := newCrowd(b, database, transport, benchUsers, 1)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, u := range members {
		u.looking = u.index%2 == 0
		listen := u.poll
		if transport == TransportPush {
			if err := u.connect(ctx); err != nil {
				b.Fatal(err)
			}
			listen = u.hear
		}
		all.Go(func() { listen(ctx) })
		if u.looking {
			all.Go(func() { u.report(ctx) })
		}
	}
	if perSecond > 0 {
		all.Go(func() { c.write(ctx, members, time.Second/time.Duration(perSecond)) })
	}
	time.Sleep(3 * time.Second)
	c.requests.Store(0)
	chatBefore, serverBefore := cpuOf(b, chat.Process.Pid), cpuOf(b, c.server.process.Process.Pid)
	time.Sleep(benchFor)
	chatUsed, serverUsed := cpuOf(b, chat.Process.Pid)-chatBefore, cpuOf(b, c.server.process.Process.Pid)-serverBefore
	requests := c.requests.Load()
	stop()
	all.Wait()
	b.ReportMetric(float64(requests)*float64(time.Minute)/float64(benchFor), "requests/min")
	b.ReportMetric(100*(chatUsed+serverUsed).Seconds()/benchFor.Seconds(), "%CPU")
	b.ReportMetric(100*chatUsed.Seconds()/benchFor.Seconds(), "%CPU-chat")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(c.failed.Load()), "5xx")
	if len(c.delay) > 0 {
		slices.Sort(c.delay)
		b.ReportMetric(float64(c.delay[len(c.delay)/2])/1e6, "p50-ms")
		b.ReportMetric(float64(c.delay[len(c.delay)*99/100])/1e6, "p99-ms")
	}
}

// newCrowd starts server and chat, and makes users who are all in #general and in
// further rooms.
func newCrowd(b *testing.B, database, transport string, users, rooms int) (*crowd, *exec.Cmd, []*member) {
	config := StoreConfig{Dir: b.TempDir()}
	if database == "PostgreSQL" {
		config = StoreConfig{URL: newPostgres(b)}
	}
	c := &crowd{b: b, server: startRealtime(b, buildRealtime(b))}
	members := benchAccounts(b, c, config, users, rooms)
	return c, c.startChat(config, transport), members
}

// benchAccounts makes the users and their rooms.
func benchAccounts(b *testing.B, c *crowd, config StoreConfig, users, rooms int) (members []*member) {
	store, err := OpenStore(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	store.Silent = true // nobody is there yet
	var first Account
	for i := range users {
		a, token, err := store.signUp(b.Context(), newAccount{
			Name: fmt.Sprint("User ", i), Hash: "none", Policy: SignupOpen, Session: time.Hour,
		})
		if err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			first = a
		}
		members = append(members, &member{crowd: c, token: token, index: i, user: a.ID})
	}
	for i := range rooms {
		room := mustRoom(b, store, first, KindOpen, fmt.Sprint("room ", i)).ID
		err := store.change(b.Context(), "fill a room", func(c *change) error {
			_, err := c.exec(`INSERT INTO members (room_id, user_id, role, active, rev, joined_at, read_seq, read_rev)
				SELECT r.id, u.id, 'member', 1, 1, 0, 0, 0 FROM users u, rooms r WHERE r.id = ? AND u.id <> ?`, room, first.ID)
			if err == nil {
				_, err = c.exec("UPDATE rooms SET member_count = ? WHERE id = ?", users, room)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Close(); err != nil { // SQLite is for one process
		b.Fatal(err)
	}
	return members
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

// member is one of the crowd, and does what the page does.
type member struct {
	*crowd
	token   string
	user    string
	index   int
	looking bool // has #general open
	conn    *websocket.Conn
	read    atomic.Int64 // the newest message that they have seen
}

func (u *member) do(ctx context.Context, method, path, kind, body string, into any) error {
	u.requests.Add(1)
	req, err := http.NewRequestWithContext(ctx, method, u.chat+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.AddCookie(&http.Cookie{Name: sessionCookie, Value: u.token})
	req.Header.Set(userHeader, u.user)
	req.Header.Set("Content-Type", kind)
	res, err := benchClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 500 {
		u.failed.Add(1)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %v", method, path, res.Status, into)
	}
	return nil
}

var benchClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * benchUsers}}

// write has one member after the other write.
func (c *crowd) write(ctx context.Context, members []*member, pause time.Duration) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := 0; ctx.Err() == nil; i++ {
		u := members[i%len(members)]
		all.Go(func() {
			id := fmt.Sprintf("bench-%d-%d", u.index, i)
			u.sent.Store(id, time.Now())
			var answer object
			_ = u.do(ctx, http.MethodPost, "/api/rooms/general/messages", "application/json", // the end of the bench is no error
				`{"clientId":"`+id+`","text":"`+strings.Repeat("word ", 12)+`"}`, &answer)
		})
		wait(ctx, pause)
	}
}

// poll asks as a browser does that is not told: for the list and for the room that
// is open.
func (u *member) poll(ctx context.Context) {
	wait(ctx, rand.N(benchPolling))
	room := u.openRoom(ctx)
	var have int64
	for ctx.Err() == nil {
		var list object
		_ = u.do(ctx, http.MethodGet, "/api/rooms", "", "", &list) // the next round asks again
		var changes Changes
		if u.do(ctx, http.MethodGet, fmt.Sprint("/api/rooms/", room, "/changes?after=", have), "", "", &changes) == nil {
			for _, m := range changes.Messages {
				u.got(m.ClientID, m.Seq)
			}
			have = changes.Rev
		}
		wait(ctx, benchPolling)
	}
}

// openRoom is the id of the room that the member has open.
func (u *member) openRoom(ctx context.Context) string {
	if u.looking {
		return generalRoom
	}
	var list struct{ Rooms []Room }
	_ = u.do(ctx, http.MethodGet, "/api/rooms", "", "", &list) // without it: general
	for _, r := range list.Rooms {
		if r.ID != generalRoom {
			return r.ID
		}
	}
	return generalRoom
}

// report tells how far the member has read, when there is news and time.
func (u *member) report(ctx context.Context) {
	wait(ctx, rand.N(benchReading))
	for reported := int64(0); ctx.Err() == nil; wait(ctx, benchReading) {
		if seq := u.read.Load(); seq > reported {
			var answer object
			if u.do(ctx, http.MethodPost, "/api/rooms/general/read", "application/json", fmt.Sprintf(`{"seq":%d}`, seq), &answer) == nil {
				reported = seq
			}
		}
	}
}

// connect does what a page does from its start, or after a lost connection, until
// it is live.
func (u *member) connect(ctx context.Context) error {
	conn, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://127.0.0.1:%d/app/app-key?protocol=7", u.server.port), nil)
	if err != nil {
		return err
	}
	conn.SetReadLimit(1 << 20)
	u.conn = conn
	var established struct {
		SocketID string `json:"socket_id"`
	}
	var own welcome
	var list struct{ Rooms []Room }
	var online, changes object
	return errors.Join(
		u.await(ctx, "pusher:connection_established", &established),
		u.do(ctx, http.MethodGet, "/api/me", "", "", &own),
		u.signAndSend(ctx, established.SocketID, "/api/pusher/user-auth", "pusher:signin", "", "pusher:signin_success"),
		u.signAndSend(ctx, established.SocketID, "/api/pusher/auth", "pusher:subscribe", own.Me.Channel, "pusher_internal:subscription_succeeded"),
		u.do(ctx, http.MethodGet, "/api/rooms", "", "", &list),
		u.do(ctx, http.MethodGet, "/api/online", "", "", &online),
		u.openChannel(ctx, established.SocketID, list.Rooms, &changes),
	)
}

func (u *member) openChannel(ctx context.Context, socket string, rooms []Room, changes *object) error {
	for _, r := range rooms {
		if (r.ID == generalRoom) != u.looking {
			continue
		}
		return errors.Join(
			u.signAndSend(ctx, socket, "/api/pusher/auth", "pusher:subscribe", r.Channel, "pusher_internal:subscription_succeeded"),
			u.do(ctx, http.MethodGet, fmt.Sprint("/api/rooms/", r.ID, "/changes?after=", r.Rev), "", "", changes),
		)
	}
	return fmt.Errorf("no room to open among %d", len(rooms))
}

// signAndSend gets a signature, uses it and waits for what the server says.
func (u *member) signAndSend(ctx context.Context, socket, path, event, channel, answer string) error {
	form := url.Values{"socket_id": {socket}}
	if channel != "" {
		form.Set("channel_name", channel)
	}
	signed := object{}
	if err := u.do(ctx, http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode(), &signed); err != nil {
		return err
	}
	signed["channel"] = channel
	message, err := json.Marshal(object{"event": event, "data": signed})
	if err != nil {
		return err
	}
	if err := u.conn.Write(ctx, websocket.MessageText, message); err != nil {
		return err
	}
	return u.await(ctx, answer, &object{})
}

// await waits for an event.
func (u *member) await(ctx context.Context, name string, into any) error {
	for {
		var e struct{ Event, Data string }
		_, message, err := u.conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if json.Unmarshal(message, &e) == nil && e.Event == name {
			return json.Unmarshal([]byte(e.Data), into)
		}
	}
}

var benchID = regexp.MustCompile(`bench-\d+-\d+`)

func (u *member) hear(ctx context.Context) {
	defer u.conn.CloseNow() //nolint:errcheck // it is over
	for {
		_, message, err := u.conn.Read(ctx)
		if err != nil {
			return
		}
		if id := benchID.Find(message); id != nil {
			var e struct{ Data string }
			var m Message
			_ = json.Unmarshal(message, &e) // it was found in there
			_ = json.Unmarshal([]byte(e.Data), &m)
			u.got(string(id), m.Seq)
		}
	}
}

// got notes how long a message took to one member, who has seen it.
func (u *member) got(id string, seq int64) {
	u.read.Store(seq)
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
