//go:build conformance && !goroutinereaders

package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pusher/pusher-http-go/v5"
)

// load publishes numbers on channels, one after the other on each, over the
// nodes in turn.
type load struct {
	t        testing.TB
	channels []string
	pause    time.Duration // between two numbers of a channel
	stop     chan struct{}
	done     sync.WaitGroup

	mu    sync.Mutex
	nodes []*server
	acked map[string][]int // numbers that were answered 200, by channel
}

func startLoad(t testing.TB, nodes []*server, channels int) *load {
	t.Helper()
	var names []string
	for i := range channels {
		names = append(names, fmt.Sprintf("load-%d", i))
	}
	return startLoadOn(t, nodes, names, 4*time.Millisecond)
}

// startLoadOn is startLoad for channels with names, and a pause between two numbers of each.
func startLoadOn(t testing.TB, nodes []*server, channels []string, pause time.Duration) *load {
	t.Helper()
	l := &load{t: t, nodes: nodes, channels: channels, pause: pause, stop: make(chan struct{}), acked: map[string][]int{}}
	for i, channel := range l.channels {
		l.done.Go(func() { l.run(i, channel) })
	}
	return l
}

func (l *load) run(i int, channel string) {
	clients := map[*server]*pusher.Client{}
	web := &http.Client{Timeout: patience}
	for number := 1; ; number++ {
		select {
		case <-l.stop:
			return
		case <-time.After(l.pause):
		}
		node := l.node(i + number)
		if clients[node] == nil {
			clients[node] = sdk(node)
			clients[node].HTTPClient = web
		}
		if clients[node].Trigger(channel, "n", strconv.Itoa(number)) != nil {
			continue // refused: it need not arrive
		}
		l.mu.Lock()
		l.acked[channel] = append(l.acked[channel], number)
		l.mu.Unlock()
	}
}

func (l *load) node(i int) *server {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes[i%len(l.nodes)]
}

// use has the numbers published over other nodes from now on.
func (l *load) use(nodes []*server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = nodes
}

// count is how many numbers of a channel were answered.
func (l *load) last(channel string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.acked[channel]); n > 0 {
		return l.acked[channel][n-1]
	}
	return 0
}

// end stops it and returns what was answered.
func (l *load) end() map[string][]int {
	close(l.stop)
	l.done.Wait()
	return l.acked
}

// listener is a watcher of one channel of a load. Numbers that were posted after
// it was acknowledged have to come.
type listener struct {
	*watcher
	channel string
	after   int
}

func (l *load) listen(t testing.TB, s *server, channel string) *listener {
	t.Helper()
	c := connect(t, s)
	c.subscribe(channel)
	after := l.last(channel) + 1 // one may be under way
	return &listener{watcher: watch(c), channel: channel, after: after}
}

// audit requires that the numbers came in order, each once, and of those that
// were answered all, up to the last that came or, on an open socket, to the end.
func (n *listener) audit(t testing.TB, what string, acked []int) {
	t.Helper()
	open := n.closedWith() == 0
	if open {
		last := acked[len(acked)-1]
		within(t, patience, what+": the last number comes", func() bool { return slices.Contains(n.numbers(), last) })
	}
	got := n.numbers()
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("%s: not in order, or twice: %v", what, got)
		return
	}
	if len(got) == 0 {
		return
	}
	missing := 0
	for _, number := range acked {
		if number > n.after && number <= got[len(got)-1] {
			if _, found := slices.BinarySearch(got, number); !found {
				missing++
			}
		}
	}
	if missing > 0 {
		t.Errorf("%s: %d of %d numbers are missing", what, missing, len(acked))
	}
}

// TestConnectionsToRedisKilled: what was acknowledged comes, although the
// connections by which it comes are cut again and again.
func TestConnectionsToRedisKilled(t *testing.T) {
	r := startRedis(t)
	nodes := startCluster(t, r, 2)
	l := startLoad(t, nodes, 8)
	var listeners []*listener
	for _, channel := range l.channels {
		for _, s := range nodes {
			listeners = append(listeners, l.listen(t, s, channel))
		}
	}
	cut := 0
	for range 12 {
		time.Sleep(300 * time.Millisecond)
		n, _ := strconv.Atoi(r.cli("client", "kill", "type", "pubsub"))
		cut += n
	}
	if cut < 24 {
		t.Errorf("only %d connections were cut", cut)
	}
	time.Sleep(300 * time.Millisecond)
	acked := l.end()
	for i, n := range listeners {
		n.audit(t, fmt.Sprintf("listener %d on %s", i, n.channel), acked[n.channel])
		if n.closedWith() != 0 {
			t.Errorf("listener %d was closed with %d", i, n.closedWith())
		}
	}
	for _, s := range nodes {
		_, metrics := s.opsGet("/metrics")
		if !strings.Contains(metrics, "channels_bus_refilled_total ") || strings.Contains(metrics, "channels_bus_refilled_total 0\n") {
			t.Error("nothing was read from the log: the test proves nothing")
		}
	}
}

