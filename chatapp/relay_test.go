package chatapp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// soon is how long a test waits for what has to come.
const soon = 20 * time.Second

// realtime is a channels process, as its operator starts it.
type realtime struct {
	binary  string
	port    int
	process *exec.Cmd
}

// buildRealtime builds the real server.
func buildRealtime(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "channels")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, "channels/cmd/channels")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build channels: %v: %s", err, out)
	}
	return binary
}

// startRealtime starts a server that ends with the test.
func startRealtime(t testing.TB, binary string) *realtime {
	t.Helper()
	r := &realtime{binary: binary}
	r.start(t)
	t.Cleanup(r.kill)
	return r
}

var listenAttr = regexp.MustCompile(`listen=127\.0\.0\.1:(\d+)`)

// start starts the process, again on the port that it had.
func (r *realtime) start(t testing.TB) {
	t.Helper()
	r.process = exec.Command(r.binary, "--listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)), "--ops-listen", "off")
	r.process.Env = append(os.Environ(), "CHANNELS_APP_MAX_PRESENCE_MEMBERS=1000")
	log, err := r.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(log)
	first, err := lines.ReadString('\n')
	m := listenAttr.FindStringSubmatch(first)
	if err != nil || m == nil {
		t.Fatalf("channels said %q, %v", first, err)
	}
	r.port, _ = strconv.Atoi(m[1])
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
}

// kill ends the process as a crash does.
func (r *realtime) kill() {
	_ = r.process.Process.Kill() // it may have ended already
	_ = r.process.Wait()
}

// config is that of a chat beside the server.
func (r *realtime) config() Config {
	c := testConfig()
	c.Pusher.Port = r.port
	return c
}

// runSite serves a chat that tells its outbox; stop ends that.
func runSite(t testing.TB, store *Store, c Config) (s *site, stop func()) {
	t.Helper()
	s = newSite(t, store, c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.server.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return s, stop
}

// socket is a raw client of the realtime server.
type socket struct {
	t    testing.TB
	conn *websocket.Conn
	id   string
}

// frame is what comes over a socket.
type frame struct {
	Event, Channel string
	Data           json.RawMessage
}

// object is the data: an object, mostly as JSON in a string.
func (f frame) object() (o object) {
	var text string
	if json.Unmarshal(f.Data, &text) == nil {
		_ = json.Unmarshal([]byte(text), &o)
	} else {
		_ = json.Unmarshal(f.Data, &o)
	}
	return o
}

// dial connects.
func (r *realtime) dial(t testing.TB) *socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://127.0.0.1:%d/app/app-key?protocol=7", r.port), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	s := &socket{t: t, conn: conn}
	s.id, _ = s.next("pusher:connection_established").object()["socket_id"].(string)
	return s
}

func (s *socket) read() (frame, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), soon)
	defer cancel()
	_, data, err := s.conn.Read(ctx)
	if err != nil {
		return frame{}, err
	}
	var f frame
	if err := json.Unmarshal(data, &f); err != nil {
		s.t.Fatalf("%q: %v", data, err)
	}
	return f, nil
}

// next returns the next frame with an event, and drops those before it.
func (s *socket) next(event string) frame {
	s.t.Helper()
	for {
		f, err := s.read()
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", event, err)
		}
		if f.Event == event {
			return f
		}
	}
}

func (s *socket) write(event string, data any) {
	s.t.Helper()
	text, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.conn.Write(s.t.Context(), websocket.MessageText, text); err != nil {
		s.t.Fatal(err)
	}
}

// signIn signs the connection in as a visitor.
func (s *socket) signIn(v *visitor) *socket {
	s.t.Helper()
	res, o := v.send("POST", "/api/pusher/user-auth", "application/x-www-form-urlencoded", url.Values{"socket_id": {s.id}}.Encode())
	if res.StatusCode != 200 {
		s.t.Fatalf("user-auth: %d %v", res.StatusCode, o)
	}
	s.write("pusher:signin", o)
	s.next("pusher:signin_success")
	return s
}

// subscribe subscribes to a channel as a visitor.
func (s *socket) subscribe(v *visitor, channel string) *socket {
	s.t.Helper()
	res, o := v.send("POST", "/api/pusher/auth", "application/x-www-form-urlencoded",
		url.Values{"socket_id": {s.id}, "channel_name": {channel}}.Encode())
	if res.StatusCode != 200 {
		s.t.Fatalf("auth of %s: %d %v", channel, res.StatusCode, o)
	}
	o["channel"] = channel
	s.write("pusher:subscribe", o)
	s.next("pusher_internal:subscription_succeeded")
	return s
}

