package redisbus_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"channels/hub/redisbus"
)

// move is a piece of bad luck.
type move func(*audit, *rand.Rand)

// TestAudit does at random what clients and bad luck do: users join and leave
// rooms on several nodes, nodes die and are replaced, connections are cut; with
// -hard nodes stand still, and Redis does, is full, is slow, is away, or is started anew,
// with its data or empty. Watchers on nodes that live check every announcement against a
// model: which users are in a room is who has a socket on a node that is alive.
func TestAudit(t *testing.T) {
	s := newServer(t, "--appendonly", "yes", "--appendfsync", "always")
	p := newProxy(t, s.host())
	newAudit(t, []*server{s}, p, "?prefix=audit").run(map[string]move{
		"redis stands still": (*audit).stopRedis, "redis is started empty": (*audit).restartEmpty,
		"redis is started with its data": (*audit).restartWithData, "redis is full": (*audit).fillRedis,
		"redis is slow": (*audit).slowDown, "redis is away": (*audit).cutOff, "a node stands still": (*audit).stopNode,
	})
}

// TestAuditCluster does so on a cluster, whose slots move and whose replicas take
// over.
func TestAuditCluster(t *testing.T) {
	servers, url := newCluster(t, 3, 1)
	newAudit(t, servers, nil, url+"?prefix=audit").run(map[string]move{
		"a replica takes over": (*audit).failOver, "a master dies": (*audit).killMaster, "a slot moves": (*audit).moveSlot,
	})
}

// TestAuditSentinel does so with replicas that sentinels watch over.
func TestAuditSentinel(t *testing.T) {
	servers, sentinels, url := newSentinels(t)
	newAudit(t, servers, nil, url+"?prefix=audit").run(map[string]move{
		"the sentinels fail over": func(a *audit, _ *rand.Rand) { a.failOverSentinels(sentinels[0]) },
		"the master dies":         func(a *audit, _ *rand.Rand) { a.killWatchedMaster(sentinels) },
	})
}

// run runs the audit; the hard moves are made with -hard only.
func (a *audit) run(hard map[string]move) {
	moves := map[string]move{"messages are cut": (*audit).cutMessages, "commands are cut": (*audit).cutCommands}
	if *auditHard {
		maps.Copy(moves, hard)
	}
	a.t.Logf("to do the same again: go test ./hub/redisbus -run %s -audit %v -seed %d", a.t.Name(), *auditFor, *auditSeed)
	end := time.Now().Add(*auditFor)
	var working sync.WaitGroup
	for i := range auditors {
		working.Go(func() { a.work(i, end) })
	}
	working.Go(func() { a.killNodes(end) })
	working.Go(func() { a.makeTrouble(end, moves) })
	travel := a.newTravel()
	for room := range travelRooms {
		working.Go(func() { travel.publish(a, fmt.Sprintf("kept-%d", room), uint64(3000+room), end) })
	}
	for i, c := range travel.all {
		working.Go(func() { c.run(a, uint64(4000+i), end) })
	}
	working.Wait()
	a.settle()
	travel.check(a)
	for i, n := range a.nodes {
		stats := n.bus.Stats()
		a.t.Logf("node %d: lost %d, fences %d, doubts %d, rosters %d, settling %d", i, stats.Lost, stats.Fences, stats.Doubts, stats.Rosters, stats.Settling)
	}
	a.t.Logf("%d joins, %d leaves, %d publishes, %d nodes killed, %d that stood still for too long, %d subscribes given up", a.joins, a.leaves, a.published, a.kills, a.frozen, a.givenUp)
	if a.joins == 0 || a.leaves == 0 {
		a.t.Error("nothing was done")
	}
}

// calm is how long nothing happens after every third hard move: nobody is declared
// dead, and no departure is told after a loss, before Redis has worked for some time.
const calm = 12 * time.Second

