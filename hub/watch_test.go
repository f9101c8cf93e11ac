package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// TestOnlyNewsIsSpread has one of many watched users go offline, and wants those
// who watch that user to be told, with one frame that they share, and nobody else.
func TestOnlyNewsIsSpread(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, oneWorker)
		star := r.connect()
		star.signInAs("star")
		star.expect(signedIn)
		var watching, others []*client
		for i := range 50 {
			w, o := r.connect(), r.connect()
			w.signInAs(fmt.Sprint("w", i), "star", "a", "b", "c")
			o.signInAs(fmt.Sprint("o", i), "a", "b", "c")
			w.expect(signedIn, watchers)
			o.expect(signedIn, watchers)
			watching, others = append(watching, w), append(others, o)
		}
		visited := hub.VisitedWatchers(r.hub)
		star.conn.Gone(gone)
		time.Sleep(4 * time.Second)
		var shared []byte
		for i, w := range watching {
			w.mu.Lock()
			frames := w.frames
			w.mu.Unlock()
			if len(frames) != 1 {
				t.Fatalf("watcher %d got %d frames", i, len(frames))
			}
			if i == 0 {
				shared = frames[0]
			}
			if &frames[0][0] != &shared[0] {
				t.Errorf("watcher %d has a frame of its own", i)
			}
			w.expectNews("offline:star")
		}
		for _, o := range others {
			o.expect()
		}
		if n := hub.VisitedWatchers(r.hub) - visited; n != 50 {
			t.Errorf("%d entries of watchlists were looked at, want those of the 50 watchers", n)
		}
	})
}

// TestWatchersShareUsers has watchers of the same users come and go in between.
func TestWatchersShareUsers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, oneWorker)
		bob := r.connect()
		bob.signInAs("bob")
		bob.expect(signedIn)
		var all []*client
		for i := range 10 {
			c := r.connect()
			c.signInAs(fmt.Sprint("w", i), "bob", "cid")
			events := c.expect(signedIn, watchers)
			if got := news(t, events[1]); !slices.Equal(got, []string{"offline:cid", "online:bob"}) {
				t.Errorf("watcher %d: %v", i, got)
			}
			all = append(all, c)
		}
		for _, i := range []int{0, 9, 4, 5} { // first, last, and between
			all[i].conn.Gone(gone)
		}
		cid := r.connect()
		cid.signInAs("cid", "bob")
		cid.expect(signedIn, watchers)
		time.Sleep(time.Second)
		for _, i := range []int{1, 2, 3, 6, 7, 8} {
			all[i].expectNews("online:cid")
			all[i].conn.Gone(gone)
		}
		bob.conn.Gone(gone)
		time.Sleep(5 * time.Second)
		cid.expectNews("offline:bob")
		late := r.connect()
		late.signInAs("late", "bob", "cid")
		if got := news(t, late.expect(signedIn, watchers)[1]); !slices.Equal(got, []string{"offline:bob", "online:cid"}) {
			t.Errorf("the late one: %v", got)
		}
	})
}

// TestWhoSignsInDuringTheGrace is told at once that the user is gone, and not
// again when the others are.
func TestWhoSignsInDuringTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil, oneWorker)
		bob, early := r.connect(), r.connect()
		bob.signInAs("bob")
		bob.expect(signedIn)
		early.signInAs("early", "bob")
		early.expect(signedIn, watchers)
		bob.conn.Gone(gone)
		time.Sleep(time.Second)
		late := r.connect()
		late.signInAs("late", "bob")
		if got := news(t, late.expect(signedIn, watchers)[1]); !slices.Equal(got, []string{"offline:bob"}) {
			t.Errorf("got %v", got)
		}
		time.Sleep(3 * time.Second)
		early.expectNews("offline:bob")
		late.expect()
	})
}

// BenchmarkGoingOffline has a user with 3,000 watchers, each of whom watches 99
// others as well, go offline and come back.
func BenchmarkGoingOffline(b *testing.B) {
	c := newCrowd(b, 0)
	var frames atomic.Int64
	sign := func(id, list string) *hub.Conn {
		conn, err := c.hub.Connect(c.app, discarding{frames: &frames})
		if err != nil {
			b.Fatal(err)
		}
		data := fmt.Sprintf(`{"id":%q,"watchlist":[%s]}`, id, list)
		receive(conn, fmt.Appendf(nil, `{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`,
			protocol.UserAuth("key", "secret", conn.ID(), data), data))
		return conn
	}
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprintf(`"user-%d"`, i))
	}
	for i := range 3000 {
		sign(fmt.Sprint("w", i), strings.Join(ids, ","))
	}
	time.Sleep(2 * time.Second)
	var busy time.Duration
	for b.Loop() {
		star := sign("user-0", "")
		time.Sleep(300 * time.Millisecond)
		before := cpu()
		star.Gone(gone)
		time.Sleep(3300 * time.Millisecond)
		busy += cpu() - before
	}
	b.ReportMetric(float64(busy.Microseconds())/1000/float64(b.N), "cpu-ms/offline")
}