// wantTexts checks the texts of the next new messages.
func (s *socket) wantTexts(want ...string) {
	s.t.Helper()
	for _, text := range want {
		if got := s.next(eventNew).object()["text"]; got != text {
			s.t.Fatalf("got the message %v, want %q", got, text)
		}
	}
}

// wantClosed waits for the end of the connection.
func (s *socket) wantClosed(code websocket.StatusCode) {
	s.t.Helper()
	for {
		if _, err := s.read(); err != nil {
			if got := websocket.CloseStatus(err); got != code {
				s.t.Errorf("the connection ended with %d (%v), want %d", got, err, code)
			}
			return
		}
	}
}

// channel is the present name of a room's channel.
func (v *visitor) channel(room string) string {
	v.t.Helper()
	return v.want("GET", "/api/rooms/"+room, nil, 200, "").at("room", "channel").(string)
}

// ownChannel is the present name of the visitor's own channel.
func (v *visitor) ownChannel() string {
	v.t.Helper()
	return v.want("GET", "/api/me", nil, 200, "").at("me", "channel").(string)
}

// say posts a message to a room.
func (v *visitor) say(room, text string) object {
	v.t.Helper()
	return v.want("POST", "/api/rooms/"+room+"/messages", map[string]string{"clientId": newID(), "text": text}, 201, "")
}

// TestLive uses the real server, as browsers do.
func TestLive(t *testing.T) {
	t.Parallel()
	binary := buildRealtime(t)
	for name, test := range map[string]func(*testing.T, *realtime, *Store, StoreConfig){
		"events":       testLiveEvents,
		"server away":  testServerAway,
		"server stuck": testServerStuck,
		"crash":        testCrash,
		"sessions end": testSessionsEnd,
		"online":       testLiveOnline,
		"backlog":      testBacklog,
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, store *Store, c StoreConfig) { test(t, startRealtime(t, binary), store, c) })
		})
	}
	for name, revoked := range revocations {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, store *Store, _ StoreConfig) {
				testRevocation(t, startRealtime(t, binary), store, revoked)
			})
		})
	}
	t.Run("two processes", func(t *testing.T) {
		t.Parallel()
		c := StoreConfig{URL: newPostgres(t)}
		testTwoProcesses(t, startRealtime(t, binary), openStore(t, c), openStore(t, c))
	})
}

func testLiveEvents(t *testing.T, r *realtime, store *Store, _ StoreConfig) {
	s, _ := runSite(t, store, r.config())
	anna, ben := s.user(t, "anna"), s.user(t, "ben")
	room := r.dial(t).signIn(ben).subscribe(ben, ben.channel(generalRoom))
	own := r.dial(t).signIn(ben).subscribe(ben, ben.ownChannel())

	rev := int64(0)
	var posted object
	for i := range 20 {
		posted = anna.say(generalRoom, "message "+strconv.Itoa(i))
	}
	for i := range 20 {
		got := room.next(eventNew).object()
		if got["text"] != "message "+strconv.Itoa(i) || rev != 0 && int64(got["rev"].(float64)) != rev+1 {
			t.Fatalf("event %d after revision %d is %v", i, rev, got)
		}
		rev = int64(got["rev"].(float64))
		if news := own.next(eventRoomNews).object(); news["room"] != generalRoom || int64(news["seq"].(float64)) != rev || news.at("by", "name") != "anna" {
			t.Fatalf("room-news = %v, want anna's message %d", news, rev)
		}
	}
	ben.want("POST", "/api/rooms/general/read", map[string]int64{"seq": rev}, 200, "")
	if got := room.next(eventRead).object(); int64(got["rev"].(float64)) != rev+1 || got["reads"].([]any)[0].(map[string]any)["user"] != ben.id {
		t.Errorf("read = %v", got)
	}
	if got := own.next(eventReadPosition).object(); got["room"] != generalRoom || int64(got["readSeq"].(float64)) != rev {
		t.Errorf("read-position = %v, want %d", got, rev)
	}
	message := "/api/rooms/general/messages/" + posted.at("message", "id").(string)
	anna.want("PATCH", message, map[string]string{"text": "changed"}, 200, "")
	if got := room.next(eventEdited).object(); got["text"] != "changed" {
		t.Errorf("message-edited = %v", got)
	}
	anna.want("DELETE", message, nil, 200, "")
	if got := room.next(eventDeleted).object(); got["deleted"] != true {
		t.Errorf("message-deleted = %v", got)
	}
	long := ""
	for range MaxMessage {
		long += "漢"
	}
	anna.say(generalRoom, long)
	if got := room.next(eventNew).object(); got["fetch"] != true || got["text"] != nil {
		t.Errorf("a long message came as %v, want only that it is to be fetched", got)
	}
	anna.want("POST", "/api/direct", map[string]string{"name": "ben"}, 201, "")
	if got := own.next(eventRoomAdded).object(); got["room"] == nil {
		t.Errorf("room-added = %v", got)
	}
}