// makeTrouble makes one move after the other.
func (a *audit) makeTrouble(end time.Time, moves map[string]move) {
	random := rand.New(rand.NewPCG(*auditSeed, 2000))
	only := regexp.MustCompile(*auditOnly)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(moves)), func(name string) bool { return !only.MatchString(name) })
	began := time.Now()
	for made := 1; time.Now().Before(end.Add(-time.Second)) && !a.t.Failed(); made++ {
		time.Sleep(time.Duration(300+random.IntN(2000)) * time.Millisecond)
		name := names[random.IntN(len(names))]
		if *auditHard {
			a.t.Logf("%v: %s", time.Since(began).Round(time.Millisecond), name)
		}
		moves[name](a, random)
		if *auditHard && made%3 == 0 {
			time.Sleep(calm)
		}
	}
}

func (a *audit) any(random *rand.Rand) *server { return a.redis[random.IntN(len(a.redis))] }

func (a *audit) cutMessages(random *rand.Rand) { a.any(random).cli("client", "kill", "type", "pubsub") }

func (a *audit) cutCommands(random *rand.Rand) { a.any(random).cli("client", "kill", "type", "normal") }

// stopRedis has Redis stand still, for less than a lease or more.
func (a *audit) stopRedis(random *rand.Rand) {
	s := a.any(random)
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	between(random, 200, 6200)
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
}

// fillRedis has Redis refuse what needs memory.
func (a *audit) fillRedis(random *rand.Rand) {
	s := a.any(random)
	s.cli("config", "set", "maxmemory", "1")
	between(random, 200, 3000)
	s.cli("config", "set", "maxmemory", "0")
}

// slowDown delays all that goes to Redis and comes from it.
func (a *audit) slowDown(random *rand.Rand) {
	a.proxy.delay.Store(int64(time.Duration(1+random.IntN(100)) * time.Millisecond))
	between(random, 500, 4000)
	a.proxy.delay.Store(0)
}

// stopNode has a node stand still for less than its lease: nobody notices.
func (a *audit) stopNode(random *rand.Rand) {
	a.mu.Lock()
	n := a.nodes[random.IntN(len(a.nodes))]
	a.mu.Unlock()
	n.proxy.still.Lock()
	between(random, 200, 2500)
	n.proxy.still.Unlock()
}

// cutOff takes Redis away from all nodes.
func (a *audit) cutOff(random *rand.Rand) {
	a.proxy.cut()
	between(random, 100, 6000)
	a.proxy.mend()
}

// between waits for so many milliseconds, or more.
func between(random *rand.Rand, least, most int) {
	time.Sleep(time.Duration(least+random.IntN(most-least)) * time.Millisecond)
}

// restartWithData starts Redis anew, which then knows all that it had answered.
func (a *audit) restartWithData(random *rand.Rand) {
	s := a.any(random)
	s.kill()
	between(random, 1, 3000)
	s.start()
}

// restartEmpty takes away all that Redis knows.
func (a *audit) restartEmpty(random *rand.Rand) {
	s := a.any(random)
	a.loses(func() {
		s.kill()
		if err := os.RemoveAll(filepath.Join(s.dir, "appendonlydir")); err != nil {
			a.t.Error(err)
		}
		s.start()
	})
	time.Sleep(calm)
}

// loses does what takes something away that Redis had answered, at a moment at
// which nobody publishes, comes or goes: what was under way would be lost with it, and
// sockets would be told so.
func (a *audit) loses(do func()) {
	a.working.Lock()
	defer a.working.Unlock()
	a.losing.Lock()
	defer a.losing.Unlock()
	time.Sleep(200 * time.Millisecond)
	do()
}

// failOver has a replica take over, which its master hands everything to.
func (a *audit) failOver(random *rand.Rand) {
	for range 10 {
		if s := a.any(random); !s.leads() {
			_, _ = s.try("cluster", "failover")
			time.Sleep(time.Second)
			return
		}
	}
}

// leads says that a server is there, and takes writes.
func (s *server) leads() bool {
	text, err := s.try("role")
	return err == nil && strings.Contains(text, "master")
}

