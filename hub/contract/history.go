package contract

import (
	"context"
	"errors"

	"math"
	"strings"
	"testing"
	"time"

	"channels/hub"
)

// kept is a history with room for all that the tests publish.
func kept() *hub.History {
	return &hub.History{Events: 100, Age: time.Hour, Bytes: 1 << 20, Total: 1 << 30}
}

// keep publishes an event that is kept.
func keep(t testing.TB, n Node, to hub.Topic, text string, how *hub.History) error {
	t.Helper()
	m := event(to, text)
	m.Keep = how
	done := make(chan error, 1)
	n.Bus.Publish(m, func(err error) { done <- err })
	return await(t, done)
}

func mustKeep(t testing.TB, n Node, to hub.Topic, how *hub.History, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := keep(t, n, to, text, how); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func past(t testing.TB, n Node, to hub.Topic, how *hub.History, span hub.Span) hub.Past {
	t.Helper()
	if span.Most == 0 {
		span.Most = 100
	}
	p, err := n.State.Past(context.Background(), to, how.Age, span)
	if err != nil {
		t.Fatalf("history of %s: %v", to.Channel, err)
	}
	return p
}

// wholeAfter says whether nothing is missing behind a number.
func wholeAfter(t testing.TB, n Node, to hub.Topic, how *hub.History, after uint64) bool {
	t.Helper()
	p := past(t, n, to, how, hub.Span{After: after})
	return p.Whole(after)
}

// texts are the names of events, with one sign behind them: . for all that there is,
// + for more.
func texts(t testing.TB, p hub.Past) string {
	t.Helper()
	var all []string
	for _, e := range p.Events {
		all = append(all, name(t, e.Frame))
	}
	end := "."
	if p.More {
		end = "+"
	}
	return strings.Join(all, " ") + end
}

func wantTexts(t testing.TB, what string, p hub.Past, want string) {
	t.Helper()
	if got := texts(t, p); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func stateKeeps(t *testing.T, nodes []Node) {
	to, how := topic("kept"), kept()
	r := follow(t, last(nodes), to)
	mustKeep(t, nodes[0], to, how, "a", "b")
	publish(t, nodes[0], event(to, "not kept"))
	m := event(to, "c")
	m.Keep, m.Exclude = how, "1.2"
	publish(t, nodes[0], m)
	heard := r.wait(t, 4)
	p := past(t, last(nodes), to, how, hub.Span{})
	wantTexts(t, "all", p, "a b c.")
	for i, at := range []int{0, 1, 3} {
		e := p.Events[i]
		if e.Seq != heard[at].Seq || string(e.Frame) != string(heard[at].Frame) || e.Exclude != heard[at].Exclude {
			t.Errorf("event %d: %+v, and was heard as %+v", i, e, heard[at])
		}
		if age := time.Since(time.UnixMicro(int64(e.Seq))); age < -time.Minute || age > time.Minute { //nolint:gosec // a time
			t.Errorf("event %d is %v old", i, age)
		}
	}
	wantTexts(t, "of another app", past(t, nodes[0], hub.Topic{App: "2", Channel: to.Channel}, how, hub.Span{}), ".")
}

func stateReadsSpans(t *testing.T, nodes []Node) {
	to, how := topic("spans"), kept()
	mustKeep(t, nodes[0], to, how, "a", "b", "c", "d")
	all := past(t, nodes[0], to, how, hub.Span{}).Events
	for what, test := range map[string]struct {
		span hub.Span
		want string
	}{
		"the oldest":       {hub.Span{Most: 2}, "a b+"},
		"just all":         {hub.Span{Most: 4}, "a b c d."},
		"behind one":       {hub.Span{After: all[1].Seq}, "c d."},
		"behind the last":  {hub.Span{After: all[3].Seq}, "."},
		"behind all":       {hub.Span{After: math.MaxUint64}, "."},
		"the newest":       {hub.Span{Most: 2, Newest: true}, "d c+"},
		"newest first":     {hub.Span{Newest: true}, "d c b a."},
		"newest after one": {hub.Span{After: all[0].Seq, Newest: true}, "d c b."},
	} {
		wantTexts(t, what, past(t, nodes[0], to, how, test.span), test.want)
	}
}

func stateBoundsHistory(t *testing.T, nodes []Node) {
	few := kept()
	few.Events = 3
	to := topic("few")
	r := follow(t, nodes[0], to)
	mustKeep(t, nodes[0], to, few, "a", "b", "c", "d", "e")
	heard := r.wait(t, 5)
	wantTexts(t, "three", past(t, nodes[0], to, few, hub.Span{}), "c d e.")
	for i, want := range []bool{false, true, true, true, true} {
		if got := wholeAfter(t, nodes[0], to, few, heard[i].Seq); got != want {
			t.Errorf("behind %d: whole %v, want %v", i, got, want)
		}
	}

	small := kept()
	small.Bytes = 1000
	to = topic("small")
	for i := range 300 {
		mustKeep(t, nodes[0], to, small, numbered(strings.Repeat("x", 40), i))
	}
	p := past(t, nodes[0], to, small, hub.Span{})
	if n := len(p.Events); n < 2 || n > 10 {
		t.Errorf("%d events of some 150 bytes in 1,000", n)
	} else if got := name(t, p.Events[n-1].Frame); !strings.HasSuffix(got, "-299") {
		t.Errorf("the last is %s", got)
	}
	large := strings.Repeat("y", 150) // that one event is kept in any case
	small.Bytes = 10
	mustKeep(t, nodes[0], to, small, large)
	wantTexts(t, "an event that is larger than all may be", past(t, nodes[0], to, small, hub.Span{}), large+".")
}

func stateForgetsOld(t *testing.T, nodes []Node) {
	short := kept()
	short.Age = 300 * time.Millisecond
	to := topic("short")
	r := follow(t, nodes[0], to)
	mustKeep(t, nodes[0], to, short, "old")
	first := r.wait(t, 1)[0].Seq
	eventually(t, func() error {
		if got := texts(t, past(t, nodes[0], to, short, hub.Span{})); got != "." {
			return errors.New("still there: " + got)
		}
		return nil
	})
	if wholeAfter(t, nodes[0], to, short, first-1) || !wholeAfter(t, nodes[0], to, short, first) {
		t.Error("who has not got the old event has missed it, and nobody else")
	}
	mustKeep(t, nodes[0], to, short, "new")
	wantTexts(t, "after a new one", past(t, nodes[0], to, short, hub.Span{}), "new.")
	if !wholeAfter(t, nodes[0], to, short, first) || wholeAfter(t, nodes[0], to, short, first-1) {
		t.Error("a new event has changed what is missing")
	}
}

func stateErases(t *testing.T, nodes []Node) {
	to, how := topic("erased"), kept()
	mustKeep(t, nodes[0], to, how, "a", "b", "c")
	all := past(t, nodes[0], to, how, hub.Span{}).Events
	erase := func(seq uint64, want int) {
		t.Helper()
		n, err := last(nodes).State.Erase(context.Background(), to, seq)
		if err != nil || n != want {
			t.Fatalf("erased %d, %v, want %d", n, err, want)
		}
	}
	erase(all[1].Seq, 1)
	erase(all[1].Seq, 0)
	erase(12345, 0)
	wantTexts(t, "without one", past(t, nodes[0], to, how, hub.Span{}), "a c.")
	if wholeAfter(t, nodes[0], to, how, all[0].Seq) || !wholeAfter(t, nodes[0], to, how, all[1].Seq) {
		t.Error("who has not got what was erased has missed it, and nobody else")
	}
	erase(0, 2)
	erase(0, 0)
	wantTexts(t, "without all", past(t, nodes[0], to, how, hub.Span{}), ".")
	if wholeAfter(t, nodes[0], to, how, all[1].Seq) || !wholeAfter(t, nodes[0], to, how, all[2].Seq) {
		t.Error("who has not got all that was erased has missed it, and nobody else")
	}
	mustKeep(t, nodes[0], to, how, "d")
	wantTexts(t, "after a new one", past(t, nodes[0], to, how, hub.Span{}), "d.")
	if n, err := nodes[0].State.Erase(context.Background(), topic("never was"), 0); n != 0 || err != nil {
		t.Errorf("of a channel that has none: %d, %v", n, err)
	}
}

func stateRefusesHistory(t *testing.T, nodes []Node) {
	tight := kept()
	tight.Events, tight.Total = 10_000, 64*2000 // in Redis a partition has its part
	to := topic("tight")
	r := follow(t, nodes[0], to)
	taken := 0
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		if err = keep(t, nodes[0], to, numbered("x", i), tight); err == nil {
			taken++
		}
	}
	if !errors.Is(err, hub.ErrHistoryFull) || !errors.Is(err, hub.ErrUnavailable) {
		t.Fatalf("after %d events: %v", taken, err)
	}
	publish(t, nodes[0], event(to, "not kept"))
	if got := r.wait(t, taken+1); name(t, got[taken].Frame) != "not kept" || len(got) != taken+1 {
		t.Errorf("%d messages came of %d, the last is %s", len(got), taken+1, name(t, got[len(got)-1].Frame))
	}
	other := hub.Topic{App: "2", Channel: to.Channel}
	mustKeep(t, nodes[0], other, kept(), "of another app")
	if _, err := nodes[0].State.Erase(context.Background(), to, 0); err != nil {
		t.Fatal(err)
	}
	if err := keep(t, nodes[0], to, "again", tight); err != nil {
		t.Errorf("after all were erased: %v", err)
	}
}
