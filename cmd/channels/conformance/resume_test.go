//go:build conformance && !goroutinereaders

package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// resumeSettings are those of an app whose clients may be away for two minutes.
var resumeSettings = []string{
	"CHANNELS_APP_RESUME=2m", "CHANNELS_APP_HISTORY_EVENTS=2000", "CHANNELS_APP_HISTORY_BYTES=1MiB",
}

// resumeRooms are channels of all kinds.
func resumeRooms(each int) []string {
	var rooms []string
	for _, kind := range []string{"", "private-", "presence-", "cache-", "private-encrypted-"} {
		for i := range each {
			rooms = append(rooms, fmt.Sprintf("%sresume-%d", kind, i))
		}
	}
	return rooms
}

// heard is what a client of node/resume.mjs says.
type heard struct {
	Client  int
	Channel string
	Event   string
	State   string
	Data    json.RawMessage
}

// resumers are clients of node/resume.mjs, and what they must have been given.
type resumers struct {
	t     testing.TB
	count int

	mu     sync.Mutex
	rooms  map[string][]*hearing // of each client
	states map[string]int
	wrong  []string
	allow  bool // pusher:missed is told
}

// hearing is a client's view of a channel.
type hearing struct {
	ready    bool
	got      map[int]int // how often each number came
	last     int
	replays  int // events of a replay that are to come
	seen     int // of which so many may be repeats
	resumed  int
	repeated int
	missed   int
	trace    []string // the last that was said
}

func startResumers(t testing.TB, s *server, addr string, count int, rooms []string) *resumers {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	settings, _ := json.Marshal(map[string]any{"clients": count, "channels": rooms, "host": host, "port": number})
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "resume.mjs")
	cmd.Dir = "node"
	cmd.Env = append(nodeEnvironment(t, s), "RESUME="+string(settings))
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.StdoutPipe()
	ok(t, "pipe", err)
	in, err := cmd.StdinPipe()
	ok(t, "pipe", err)
	r := &resumers{t: t, count: count, rooms: map[string][]*hearing{}, states: map[string]int{}}
	for _, room := range rooms {
		for range count {
			r.rooms[room] = append(r.rooms[room], &hearing{got: map[int]int{}})
		}
	}
	ok(t, "node", cmd.Start())
	read := make(chan struct{})
	go func() { defer close(read); r.read(out) }()
	t.Cleanup(func() {
		_ = in.Close()
		<-read
		_ = cmd.Wait()
		cancel()
		if t.Failed() && errors.Len() > 0 {
			t.Logf("node: %s", errors.String())
		}
	})
	return r
}

func (r *resumers) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s heard
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			r.note("not a line of ours: %s", lines.Text())
			continue
		}
		r.take(s)
	}
}

func (r *resumers) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

func (r *resumers) take(s heard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.State != "" {
		r.states[s.State]++
		return
	}
	l := r.rooms[s.Channel][s.Client]
	wrong := func(format string, args ...any) {
		r.wrong = append(r.wrong, fmt.Sprintf("client %d, %s: ", s.Client, s.Channel)+fmt.Sprintf(format, args...))
	}
	l.trace = append(l.trace, s.Event+string(s.Data))
	switch s.Event {
	case "pusher:subscription_succeeded":
		l.ready = true
	case "pusher:resumed":
		var d struct {
			Replayed     int
			PossiblySeen int `json:"possibly_seen"`
		}
		if json.Unmarshal(s.Data, &d) != nil || d.PossiblySeen > d.Replayed {
			wrong("resumed with %s", s.Data)
		}
		l.replays, l.seen = d.Replayed, d.PossiblySeen
		l.resumed++
	case "pusher:missed":
		l.missed++
		if !r.allow {
			wrong("missed %s", s.Data)
		}
	case "n":
		var text string
		_ = json.Unmarshal(s.Data, &text)
		n, err := strconv.Atoi(text)
		if err != nil {
			_ = json.Unmarshal(s.Data, &n)
		}
		l.got[n]++
		if n <= l.last {
			l.repeated++
			if l.replays == 0 || l.seen == 0 {
				wrong("%d again, behind %d, which was not announced", n, l.last)
			}
		}
		l.last = n
		l.replays, l.seen = max(l.replays-1, 0), max(l.seen-1, 0)
	}
}

func (r *resumers) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, all := range r.rooms {
		if slices.ContainsFunc(all, func(l *hearing) bool { return !l.ready || l.missed == 0 }) {
			return false
		}
	}
	return true
}

// begin starts anew with what is allowed: a server that has just begun tells those whose
// tokens are new that they may have missed something.
func (r *resumers) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allow, r.wrong = false, nil
}

