package redisbus

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"channels/hub"
)

func waitingEvent(app string, number, bytes int, until time.Time) *op {
	to := hub.Topic{App: app, Channel: fmt.Sprint(number)}
	return &op{event: publication{topic: to, body: string(make([]byte, bytes))}, until: until}
}

func namesOf(ops []*op) (names []string) {
	for _, p := range ops {
		names = append(names, p.event.topic.App+p.event.topic.Channel)
	}
	return names
}

// TestAppsTakeTurns: an app's backlog holds nobody else's events up, and each app's
// keep their order, also when they are put back.
func TestAppsTakeTurns(t *testing.T) {
	var q publishQueue
	for i := range 1000 {
		q.add(waitingEvent("a", i, 10, time.Time{}))
	}
	q.add(waitingEvent("b", 0, 10, time.Time{}))
	q.add(waitingEvent("b", 1, 10, time.Time{}))
	taken := q.take(5, 1<<20)
	if got, want := namesOf(taken), []string{"a0", "b0", "a1", "b1", "a2"}; !slices.Equal(got, want) {
		t.Fatalf("took %v, want %v", got, want)
	}
	q.putBack(taken)
	if again := namesOf(q.take(1002, 1<<20)); len(again) != 1002 || q.count != 0 {
		t.Fatalf("%d of 1,002 are left, %d are counted", len(again), q.count)
	} else {
		for app, count := range map[string]int{"a": 1000, "b": 2} {
			own := slices.DeleteFunc(slices.Clone(again), func(name string) bool { return name[:1] != app })
			for i := range count {
				if own[i] != fmt.Sprint(app, i) {
					t.Fatalf("app %s: %s comes as number %d", app, own[i], i)
				}
			}
		}
	}
}

func TestTakeStopsAtBytes(t *testing.T) {
	var q publishQueue
	for i := range 10 {
		q.add(waitingEvent("a", i, 1000-128, time.Time{}))
	}
	if taken := q.take(256, 2500); len(taken) != 3 || q.count != 7 {
		t.Errorf("took %d of 1,000 bytes each, %d are left; want 3 and 7", len(taken), q.count)
	}
}

func TestEventsExpire(t *testing.T) {
	var q publishQueue
	now := time.Now()
	for i := range 4 {
		q.add(waitingEvent("a", i, 1, now.Add(time.Duration(i)*time.Second)))
		q.add(waitingEvent("b", i, 1, now))
	}
	late := q.expire(now.Add(1500 * time.Millisecond))
	if len(late) != 6 || q.count != 2 {
		t.Errorf("%v have expired, %d are left; want six and two", namesOf(late), q.count)
	}
	if got := namesOf(q.take(9, 1000)); !slices.Equal(got, []string{"a2", "a3"}) {
		t.Errorf("left are %v", got)
	}
}

// TestBacklogsAreShared: who has filled the queue is refused, and nobody else is.
func TestBacklogsAreShared(t *testing.T) {
	var b backlog
	const event = 10 << 10
	for b.admit("flood", event) {
	}
	if b.total > maxQueued || b.total < maxQueued-event {
		t.Errorf("%d bytes were taken of one app, want about %d", b.total, maxQueued)
	}
	for i := range 1000 {
		if !b.admit(fmt.Sprint("app ", i%10), event) {
			t.Fatalf("event %d of another app was refused", i)
		}
	}
	if b.admit("flood", event) {
		t.Error("the flood goes on")
	}
	for i := range 1000 {
		b.release(fmt.Sprint("app ", i%10), event)
	}
	for b.total > 0 {
		b.release("flood", event)
	}
	if len(b.apps) != 0 {
		t.Errorf("%d apps are remembered that have nothing", len(b.apps))
	}
}