// TestNodesComeAndGo: a node that joins and one that leaves cost nobody a
// message; whose node goes is told to reconnect.
func TestNodesComeAndGo(t *testing.T) {
	r := startRedis(t)
	stable := startCluster(t, r, 2)
	l := startLoad(t, stable, 4)
	var listeners, guests []*listener
	for _, channel := range l.channels {
		for _, s := range stable {
			listeners = append(listeners, l.listen(t, s, channel))
		}
	}
	for range 2 {
		guest := startNode(t, r)
		for _, channel := range l.channels {
			guests = append(guests, l.listen(t, guest, channel))
		}
		l.use(append(slices.Clone(stable), guest))
		time.Sleep(time.Second)
		l.use(stable)
		guest.terminate()
		guest.awaitExit()
	}
	acked := l.end()
	for i, n := range append(listeners, guests...) {
		n.audit(t, fmt.Sprintf("listener %d on %s", i, n.channel), acked[n.channel])
	}
	for i, n := range guests {
		within(t, patience, "the guest is closed", func() bool { return n.closedWith() != 0 })
		if n.closedWith() != 4200 {
			t.Errorf("guest %d was closed with %d, want 4200", i, n.closedWith())
		}
	}
}

// TestRollingRestart: every node is replaced under load, and clients that do as
// they are told miss nothing while their socket is open.
func TestRollingRestart(t *testing.T) {
	r := startRedis(t)
	rollOver(t, startCluster(t, r, 3), func() *server { return startNode(t, r) })
}

// rollOver replaces every node under load, and audits what clients have seen.
func rollOver(t *testing.T, nodes []*server, next func() *server) {
	t.Helper()
	l := startLoad(t, slices.Clone(nodes), 4)
	var all struct {
		sync.Mutex
		listeners []*listener
	}
	var home atomic.Pointer[[]*server]
	current := slices.Clone(nodes)
	home.Store(&current)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() { // a client that reconnects
			for try := i; ; try++ {
				servers := *home.Load()
				n := l.listen(t, servers[try%len(servers)], l.channels[i%len(l.channels)])
				all.Lock()
				all.listeners = append(all.listeners, n)
				all.Unlock()
				for n.closedWith() == 0 {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
	time.Sleep(time.Second)
	for i := range nodes {
		rest := slices.Delete(slices.Clone(current), i, i+1)
		home.Store(&rest)
		l.use(rest)
		time.Sleep(100 * time.Millisecond) // for what is under way to the old node
		current[i].terminate()
		current[i].awaitExit()
		current = slices.Clone(current)
		current[i] = next()
		all := slices.Clone(current)
		home.Store(&all)
		l.use(all)
		time.Sleep(500 * time.Millisecond)
	}
	acked := l.end()
	close(stop)
	clients.Wait()
	if len(all.listeners) < 24 {
		t.Errorf("only %d sockets in all: nobody had to reconnect", len(all.listeners))
	}
	for i, n := range all.listeners {
		n.audit(t, fmt.Sprintf("socket %d on %s", i, n.channel), acked[n.channel])
	}
}

// TestNobodyListens: a node on which nobody has subscribed to a channel gets
// nothing of it.
func TestNobodyListens(t *testing.T) {
	r := startRedis(t)
	busy, idle := startNode(t, r), startNode(t, r)
	c := connect(t, busy)
	c.subscribe("busy")
	w := watch(c)
	topic := ""
	for _, channel := range strings.Fields(r.cli("pubsub", "channels", "*:t:1:busy")) {
		topic = channel
	}
	if got := r.cli("pubsub", "numsub", topic); got != topic+"\n1" {
		t.Errorf("numsub: got %q, want one", got)
	}
	const events = 200
	data := strings.Repeat("x", 1000)
	for range events {
		publish(t, idle, "busy", "n", data)
	}
	within(t, patience, "all come", func() bool { return len(w.numbers()) == events })
	if got := busMetric(t, busy, "received_bytes_total"); got < events*1000 {
		t.Errorf("the busy node has received %v bytes, want %d or more", got, events*1000)
	}
	// Nodes tell each other which settings they have, in less than an event takes.
	if got := busMetric(t, idle, "received_bytes_total"); got >= float64(len(data)) {
		t.Errorf("the idle node has received %v bytes, want less than an event has", got)
	}
	// Some seconds after the last subscriber the node is rid of the channel too.
	_ = c.conn.CloseNow()
	within(t, 10*time.Second, "the channel is left", func() bool { return r.cli("pubsub", "numsub", topic) == topic+"\n0" })
}

// busMetric reads one number of a node's part in the cluster.
func busMetric(t testing.TB, s *server, name string) float64 {
	t.Helper()
	_, metrics := s.opsGet("/metrics")
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(line, "channels_bus_"+name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestChurn: while others come to a channel and leave it, those who stay get
// everything, and those who come get all from their acknowledgement on.
func TestChurn(t *testing.T) {
	s := start(t)
	l := startLoad(t, []*server{s}, 1)
	var all struct {
		sync.Mutex
		listeners []*listener
	}
	stay := []*listener{l.listen(t, s, l.channels[0]), l.listen(t, s, l.channels[0])}
	var churn sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	for range 8 {
		churn.Go(func() {
			for time.Now().Before(end) {
				n := l.listen(t, s, l.channels[0])
				all.Lock()
				all.listeners = append(all.listeners, n)
				all.Unlock()
				time.Sleep(20 * time.Millisecond)
				_ = n.conn.CloseNow()
			}
		})
	}
	churn.Wait()
	acked := l.end()
	for i, n := range all.listeners {
		within(t, patience, "the socket is closed", func() bool { return n.closedWith() != 0 })
		n.audit(t, fmt.Sprintf("guest %d", i), acked[n.channel])
	}
	for i, n := range stay {
		n.audit(t, fmt.Sprintf("listener %d", i), acked[n.channel])
	}
}
