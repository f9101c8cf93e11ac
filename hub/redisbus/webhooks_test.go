package redisbus_test

import (
	"channels/hub"
	"channels/protocol"
	"strings"
	"testing"
	"time"

	"channels/hub/redisbus"
	"channels/hub/webhook/storetest"
)

func TestWebhooks(t *testing.T) {
	s := newServer(t)
	storetest.Store(t, func(t *testing.T) []storetest.Node {
		s.cli("flushall")
		return webhookNodes(open(t, s.url()), open(t, s.url()))
	})
}

func webhookNodes(buses ...*redisbus.Bus) (nodes []storetest.Node) {
	for _, b := range buses {
		nodes = append(nodes, storetest.Node{Bus: b, State: b, Store: b.Webhooks()})
	}
	return nodes
}

func TestWebhooksCluster(t *testing.T) {
	servers, url := newCluster(t, 3, 0)
	storetest.Store(t, func(t *testing.T) []storetest.Node {
		for _, s := range servers {
			s.cli("flushall")
		}
		return webhookNodes(open(t, url), open(t, url))
	})
}

// TestWebhookOwner: when the node that delivers dies, another one is the owner within ten
// seconds, and of who was on it, it is noted that they are gone.
func TestWebhookOwner(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dying, next := open(t, s.url()), open(t, s.url())
	one, two := dying.Webhooks(), next.Webhooks()
	if mine, err := one.Own(t.Context(), "1"); err != nil || !mine {
		t.Fatal(mine, err)
	}
	room := hub.Topic{App: "1", Channel: "presence-room"}
	done := make(chan error, 1)
	dying.Join(hub.Join{Topic: room, Subscribers: 1, Member: &protocol.Member{ID: "ann"}, Hooks: hub.HookMemberRemoved | hub.HookVacated},
		func(_ hub.Joined, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	dying.Crash()
	died := time.Now()
	within(t, "another node is the owner", func() bool {
		mine, err := two.Own(t.Context(), "1")
		return err == nil && mine
	})
	if wait := time.Since(died); wait > 10*time.Second {
		t.Errorf("after %v", wait)
	}
	two.Watch("1", func() {})
	var got []hub.Occurrence
	within(t, "who was on it is noted as gone", func() bool {
		found, err := two.Occurrences(t.Context(), "1", false)
		got = append(got, found...)
		return err == nil && len(got) >= 2
	})
	for i, kind := range []hub.Hooks{hub.HookMemberRemoved, hub.HookVacated} {
		if got[i].Kind != kind || !got[i].Broken || got[i].Topic != room {
			t.Errorf("%+v", got[i])
		}
	}
}

func BenchmarkTransitions(b *testing.B) {
	bus := open(b, newServer(b).url())
	storetest.Transitions(b, webhookNodes(bus)[0])
}

// TestNoWebhooksCostNothing: Redis is asked nothing for webhooks by an app that has none,
// and is told nothing.
func TestNoWebhooksCostNothing(t *testing.T) {
	s := newServer(t)
	b := open(t, s.url())
	room := hub.Topic{App: "1", Channel: "presence-room"}
	enterRoom(t, b, room, "ann", "bob")
	if err := publish(nodeOf(b), room, "n"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	b.Leave(hub.Leave{Topic: room, Gone: "ann"}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*:occurred:*", "*:hooks", "*:woken:*", "*:deliverer:*"} {
		if keys := strings.TrimSpace(s.cli("keys", pattern)); keys != "" {
			t.Errorf("keys %s", keys)
		}
	}
	if stats := s.cli("info", "commandstats"); strings.Contains(stats, "cmdstat_xlen") {
		t.Errorf("occurrences were counted:\n%s", stats)
	}
}

// TestOccurrencesAreBounded: where too many wait, further ones are counted and not noted, and
// what they tell of happens all the same.
func TestOccurrencesAreBounded(t *testing.T) {
	s := newServer(t)
	b := open(t, s.url())
	w := b.Webhooks()
	if mine, err := w.Own(t.Context(), "1"); err != nil || !mine {
		t.Fatal(mine, err)
	}
	news := hub.Topic{App: "1", Channel: "news"}
	stream := b.Tag(redisbus.PartitionOf(news)) + ":occurred:1"
	s.cli("eval", "for i = 1, 20000 do redis.call('XADD', KEYS[1], '*', 'k', 1, 'c', 'x', 'f', '', 't', 0) end", "1", stream)
	done := make(chan error, 1)
	b.Join(hub.Join{Topic: news, Subscribers: 1, Hooks: hub.HookOccupied}, func(_ hub.Joined, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n, err := w.Dropped(t.Context(), "1"); n != 1 || err != nil {
		t.Errorf("%d were dropped, %v", n, err)
	}
	if got := strings.TrimSpace(s.cli("xlen", stream)); got != "20000" {
		t.Errorf("%s wait", got)
	}
	infos, err := b.ChannelInfos(t.Context(), "1", []string{"news"})
	if err != nil || infos[0].Subscribers != 1 {
		t.Errorf("%+v, %v", infos, err)
	}
}