// have says whether all have got all numbers.
func (r *resumers) have(acked map[string][]int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for room, numbers := range acked {
		for c, l := range r.rooms[room] {
			for _, n := range numbers {
				if l.got[n] == 0 {
					return fmt.Errorf("client %d has not got %d of %s; its last is %d: %.600v", c, n, room, l.last, l.trace)
				}
			}
		}
	}
	return nil
}

func (r *resumers) report() {
	r.mu.Lock()
	defer r.mu.Unlock()
	resumed, repeated := 0, 0
	for _, all := range r.rooms {
		for _, l := range all {
			resumed += l.resumed
			repeated += l.repeated
		}
	}
	r.t.Logf("states %v, %d channels resumed, %d events repeated", r.states, resumed, repeated)
	for i, w := range r.wrong {
		if i == 20 {
			r.t.Errorf("and %d more", len(r.wrong)-i)
			break
		}
		r.t.Error(w)
	}
	if resumed == 0 {
		r.t.Error("nothing was resumed: the test proves nothing")
	}
}

// TestNothingMissed: 10,000 events on 20 channels, while connections break a hundred times,
// nodes are restarted one after the other, and two of them are killed.
func TestNothingMissed(t *testing.T) {
	r := startRedis(t)
	nodes := make([]*server, 3)
	for i := range nodes {
		nodes[i] = startMortal(t, r, resumeSettings...)
	}
	f := startFickle(t, nodes...)
	rooms := resumeRooms(4)
	clients := startResumers(t, nodes[0], f.listener.Addr().String(), 5, rooms)
	clients.allow = true
	within(t, 30*time.Second, "all have subscribed", clients.ready)
	clients.begin()

	const each = 500 // numbers of a channel
	l := startLoadOn(t, slices.Clone(nodes), rooms, 100*time.Millisecond)
	replace := func(i int) {
		nodes[i] = startMortal(t, r, resumeSettings...)
		l.use(slices.Clone(nodes))
		f.serve(nodes...)
	}
	others := func(i int) {
		rest := slices.Delete(slices.Clone(nodes), i, i+1)
		l.use(rest)
		f.serve(rest...)
	}
	hows := []string{"RST", "FIN", "half-open", "RST", "FIN"}
	for i := range 100 {
		f.breakOne(hows[i%len(hows)])
		switch i {
		case 20, 30, 40: // a rolling restart
			n := i/10 - 2
			others(n)
			nodes[n].terminate()
			nodes[n].awaitExit()
			replace(n)
		case 90: // as when a proxy is restarted
			for f.breakOne("RST") {
			}
		case 55, 75:
			n := i / 10 % 3
			others(n)
			nodes[n].killNow()
			replace(n)
		}
		time.Sleep(450 * time.Millisecond)
	}
	within(t, time.Minute, "all is published", func() bool {
		return !slices.ContainsFunc(rooms, func(room string) bool { return l.last(room) < each })
	})
	acked := l.end()
	var err error
	for range 400 {
		if err = clients.have(acked); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Error(err)
	}
	clients.report()
	sent := 0
	for _, n := range acked {
		sent += len(n)
	}
	t.Logf("%d events were taken", sent)
	if sent < 9_500 {
		t.Errorf("%d of 10,000 events were taken", sent)
	}
}

// TestNoFlicker: members of a presence channel whose node is restarted, or killed, and who
// come back to another one, were never gone to those who watch.
func TestNoFlicker(t *testing.T) {
	const grace = "CHANNELS_APP_PRESENCE_GRACE=6s"
	r := startRedis(t)
	stays, room := startNode(t, r, grace), "presence-flicker"
	watcher := connect(t, stays)
	watcher.subscribePresence(room, `{"user_id":"watcher"}`)
	for i, end := range []func(*server){
		func(s *server) { s.terminate(); s.awaitExit() },
		(*server).killNow,
	} {
		goes := startMortal(t, r, grace)
		var names []string
		for j := range 5 {
			name := fmt.Sprintf(`{"user_id":"user-%d-%d"}`, i, j)
			connect(t, goes).subscribePresence(room, name)
			watcher.expect("pusher_internal:member_added", room)
			names = append(names, name)
		}
		end(goes)
		time.Sleep(time.Second) // as long as pusher-js takes
		var back []*client
		for _, name := range names[:4] {
			c := connect(t, stays)
			c.subscribePresence(room, name)
			back = append(back, c)
		}
		// One does not come back.
		gone := watcher.expect("pusher_internal:member_removed", room)
		if want := fmt.Sprintf("user-%d-4", i); !strings.Contains(string(gone.Data), want) {
			t.Errorf("gone is %s, want %s", gone.Data, want)
		}
		ok(t, "Trigger", sdk(stays).Trigger(room, "fence", "x"))
		watcher.expect("fence", room) // nothing else
		for _, c := range back {
			_ = c.conn.CloseNow()
		}
		for range back {
			watcher.expect("pusher_internal:member_removed", room)
		}
	}
}
