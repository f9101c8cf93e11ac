//go:build conformance && !goroutinereaders

package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const clusterRoom = "presence-cluster"

// roomy lets many users into a room.
const roomy = "CHANNELS_APP_MAX_PRESENCE_MEMBERS=1000"

// crowd joins so many users to the room on a node.
func crowd(t testing.TB, s *server, prefix string, count int) (ids []string, sockets []*client) {
	t.Helper()
	for i := range count {
		id := fmt.Sprintf("%s%d", prefix, i)
		c := connect(t, s)
		c.subscribePresence(clusterRoom, memberData(id))
		ids, sockets = append(ids, id), append(sockets, c)
	}
	return ids, sockets
}

func roomUsers(t testing.TB, s *server) []string {
	t.Helper()
	status, body := get(t, s, "/apps/1/channels/"+clusterRoom+"/users", nil)
	if status != http.StatusOK {
		t.Fatalf("users: got %d %s", status, body)
	}
	var ids []string
	for _, part := range strings.Split(body, `"id":"`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// TestNodeKilled: whoever was on a node that dies is announced gone, by every
// other node, once.
func TestNodeKilled(t *testing.T) {
	r := startRedis(t)
	a, b := startNode(t, r, roomy), startNode(t, r, roomy)
	mortal := startMortal(t, r, roomy)
	ids, _ := crowd(t, mortal, "u", 300)
	one := watchPresence(connect(t, a), clusterRoom, "one")
	two := watchPresence(connect(t, b), clusterRoom, "two")
	both := connect(t, b) // on two nodes, of which one lives on
	both.subscribePresence(clusterRoom, memberData(ids[0]))

	mortal.killNow()
	gone := ids[1:]
	for _, w := range []*watcher{one, two} {
		within(t, 10*time.Second, "everybody is told gone", func() bool { return len(w.told(w.removed)) >= len(gone) })
	}
	time.Sleep(time.Second) // for what must not come
	for name, w := range map[string]*watcher{"one": one, "two": two} {
		once(t, name+": member_removed", w.told(w.removed), gone)
	}
	want := []string{"one", "two", ids[0]}
	for _, s := range []*server{a, b} {
		if got := roomUsers(t, s); !slices.Equal(got, want) {
			t.Errorf("users: got %v, want %v", got, want)
		}
		_, body := get(t, s, "/apps/1/channels/"+clusterRoom, map[string]string{"info": "user_count"})
		sameJSON(t, "the room", body, `{"occupied":true,"user_count":3}`)
	}
}

// TestNodeFrozen: a node that was away for longer than its lease finds out that
// it was declared dead, and has its clients connect anew.
func TestNodeFrozen(t *testing.T) {
	r := startRedis(t)
	a, frozen := startNode(t, r), startNode(t, r)
	one := watchPresence(connect(t, a), clusterRoom, "one")
	ids, sockets := crowd(t, frozen, "f", 20)
	within(t, patience, "all are there", func() bool { return len(one.told(one.added)) == len(ids) })

	frozen.freeze()
	within(t, 10*time.Second, "all are told gone", func() bool { return len(one.told(one.removed)) == len(ids) })
	frozen.thaw()
	for _, c := range sockets {
		w := watch(c)
		within(t, 5*time.Second, "closed with 4200", func() bool { return w.closedWith() == 4200 })
	}
	time.Sleep(500 * time.Millisecond) // for what must not come
	once(t, "member_removed", one.told(one.removed), ids)
	once(t, "member_added", one.told(one.added), ids)
	within(t, 5*time.Second, "the node works again", func() bool {
		status, _ := frozen.opsGet("/readyz")
		return status == http.StatusOK
	})
	again := connect(t, frozen)
	if got := again.subscribePresence(clusterRoom, memberData("f0")).Presence.Count; got != 2 {
		t.Errorf("%d users, want one and f0", got)
	}
	within(t, patience, "f0 is announced again", func() bool { return one.told(one.added)["f0"] == 2 })
}

// TestRedisRestartedEmpty: sockets stay, publishes are refused meanwhile, and
// what nodes and Redis know is right again afterwards.
func TestRedisRestartedEmpty(t *testing.T) {
	r := startRedis(t)
	a, b := startNode(t, r), startNode(t, r)
	mortal := startMortal(t, r)
	one := watchPresence(connect(t, a), clusterRoom, "one")
	two := watchPresence(connect(t, b), clusterRoom, "two")
	_, leaving := crowd(t, b, "leaving", 1)
	_, _ = crowd(t, b, "staying", 3)
	_, _ = crowd(t, mortal, "mortal", 2)
	publish(t, a, clusterRoom, "n", "1")
	within(t, patience, "all is quiet", func() bool {
		return len(one.here()) == 8 && len(two.here()) == 8 && len(two.numbers()) == 1
	})

	r.kill()
	within(t, 5*time.Second, "publishes are refused", func() bool {
		status, _ := post(t, a, eventsPath, event{Name: "n", Channels: []string{clusterRoom}, Data: "refused"})
		return status == http.StatusServiceUnavailable
	})
	// Every node is as good as any other, so they stay behind their balancer.
	time.Sleep(5 * time.Second)
	if status, body := a.opsGet("/readyz"); status != http.StatusOK || !strings.HasPrefix(body, "ok, but publishes are refused: ") {
		t.Errorf("while redis is away: /readyz %d %s", status, body)
	}
	if busMetric(t, a, "up") != 0 {
		t.Error("while redis is away: channels_bus_up is not 0")
	}
	one.answers2(t)
	mortal.killNow()
	_ = leaving[0].conn.CloseNow()
	time.Sleep(time.Second)

	r.start()
	back := time.Now()
	within(t, 5*time.Second, "publishes are taken and reach everybody", func() bool {
		for _, s := range []*server{a, b} {
			if status, _ := post(t, s, eventsPath, event{Name: "n", Channels: []string{clusterRoom}, Data: "2"}); status != http.StatusOK {
				return false
			}
		}
		return slices.Contains(one.numbers(), 2) && slices.Contains(two.numbers(), 2)
	})
	want := []string{"one", "staying0", "staying1", "staying2", "two"}
	within(t, 12*time.Second-time.Since(back), "everybody knows who is there", func() bool {
		return slices.Equal(one.here(), want) && slices.Equal(two.here(), want) &&
			slices.Equal(roomUsers(t, a), want) && slices.Equal(roomUsers(t, b), want)
	})
	gone := []string{"leaving0", "mortal0", "mortal1"}
	for name, w := range map[string]*watcher{"one": one, "two": two} {
		once(t, name+": member_removed", w.told(w.removed), gone)
		for id, n := range w.told(w.added) {
			if n != 1 {
				t.Errorf("%s: member_added of %s %d times", name, id, n)
			}
		}
		if w.closedWith() != 0 {
			t.Errorf("%s was closed with %d", name, w.closedWith())
		}
		if slices.ContainsFunc(w.events, func(s string) bool { return s == "refused" }) {
			t.Errorf("%s got what was refused", name)
		}
	}
}

// answers2 requires that the connection still answers.
func (w *watcher) answers2(t testing.TB) {
	t.Helper()
	w.send(`{"event":"pusher:ping","data":{}}`)
	if w.closedWith() != 0 {
		t.Fatalf("closed with %d", w.closedWith())
	}
}

// TestRedisFrozen: nobody is declared dead because Redis did not answer.
func TestRedisFrozen(t *testing.T) {
	for _, pause := range []time.Duration{3 * time.Second, 8 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			a, b := startNode(t, r), startNode(t, r)
			one := watchPresence(connect(t, a), clusterRoom, "one")
			ids, _ := crowd(t, b, "u", 5)
			within(t, patience, "all are there", func() bool { return len(one.told(one.added)) == len(ids) })
			r.stop()
			time.Sleep(pause)
			r.goOn()
			within(t, 5*time.Second, "publishes are taken and delivered", func() bool {
				status, _ := post(t, b, eventsPath, event{Name: "n", Channels: []string{clusterRoom}, Data: "7"})
				return status == http.StatusOK && slices.Contains(one.numbers(), 7)
			})
			time.Sleep(8 * time.Second) // longer than a lease, for what must not come
			if removed := one.told(one.removed); len(removed) > 0 {
				t.Errorf("told gone: %v", removed)
			}
			if got := len(roomUsers(t, a)); got != 6 {
				t.Errorf("%d users, want 6", got)
			}
			if one.closedWith() != 0 {
				t.Errorf("closed with %d", one.closedWith())
			}
		})
	}
}