// testServerAway posts while the realtime server is away.
func testServerAway(t *testing.T, r *realtime, store *Store, _ StoreConfig) {
	s, _ := runSite(t, store, r.config())
	anna, ben := s.user(t, "anna"), s.user(t, "ben")
	r.dial(t).signIn(ben).subscribe(ben, ben.channel(generalRoom))
	waitUntilPublished(t, store)
	r.kill()
	for _, text := range []string{"one", "two", "three"} {
		anna.say(generalRoom, text)
	}
	r.start(t)
	anna.say(generalRoom, "four")
	waitUntilPublished(t, store)
	room := r.dial(t).signIn(ben).subscribe(ben, ben.channel(generalRoom))
	anna.say(generalRoom, "five")
	room.wantTexts("five")
	page := ben.want("GET", "/api/rooms/general/messages", nil, 200, "")
	if n := len(page["messages"].([]any)); n != 5 {
		t.Errorf("%d messages are there, want 5", n)
	}
}

// testServerStuck posts while the realtime server keeps its connections and
// answers nothing.
func testServerStuck(t *testing.T, r *realtime, store *Store, _ StoreConfig) {
	s, _ := runSite(t, store, r.config())
	anna, ben := s.user(t, "anna"), s.user(t, "ben")
	waitUntilPublished(t, store)
	room := r.dial(t).signIn(ben).subscribe(ben, ben.channel(generalRoom))
	if err := r.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	first := anna.say(generalRoom, "one").at("message", "rev").(float64)
	anna.say(generalRoom, "two")
	anna.say(generalRoom, "three")
	if err := r.process.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for have := first - 1; have < first+2; {
		switch rev := room.next(eventNew).object()["rev"].(float64); {
		case rev == have+1:
			have = rev
		case rev > have: // a repeat is harmless, a gap is not
			t.Fatalf("revision %v came after %v", rev, have)
		}
	}
}

// waitUntilPublished waits until the outbox is empty.
func waitUntilPublished(t testing.TB, store *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		streams, err := store.waitingStreams(ctx, 1)
		if err != nil {
			t.Fatalf("the outbox does not become empty: %v", err)
		}
		if len(streams) == 0 {
			return
		}
		<-tick.C
	}
}

// testCrash stores messages in a process that ends before it tells of them; the
// next one does.
func testCrash(t *testing.T, r *realtime, store *Store, _ StoreConfig) {
	first := newSite(t, store, r.config()) // nobody tells its outbox
	anna, ben := first.user(t, "anna"), first.user(t, "ben")
	room := r.dial(t).signIn(ben).subscribe(ben, ben.channel(generalRoom))
	anna.say(generalRoom, "one")
	anna.say(generalRoom, "two")
	began := time.Now()
	second, stop := runSite(t, store, r.config())
	room.wantTexts("one", "two")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v until the messages came, want 2 s at most", took)
	}
	second.server.Drain(t.Context())
	stop()
	waitUntilPublished(t, store)
}

func testSessionsEnd(t *testing.T, r *realtime, store *Store, _ StoreConfig) {
	s, _ := runSite(t, store, r.config())
	anna := s.user(t, "anna")
	room := r.dial(t).signIn(anna).subscribe(anna, anna.channel(generalRoom))
	anna.want("POST", "/api/password", map[string]string{"old": "correct horse", "new": "battery staple"}, 200, "")
	room.wantClosed(4009)
	waitUntilPublished(t, store)
	room = r.dial(t).signIn(anna)
	anna.want("POST", "/api/signout", nil, 200, "")
	room.wantClosed(4009)
}

