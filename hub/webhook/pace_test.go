package webhook

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"channels/hub"
)

// timed is an occurrence some time after the beginning.
type timed struct {
	at time.Duration
	o  hub.Occurrence
}

func occupied(channel string) hub.Occurrence {
	return hub.Occurrence{Kind: hub.HookOccupied, Topic: hub.Topic{Channel: channel}}
}

func vacated(channel string, broken bool) hub.Occurrence {
	return hub.Occurrence{Kind: hub.HookVacated, Topic: hub.Topic{Channel: channel}, Broken: broken}
}

func added(user string) hub.Occurrence {
	return hub.Occurrence{Kind: hub.HookMemberAdded, Topic: hub.Topic{Channel: "presence-a"}, User: user}
}

func removed(user string, broken bool) hub.Occurrence {
	return hub.Occurrence{Kind: hub.HookMemberRemoved, Topic: hub.Topic{Channel: "presence-a"}, User: user, Broken: broken}
}

func count(n int) hub.Occurrence {
	return hub.Occurrence{Kind: hub.HookCount, Topic: hub.Topic{Channel: "a"}, Count: n}
}

// told is what becomes of occurrences that are read with a delay each, as "time name".
// Nothing may be forgotten: each is told or dropped, once.
func told(t *testing.T, delay time.Duration, all []timed) []string {
	t.Helper()
	begin := time.Unix(0, 0)
	p := newPace()
	var texts []string
	fate := make(map[string]int)
	take := func(now time.Duration, v verdict) {
		for _, o := range v.tell {
			fate[o.ID]++
			texts = append(texts, fmt.Sprintf("%v %s %s", now, eventOf(o).Name, about(o)))
		}
		for _, o := range v.drop {
			fate[o.ID]++
		}
	}
	const step = 100 * time.Millisecond
	for now := time.Duration(0); now <= time.Minute; now += step {
		var v verdict
		for i, each := range all {
			if read := each.at + delay; read > now-step && read <= now {
				each.o.ID, each.o.At = fmt.Sprint(i), begin.Add(each.at)
				p.add(each.o, &v)
			}
		}
		p.pass(begin.Add(now), &v)
		take(now, v)
	}
	if len(p.held) > 0 || len(p.counts) > 0 {
		t.Errorf("%d departures and %d counts are kept for ever", len(p.held), len(p.counts))
	}
	for i := range all {
		if fate[fmt.Sprint(i)] != 1 {
			t.Errorf("number %d has %d fates", i, fate[fmt.Sprint(i)])
		}
	}
	return texts
}

func about(o hub.Occurrence) string {
	switch {
	case o.Kind == hub.HookCount:
		return fmt.Sprint(o.Count)
	case o.User != "":
		return o.User
	}
	return o.Topic.Channel
}

// TestPace: what is told, when, of which occurrences.
func TestPace(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		all   []timed
		delay time.Duration // until they are read
		want  []string
	}{
		"an unsubscribe is told at once": {
			all:  []timed{{0, occupied("a")}, {100 * ms, vacated("a", false)}},
			want: []string{"0s channel_occupied a", "100ms channel_vacated a"},
		},
		"a disconnect is told after three seconds": {
			all:  []timed{{0, added("ann")}, {100 * ms, removed("ann", true)}},
			want: []string{"0s member_added ann", "3.1s member_removed ann"},
		},
		"a return takes back both": {
			all: []timed{
				{0, occupied("presence-a")}, {0, added("ann")}, {100 * ms, removed("ann", true)}, {100 * ms, vacated("presence-a", true)},
				{3000 * ms, occupied("presence-a")}, {3000 * ms, added("ann")},
			},
			want: []string{"0s channel_occupied presence-a", "0s member_added ann"},
		},
		"a return that is too late takes back nothing, also when both are read at once": {
			all:   []timed{{0, added("ann")}, {100 * ms, removed("ann", true)}, {3100 * ms, added("ann")}},
			delay: 20 * time.Second,
			want:  []string{"20s member_added ann", "20.1s member_removed ann", "23.1s member_added ann"},
		},
		"many returns": {
			all: []timed{
				{0, added("ann")}, {time.Second, removed("ann", true)}, {2 * time.Second, added("ann")}, {3 * time.Second, removed("ann", true)},
				{4 * time.Second, added("ann")}, {5 * time.Second, removed("ann", true)},
			},
			want: []string{"0s member_added ann", "8s member_removed ann"},
		},
		"another one who comes takes back nothing of a user": {
			all: []timed{
				{0, occupied("presence-a")}, {0, added("ann")}, {1000 * ms, removed("ann", true)}, {1000 * ms, vacated("presence-a", true)},
				{2000 * ms, occupied("presence-a")}, {2000 * ms, added("bob")},
			},
			want: []string{"0s channel_occupied presence-a", "0s member_added ann", "2s member_added bob", "4s member_removed ann"},
		},
		"a channel is vacated after its last member is gone": {
			all: []timed{
				{0, added("ann")}, {0, added("bob")}, {1000 * ms, removed("ann", true)},
				{2000 * ms, removed("bob", false)}, {2000 * ms, vacated("presence-a", false)},
			},
			want: []string{"0s member_added ann", "0s member_added bob", "2s member_removed bob", "2s member_removed ann", "2s channel_vacated presence-a"},
		},
		"members go before their channel": {
			all:  []timed{{1000 * ms, removed("ann", true)}, {1000 * ms, vacated("presence-a", true)}, {1100 * ms, vacated("b", true)}},
			want: []string{"4s member_removed ann", "4s channel_vacated presence-a", "4.1s channel_vacated b"},
		},
		"what nodes say again after a loss": {
			all: []timed{
				{0, added("ann")}, {0, added("bob")},
				{time.Second, unsettled(removed("ann", false))}, {time.Second, unsettled(removed("bob", false))}, {10 * time.Second, again(added("ann"))},
				{30 * time.Second, again(added("bob"))},
			},
			want: []string{"0s member_added ann", "0s member_added bob", "21s member_removed bob"},
		},
		"few subscribers are counted at once": {
			all:  []timed{{0, count(1)}, {100 * ms, count(2)}, {200 * ms, count(100)}, {300 * ms, count(99)}},
			want: []string{"0s subscription_count 1", "100ms subscription_count 2", "200ms subscription_count 100", "300ms subscription_count 99"},
		},
		"many are counted every five seconds": {
			all: []timed{
				{0, count(101)}, {1000 * ms, count(102)}, {2000 * ms, count(103)}, {6000 * ms, count(104)}, {20_000 * ms, count(105)},
			},
			want: []string{"0s subscription_count 101", "5s subscription_count 103", "10s subscription_count 104", "20s subscription_count 105"},
		},
		"many that become few": {
			all:  []timed{{0, count(101)}, {1000 * ms, count(102)}, {2000 * ms, count(100)}},
			want: []string{"0s subscription_count 101", "2s subscription_count 100"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := told(t, test.delay, test.all); !slices.Equal(got, test.want) {
				t.Errorf("told %q\nwant %q", got, test.want)
			}
		})
	}
}

func unsettled(o hub.Occurrence) hub.Occurrence { o.Unsettled = true; return o }
func again(o hub.Occurrence) hub.Occurrence     { o.Again = true; return o }
