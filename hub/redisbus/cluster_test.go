package redisbus_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/redisbus"
)

// clusterArgs are those of a cluster's servers.
var clusterArgs = []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "3000", "--repl-diskless-sync-delay", "0"}

// newCluster starts a Redis Cluster.
func newCluster(t *testing.T, masters, replicas int) (servers []*server, url string) {
	t.Helper()
	var hosts []string
	for range masters * (1 + replicas) {
		s := newServer(t, clusterArgs...)
		servers, hosts = append(servers, s), append(hosts, s.host())
	}
	createCluster(t, servers, replicas)
	return servers, "redis+cluster://" + strings.Join(hosts, ",")
}

// createCluster makes servers a cluster.
func createCluster(t *testing.T, servers []*server, replicas int) {
	t.Helper()
	args := []string{"--cluster", "create", "--cluster-yes", "--cluster-replicas", fmt.Sprint(replicas)}
	for _, s := range servers {
		args = append(args, s.host())
	}
	out, err := exec.Command("redis-cli", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli --cluster create: %v: %s", err, out)
	}
	within(t, "the cluster comes up", func() bool { return !slices.ContainsFunc(servers, isDown) })
	if replicas > 0 {
		within(t, "the replicas follow", func() bool {
			return !slices.ContainsFunc(servers, func(s *server) bool { return !s.leads() && !s.follows() })
		})
	}
}

// isDown says that a cluster's server does not think that the cluster works.
func isDown(s *server) bool {
	info, err := s.try("cluster", "info")
	return err != nil || !strings.Contains(info, "cluster_state:ok")
}

// ownerOf returns the master that has the slot of a tag.
func ownerOf(t *testing.T, servers []*server, tag string) (slot int, owner *server) {
	t.Helper()
	_, _ = fmt.Sscan(servers[0].cli("cluster", "keyslot", tag), &slot)
	for _, s := range servers {
		for line := range strings.Lines(s.cli("cluster", "nodes")) {
			if !strings.Contains(line, "myself,master") {
				continue
			}
			for _, field := range strings.Fields(line)[8:] {
				var from, to int
				n, _ := fmt.Sscanf(field, "%d-%d", &from, &to)
				if n == 2 && slot >= from && slot <= to || n == 1 && slot == from {
					return slot, s
				}
			}
		}
	}
	t.Fatalf("nobody has slot %d", slot)
	return 0, nil
}

func (s *server) myid() string { return strings.TrimSpace(s.cli("cluster", "myid")) }

// spread returns topics of many partitions, each listened to.
func spread(t *testing.T, b *redisbus.Bus, count int) (topics []hub.Topic, heard []chan string) {
	t.Helper()
	for i := range count {
		to := hub.Topic{App: "1", Channel: fmt.Sprintf("c-%d", i)}
		topics, heard = append(topics, to), append(heard, listen(t, b, to))
	}
	return topics, heard
}

// beginMove has a slot be on its way from one master to another.
func beginMove(slot int, from, to *server) {
	to.cli("cluster", "setslot", fmt.Sprint(slot), "importing", from.myid())
	from.cli("cluster", "setslot", fmt.Sprint(slot), "migrating", to.myid())
}

// endMove has it arrive.
func endMove(slot int, from, to *server) {
	for {
		keys := strings.Fields(from.cli("cluster", "getkeysinslot", fmt.Sprint(slot), "100"))
		if len(keys) == 0 {
			break
		}
		from.cli(append([]string{"migrate", "127.0.0.1", fmt.Sprint(to.port), "", "0", "5000", "keys"}, keys...)...)
	}
	for _, s := range []*server{to, from} {
		s.cli("cluster", "setslot", fmt.Sprint(slot), "node", to.myid())
	}
}