// testBacklog has nobody publish for a while. Who was connected all the time hears
// one hint, not what they have fetched long since, and then what is new.
func testBacklog(t *testing.T, r *realtime, store *Store, _ StoreConfig) {
	first := newSite(t, store, r.config()) // nobody publishes its outbox
	anna, ben := first.user(t, "anna"), first.user(t, "ben")
	room := r.dial(t).signIn(ben).subscribe(ben, ben.channel(generalRoom))
	own := r.dial(t).signIn(ben).subscribe(ben, ben.ownChannel())
	var last object
	for i := range collapseRows {
		last = anna.say(generalRoom, strconv.Itoa(i))
	}
	err := store.change(t.Context(), "set the clock", func(c *change) error {
		_, err := c.exec("UPDATE outbox SET created_at = created_at - ?", collapseAge.Microseconds())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	runSite(t, store, r.config())
	if got := room.next(eventCatchUp).object(); got["fetch"] != true || got["rev"] != last.at("message", "rev") {
		t.Errorf("catch-up = %v, want revision %v", got, last.at("message", "rev"))
	}
	if got := own.next(eventRoomNews).object(); got["fetch"] != true || got["room"] != generalRoom {
		t.Errorf("the news of the backlog are %v, want that they are to be fetched", got)
	}
	anna.say(generalRoom, "new")
	room.wantTexts("new")
	if got := own.next(eventRoomNews).object(); got["seq"] == nil {
		t.Errorf("the news of the new message are %v", got)
	}
}

// testLiveOnline has somebody come who was not there when the other's page was
// opened, and go again.
func testLiveOnline(t *testing.T, r *realtime, store *Store, _ StoreConfig) {
	s, _ := runSite(t, store, r.config())
	anna := s.user(t, "anna")
	page := r.dial(t).signIn(anna).subscribe(anna, anna.ownChannel())
	newcomer := s.user(t, "ben")
	tab := r.dial(t).signIn(newcomer).subscribe(newcomer, newcomer.ownChannel())
	hears := func(list, user string) {
		t.Helper()
		for {
			users, _ := page.next(eventOnline).object()[list].([]any)
			if slices.Contains(users, any(user)) {
				return
			}
		}
	}
	hears("online", newcomer.id)
	want := []any{anna.id, newcomer.id}
	slices.SortFunc(want, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	if got := anna.want("GET", "/api/online", nil, 200, "")["online"]; !slices.Equal(got.([]any), want) {
		t.Errorf("online are %v, want %v", got, want)
	}
	_ = tab.conn.CloseNow()
	hears("offline", newcomer.id)
	if got := anna.want("GET", "/api/online", nil, 200, "")["online"]; !slices.Equal(got.([]any), []any{anna.id}) {
		t.Errorf("online are %v, want anna", got)
	}
}

// testTwoProcesses posts at two processes at once; each event comes once, in the
// order of the revisions.
func testTwoProcesses(t *testing.T, r *realtime, one, two *Store) {
	const each = 30
	first, _ := runSite(t, one, r.config())
	second, _ := runSite(t, two, r.config())
	anna := first.user(t, "anna")
	ben := second.user(t, "ben")
	waitUntilPublished(t, one)
	room := r.dial(t).signIn(anna).subscribe(anna, anna.channel(generalRoom))
	posted := make(chan struct{}, 2)
	for _, v := range []*visitor{anna, ben} {
		go func() {
			for i := range each {
				v.say(generalRoom, strconv.Itoa(i))
			}
			posted <- struct{}{}
		}()
	}
	last := 0.
	for range 2 * each {
		rev := room.next(eventNew).object()["rev"].(float64)
		if last != 0 && rev != last+1 {
			t.Errorf("revision %v came after %v", rev, last)
		}
		last = rev
	}
	<-posted
	<-posted
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"Status Code: 400 - bad":       true,
		"Status Code: 413 - large":     true,
		"Status Code: 401 - signature": false,
		"Status Code: 404 - app":       false,
		"Status Code: 429 - later":     false,
		"Status Code: 503 - away":      false,
		"connection refused":           false,
	} {
		if got := permanent(fmt.Errorf("%s", text)); got != want {
			t.Errorf("permanent(%q) = %v, want %v", text, got, want)
		}
	}
	if !permanent(refusal{io.EOF}) {
		t.Error("a refusal of our own is permanent")
	}
}

func TestThrottleIsBounded(t *testing.T) {
	t.Parallel()
	th := newThrottle(2, time.Hour)
	for i := range maxThrottled + 100 {
		th.allow(strconv.Itoa(i))
	}
	if n := len(th.keys); n > maxThrottled {
		t.Errorf("%d keys are remembered, want %d at most", n, maxThrottled)
	}
	for i, want := range []bool{true, true, false} {
		if got := th.allow("anna"); got != want {
			t.Errorf("attempt %d: %v, want %v", i, got, want)
		}
	}
}
