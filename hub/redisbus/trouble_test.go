package redisbus_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"channels/hub/contract"
)

// troubledNodes is how many nodes share a Redis that is made to fail.
const troubledNodes = 3

// trouble makes a Redis fail for nodes that reach it through proxies. Nodes are told
// apart by the user as whom they log in, so that it does not matter which server they
// connect to, and how they have found it.
type trouble struct {
	lose func() // takes away what Redis has

	mu          sync.Mutex
	away        map[string]bool // by user
	hung, muted map[string]bool
	least, most time.Duration
	links       []*link
	changed     chan struct{} // closed when what was held goes on
}

var _ contract.Trouble = (*trouble)(nil)

func newTrouble() *trouble {
	return &trouble{
		away: make(map[string]bool), hung: make(map[string]bool), muted: make(map[string]bool), changed: make(chan struct{}),
	}
}

func userOf(node int) string { return fmt.Sprintf("node-%d", node) }

// users are the arguments by which a server knows the nodes.
func users() (args []string) {
	for i := range troubledNodes {
		args = append(args, "--user", userOf(i), "on", ">pw", "~*", "&*", "+@all")
	}
	return args
}

// open opens the nodes, each as a user of its own.
func (tr *trouble) open(t *testing.T, scheme, hosts string) []contract.Node {
	t.Helper()
	nodes := make([]contract.Node, troubledNodes)
	for i := range nodes {
		nodes[i] = nodeOf(open(t, fmt.Sprintf("%s://%s:pw@%s", scheme, userOf(i), hosts)))
	}
	t.Cleanup(tr.Back) // before they leave
	return nodes
}

// Fails implements contract.Trouble.
func (*trouble) Fails() bool { return true }

// Away implements contract.Trouble.
func (tr *trouble) Away(nodes ...int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, i := range nodes {
		tr.away[userOf(i)] = true
	}
	for _, l := range tr.links {
		if tr.away[l.user] {
			l.close()
		}
	}
}

// Hang implements contract.Trouble.
func (tr *trouble) Hang(nodes ...int) { tr.hold(tr.hung, nodes) }

// Mute implements contract.Trouble.
func (tr *trouble) Mute(nodes ...int) { tr.hold(tr.muted, nodes) }

func (tr *trouble) hold(held map[string]bool, nodes []int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, i := range nodes {
		held[userOf(i)] = true
	}
}

// Back implements contract.Trouble.
func (tr *trouble) Back() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	clear(tr.away)
	clear(tr.hung)
	clear(tr.muted)
	close(tr.changed)
	tr.changed = make(chan struct{})
}

// Lose implements contract.Trouble.
func (tr *trouble) Lose() { tr.lose() }

// Delay implements contract.Trouble.
func (tr *trouble) Delay(least, most time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.least, tr.most = least, most
}

// link is one connection through a proxy.
type link struct {
	trouble *trouble
	ends    [2]net.Conn
	user    string // "" = not known yet; the trouble's lock guards it
}

// link returns a connection's part in the trouble; nil when there is none.
func (tr *trouble) link(in, out net.Conn) *link {
	if tr == nil {
		return nil
	}
	l := &link{trouble: tr, ends: [2]net.Conn{in, out}}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.links = append(tr.links, l)
	return l
}

func (l *link) close() {
	for _, c := range l.ends {
		_ = c.Close()
	}
}

// userForm is how a node's user stands in the first that it sends: HELLO or AUTH.
var userForm = regexp.MustCompile(`\r\n(node-\d)\r\n`)

// identify learns whose connection it is.
func (l *link) identify(request []byte) {
	if l == nil {
		return
	}
	l.trouble.mu.Lock()
	defer l.trouble.mu.Unlock()
	if l.user != "" {
		return
	}
	if found := userForm.FindSubmatch(request); found != nil {
		l.user = string(found[1])
	}
}

// passes waits until what a node sends, or is sent, may pass; false: never.
func (l *link) passes(request bool) bool {
	if l == nil {
		return true
	}
	for {
		held, away, wait, changed := l.state(request)
		switch {
		case away:
			return false
		case !held:
			time.Sleep(wait)
			return true
		}
		<-changed
	}
}

func (l *link) state(request bool) (held, away bool, wait time.Duration, changed chan struct{}) {
	tr := l.trouble
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if l.user != "" && tr.most > 0 {
		wait = tr.least + rand.N(tr.most-tr.least)
	}
	held = request && tr.hung[l.user] || !request && tr.muted[l.user]
	return held, tr.away[l.user], wait, tr.changed
}

// TestTroubleStandalone: what the contracts say of failures holds on one server, which
// loses its data by being started anew.
func TestTroubleStandalone(t *testing.T) {
	t.Parallel()
	contract.Failures(t, func(t *testing.T) ([]contract.Node, contract.Trouble) {
		tr := newTrouble()
		s, p := newTroubledServer(t, tr)
		tr.lose = func() { s.kill(); s.start() }
		return tr.open(t, "redis", p.host()), tr
	})
}

// TestTroubleCluster: and on a cluster all of whose masters lose their data.
func TestTroubleCluster(t *testing.T) {
	t.Parallel()
	contract.Failures(t, func(t *testing.T) ([]contract.Node, contract.Trouble) {
		tr := newTrouble()
		var servers []*server
		var hosts []string
		for range 3 {
			s, p := newTroubledServer(t, tr, clusterArgs...)
			servers, hosts = append(servers, s), append(hosts, p.host())
		}
		createCluster(t, servers, 0)
		tr.lose = func() {
			for _, s := range servers {
				s.kill()
			}
			for _, s := range servers {
				s.start()
			}
			within(t, "the cluster comes up again", func() bool { return !slices.ContainsFunc(servers, isDown) })
		}
		return tr.open(t, "redis+cluster", strings.Join(hosts, ",")), tr
	})
}

// TestTroubleSentinel: and where a replica takes over, which lacks what it has not
// been sent.
func TestTroubleSentinel(t *testing.T) {
	t.Parallel()
	contract.Failures(t, func(t *testing.T) ([]contract.Node, contract.Trouble) {
		tr := newTrouble()
		master, p := newTroubledServer(t, tr, "--repl-diskless-sync-delay", "0")
		replica, _ := newTroubledServer(t, tr, "--replicaof", "127.0.0.1", p.port())
		within(t, "the replica follows", replica.follows)
		var sentinels []string
		for range 3 {
			sentinels = append(sentinels, newSentinel(t, p.listener.Addr().(*net.TCPAddr).Port))
		}
		tr.lose = func() {
			master.kill()
			within(t, "the replica takes over", replica.leads)
		}
		return tr.open(t, "redis+sentinel", strings.Join(sentinels, ",")+"/mymaster"), tr
	})
}

// newTroubledServer starts a server that others know by the address of its proxy.
func newTroubledServer(t *testing.T, tr *trouble, args ...string) (*server, *proxy) {
	t.Helper()
	p := listenAsProxy(t)
	p.trouble = tr
	args = append(args, "--cluster-announce-port", p.port(), "--replica-announce-ip", "127.0.0.1", "--replica-announce-port", p.port())
	s := newServer(t, append(args, users()...)...)
	p.serve(s.host())
	return s, p
}