// leaders counts the servers that take writes.
func (a *audit) leaders() (n int) {
	for _, s := range a.redis {
		if s.leads() {
			n++
		}
	}
	return n
}

// killMaster has a replica of a cluster take over from a master that is dead.
func (a *audit) killMaster(random *rand.Rand) {
	all := a.leaders()
	for range 20 {
		s := a.any(random)
		if !s.leads() {
			continue
		}
		a.loses(func() {
			s.kill()
			within(a.t, "a replica takes over", func() bool { return a.leaders() == all })
			s.start()
		})
		within(a.t, "the old master follows", func() bool { return !s.leads() && s.follows() })
		return
	}
}

// follows says that a replica has what its master has.
func (s *server) follows() bool {
	text, err := s.try("info", "replication")
	return err == nil && strings.Contains(text, "master_link_status:up")
}

// moveSlot moves the slot of a partition to another master.
func (a *audit) moveSlot(random *rand.Rand) {
	tag := a.nodes[0].bus.Tag(redisbus.PartitionOf(topicOf(fmt.Sprintf("presence-%d", random.IntN(auditRooms)))))
	slot, from := ownerOf(a.t, a.redis, tag)
	for _, to := range a.redis {
		if to == from || !to.leads() {
			continue
		}
		beginMove(slot, from, to)
		between(random, 1, 500)
		endMove(slot, from, to)
		return
	}
}

// failOverSentinels has the sentinels make a replica the master.
func (a *audit) failOverSentinels(sentinel int) {
	before := a.watchedMaster()
	a.loses(func() {
		(&server{t: a.t, port: sentinel}).cli("sentinel", "failover", "mymaster")
		a.succeeded(before)
	})
}

// killWatchedMaster has the sentinels do so because it is dead.
func (a *audit) killWatchedMaster(sentinels []int) {
	before := a.watchedMaster()
	a.loses(func() {
		before.kill()
		a.succeeded(before)
		// It comes back as a master, until the sentinels see it: nobody may be sent there.
		within(a.t, "all sentinels name the new master", func() bool {
			return !slices.ContainsFunc(sentinels, func(port int) bool {
				named, err := (&server{t: a.t, port: port}).try("sentinel", "get-master-addr-by-name", "mymaster")
				return err != nil || strings.Contains(named, strconv.Itoa(before.port))
			})
		})
		before.start()
	})
	within(a.t, "the old master follows", func() bool { return !before.leads() && before.follows() })
}

func (a *audit) watchedMaster() *server {
	var found *server
	within(a.t, "one server leads, and all follow it", func() bool {
		following := 0
		for _, s := range a.redis {
			if s.leads() {
				found = s
			} else if s.follows() {
				following++
			}
		}
		return found != nil && following == len(a.redis)-1
	})
	return found
}

// succeeded waits until another server leads, and what is sent to the one before is
// not taken any more.
func (a *audit) succeeded(before *server) {
	within(a.t, "another server leads", func() bool { return a.leaders() == 1 && !before.leads() })
}

// newSentinels starts a master and two replicas, and three sentinels.
func newSentinels(t *testing.T) (servers []*server, sentinels []int, url string) {
	t.Helper()
	master := newServer(t)
	servers = append(servers, master)
	for range 2 {
		servers = append(servers, newServer(t, "--replicaof", "127.0.0.1", strconv.Itoa(master.port), "--repl-diskless-sync-delay", "0"))
	}
	within(t, "the replicas follow", func() bool { return servers[1].follows() && servers[2].follows() })
	var hosts []string
	for range 3 {
		host := newSentinel(t, master.port)
		hosts = append(hosts, host)
		_, port, _ := strings.Cut(host, ":")
		number, _ := strconv.Atoi(port)
		sentinels = append(sentinels, number)
	}
	return servers, sentinels, "redis+sentinel://" + strings.Join(hosts, ",") + "/mymaster"
}