// TestSlotMoves: while a slot is moved from one master to another only its own
// channels wait, and afterwards they work, and nothing is lost.
func TestSlotMoves(t *testing.T) {
	t.Parallel()
	servers, url := newCluster(t, 3, 0)
	a, b := open(t, url), open(t, url)
	topics, heard := spread(t, b, 60)
	moving := redisbus.PartitionOf(topics[0])
	slot, from := ownerOf(t, servers, a.Tag(moving))
	to := servers[(slices.Index(servers, from)+1)%len(servers)]
	beginMove(slot, from, to)
	for round := range 3 {
		for i, topic := range topics {
			err := publish(nodeOf(a), topic, fmt.Sprintf("during-%d", round))
			if moves := redisbus.PartitionOf(topic) == moving; !moves && err != nil {
				t.Errorf("channel %d: %v, though its slot does not move", i, err)
			} else if moves && err == nil {
				t.Errorf("channel %d was taken while its slot moves: the test proves nothing", i)
			}
		}
	}
	endMove(slot, from, to)
	within(t, "the channel works again", func() bool { return publish(nodeOf(a), topics[0], "after") == nil })
	for i := range topics {
		want := []string{"during-0", "during-1", "during-2"}
		if redisbus.PartitionOf(topics[i]) == moving {
			want = nil
		}
		if i == 0 {
			want = []string{"after"}
		}
		got := heardWithin(heard[i], 50*time.Millisecond)
		if i == 0 {
			got = append(got, heardWithin(heard[i], 5*time.Second)...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("channel %d heard %v, want %v", i, got, want)
		}
	}
}

// TestMasterDies: when one of three masters dies only its channels wait, until its
// replica has taken over; the others are quick.
func TestMasterDies(t *testing.T) {
	t.Parallel()
	servers, url := newCluster(t, 3, 1)
	a, b := open(t, url), open(t, url)
	topics, heard := spread(t, b, 60)
	_, dying := ownerOf(t, servers, a.Tag(redisbus.PartitionOf(topics[0])))
	healthy := slices.DeleteFunc(slices.Clone(topics), func(to hub.Topic) bool {
		_, owner := ownerOf(t, servers, a.Tag(redisbus.PartitionOf(to)))
		return owner == dying
	})
	if len(healthy) == 0 || len(healthy) == len(topics) {
		t.Fatalf("%d of %d channels are on other masters", len(healthy), len(topics))
	}
	dying.kill()
	p := probe(a, healthy[0])
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		for _, to := range healthy {
			if err := publish(nodeOf(a), to, "during"); err != nil {
				t.Fatalf("%v: %v, though its master lives", to, err)
			}
		}
	}
	if _, refused := p.end(t); refused > 0 {
		t.Errorf("%d publishes were refused", refused)
	}
	within(t, "the other channels work again", func() bool {
		return !slices.ContainsFunc(topics, func(to hub.Topic) bool { return publish(nodeOf(a), to, "after") != nil })
	})
	for i := range topics {
		if got := heardWithin(heard[i], 100*time.Millisecond); !slices.Contains(got, "after") {
			got = append(got, heardWithin(heard[i], 5*time.Second)...)
			if !slices.Contains(got, "after") {
				t.Errorf("channel %d does not hear what was published afterwards: %v", i, got)
			}
		}
	}
}

// TestConnectionsOfNode: how many connections a node has to a cluster does not
// depend on how many channels it listens to.
func TestConnectionsOfNode(t *testing.T) {
	servers, url := newCluster(t, 3, 0)
	count := func() (n int) {
		for _, s := range servers {
			n += strings.Count(s.cli("client", "list", "type", "pubsub"), "laddr=")
			n += strings.Count(s.cli("client", "list", "type", "normal"), "laddr=") - 1
		}
		return n
	}
	before := count()
	a := open(t, url)
	idle := 0
	within(t, "an idle node has at most 15 connections", func() bool {
		idle = count() - before
		return idle <= 15
	})
	topics, _ := spread(t, a, 300)
	for _, to := range topics {
		if err := publish(nodeOf(a), to, "x"); err != nil {
			t.Fatal(err)
		}
	}
	loaded := 0
	within(t, "a node with many channels has at most 30", func() bool {
		loaded = count() - before
		return loaded <= 30
	})
	t.Logf("%d connections when idle, %d with %d channels", idle, loaded, len(topics))
}
