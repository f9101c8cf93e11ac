package redisbus_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/redisbus"
	"channels/protocol"
)

// inOnePartition names so many channels of an app that are in the partition of a topic.
func inOnePartition(of hub.Topic, app, prefix string, count int) (topics []hub.Topic) {
	for i := 0; len(topics) < count; i++ {
		t := hub.Topic{App: app, Channel: fmt.Sprintf("%s-%d", prefix, i)}
		if redisbus.PartitionOf(t) == redisbus.PartitionOf(of) {
			topics = append(topics, t)
		}
	}
	return topics
}

// TestAFloodLeavesOtherAppsTheirLogs: an app that publishes more than a log may have
// pushes out what is its own; another app's clients miss nothing in a break.
func TestAFloodLeavesOtherAppsTheirLogs(t *testing.T) {
	s := newServer(t)
	p := newProxy(t, s.host())
	a, b := open(t, s.url()+"?log_bytes=262144"), open(t, p.url()+"?log_bytes=262144")
	quiet := hub.Topic{App: "quiet", Channel: "c"}
	flood := inOnePartition(quiet, "flood", "f", 1)[0]
	heard, flooded := listen(t, b, quiet), listen(t, b, flood)
	time.Sleep(1500 * time.Millisecond) // for a canary
	noSubscribing := func(request []byte) bool { return strings.Contains(string(request), "SUBSCRIBE") }
	p.refuses.Store(&noSubscribing)
	s.cli("client", "kill", "type", "pubsub")
	want := burst(t, a, quiet, "n", 50, 1000)
	burst(t, a, flood, "flood", 1000, 1000)
	p.refuses.Store(nil)
	got := heardWithin(heard, 4*time.Second)
	if !slices.Equal(got, want) {
		t.Errorf("of 50 events %d came: %.200v", len(got), got)
	}
	if got := heardWithin(flooded, time.Second); !slices.Contains(got, "lost") && len(got) < 1000 {
		t.Errorf("the flood lost events, and nobody was told: %d came", len(got))
	}
}

// TestManyAppsShareALog: together the logs of many apps have no more than they may, and
// those that are small keep all.
func TestManyAppsShareALog(t *testing.T) {
	s := newServer(t)
	const bound = 256 << 10
	a := open(t, s.url()+fmt.Sprintf("?log_bytes=%d", bound))
	first := hub.Topic{App: "app-0", Channel: "c"}
	tag := a.Tag(redisbus.PartitionOf(first))
	for i := range 40 {
		to := inOnePartition(first, fmt.Sprintf("app-%d", i), "c", 1)[0]
		listen(t, a, to)
		burst(t, a, to, "n", 1+i*4, 1000) // the last one has 157 KiB
	}
	length := func(app int) (n int) {
		_, _ = fmt.Sscan(s.cli("xlen", fmt.Sprintf("%s:log:app-%d", tag, app)), &n)
		return n
	}
	accounted, bytes := 0, 0
	_, _ = fmt.Sscan(s.cli("hget", tag+":p", "logs"), &accounted)
	for i := range 40 {
		var own int
		_, _ = fmt.Sscan(s.cli("memory", "usage", fmt.Sprintf("%s:log:app-%d", tag, i), "samples", "0"), &own)
		bytes += own
	}
	if accounted > bound || accounted < bound/2 || bytes > 2*bound {
		t.Errorf("the logs take %d bytes, %d with what Redis needs for 40 streams; want about %d", accounted, bytes, bound)
	}
	if length(0) != 1 || length(1) != 5 {
		t.Errorf("small logs have %d and %d entries, want 1 and 5", length(0), length(1))
	}
	if second, last := length(38), length(39); second > 10 || last > 45 { // the last one fills the room that was made
		t.Errorf("large logs have %d and %d entries, want about an equal share", second, last)
	}
}

// TestOldLogsGo: a log of an app that publishes no more is removed, and a node that had
// come no further than that is told that it may have missed something.
func TestOldLogsGo(t *testing.T) {
	s := newServer(t)
	a := open(t, s.url())
	to := hub.Topic{App: "1", Channel: "c"}
	listen(t, a, to)
	burst(t, a, to, "n", 10, 100)
	tag := a.Tag(redisbus.PartitionOf(to))
	log := strings.TrimSpace(s.cli("hget", tag+":p", "log 1"))
	last, rest, _ := strings.Cut(log, " ")
	var number uint64
	_, _ = fmt.Sscan(last, &number)
	// As it is two minutes later: Redis's clock cannot be set.
	early := number - uint64((2 * time.Minute).Microseconds())
	s.cli("hset", tag+":p", "log 1", fmt.Sprint(early)+" "+rest)
	s.cli("del", tag+":log:1")
	within(t, "the log is removed", func() bool { return strings.TrimSpace(s.cli("hexists", tag+":p", "log 1")) == "0" })
	if gone := strings.TrimSpace(s.cli("hget", tag+":p", "gone")); gone != fmt.Sprint(early) {
		t.Errorf("gone is %q, want %d", gone, early)
	}
	burst(t, a, to, "later", 1, 100)
	if entry := s.cli("xrange", tag+":log:1", "-", "+"); !strings.Contains(entry, fmt.Sprint(early)) {
		t.Errorf("the new log does not begin behind the one that is gone: %s", entry)
	}
}

// TestCachedEventsOfAnAppAreBounded: an app that caches more than it may has its own
// events forgotten that expire next, and no other's.
func TestCachedEventsOfAnAppAreBounded(t *testing.T) {
	s := newServer(t)
	const bound = 64 << 10
	a := open(t, s.url()+fmt.Sprintf("?cache_bytes=%d", bound))
	quiet := hub.Topic{App: "quiet", Channel: "cache-c"}
	cached := func(to hub.Topic) bool {
		_, ok, err := a.Cached(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	cache := func(to hub.Topic, bytes int, ttl time.Duration) {
		done := make(chan error, 1)
		data := []byte(`"` + strings.Repeat("x", bytes) + `"`)
		a.Publish(hub.Message{Topic: to, Frame: protocol.EventFrame("n", to.Channel, data, ""), CacheFor: ttl}, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	cache(quiet, 1000, time.Minute)
	greedy := inOnePartition(quiet, "greedy", "cache-g", 100)
	for range 3 { // again and again the same ones: each counts once
		cache(greedy[0], 10_000, time.Hour)
	}
	for _, to := range greedy[1:] {
		cache(to, 10_000, time.Hour)
	}
	kept := 0
	for _, to := range greedy {
		if cached(to) {
			kept++
		}
	}
	if kept != bound/10_300 {
		t.Errorf("%d cached events of 10 kB are left, want %d", kept, bound/10_300)
	}
	if !cached(quiet) || !cached(greedy[99]) || cached(greedy[0]) {
		t.Error("the wrong ones were forgotten")
	}
	cache(greedy[0], 100_000, time.Hour) // larger than all may be
	if !cached(greedy[0]) || cached(greedy[99]) {
		t.Error("an event that is larger than the bound is cached alone")
	}
	cache(greedy[1], 100, 50*time.Millisecond)
	within(t, "a cached event expires", func() bool { return !cached(greedy[1]) })
	cache(greedy[2], 100, time.Hour)
	if got := strings.TrimSpace(s.cli("hexists", a.Tag(redisbus.PartitionOf(quiet))+":sizes:greedy", greedy[1].Channel)); got != "0" {
		t.Error("what expired still counts")
	}
}
