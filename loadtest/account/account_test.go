package account

import (
	"slices"
	"testing"
)

// world is a small history: publications on one channel, and what subscribers got.
type world struct {
	pubs []Publication
	subs []sub
}

type sub struct {
	acked int64
	gone  bool
	got   []uint32 // IDs, in order
}

// sequential are publications that do not overlap: 1 begins at 10, 2 at 20 …
func sequential(n int) []Publication {
	var all []Publication
	for i := range n {
		start := int64(10 * (i + 1))
		all = append(all, Publication{Seq: uint32(i), Intended: start, Start: start, Done: start + 5, Outcome: Confirmed, Measured: true})
	}
	return all
}

// overlapping are publications whose requests are all under way at once.
func overlapping(n int) []Publication {
	all := sequential(n)
	for i := range all {
		all[i].Done = 10_000
	}
	return all
}

func with(all []Publication, i int, change func(*Publication)) []Publication {
	change(&all[i])
	return all
}

func (w world) settle() (Tally, int64) {
	r := &Receipts{}
	for _, s := range w.subs {
		subscriber := NewSubscriber(0)
		subscriber.Acked, subscriber.Gone = s.acked, s.gone
		r.Add(subscriber)
		for at, id := range s.got {
			r.Receive(subscriber, Mark{ID: id, Seq: w.pubs[id].Seq}, int64(1000+at))
		}
	}
	t := r.Settle(w.pubs)
	return t, t.OutOfOrder(w.pubs)
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	type counts struct{ expected, received, lost, duplicates, outOfOrder, unsure, refused, extra int64 }
	tests := []struct {
		name  string
		world world
		want  counts
	}{
		{"all arrive", world{sequential(3), []sub{{1, false, []uint32{0, 1, 2}}, {1, false, []uint32{0, 1, 2}}}},
			counts{expected: 6, received: 6}},
		{"one is lost", world{sequential(3), []sub{{1, false, []uint32{0, 2}}}},
			counts{expected: 3, received: 2, lost: 1}},
		{"nothing arrives", world{sequential(70), []sub{{1, false, nil}}},
			counts{expected: 70, lost: 70}},
		{"one comes twice", world{sequential(2), []sub{{1, false, []uint32{0, 0, 1}}}},
			counts{expected: 2, received: 2, duplicates: 1}},
		{"acknowledged in the middle", world{sequential(3), []sub{{20, false, []uint32{2}}}},
			counts{expected: 1, received: 1}},
		{"acknowledged in the middle, and got an earlier one all the same", world{sequential(3), []sub{{20, false, []uint32{1, 2}}}},
			counts{expected: 1, received: 1, extra: 1}},
		{"never acknowledged", world{sequential(3), []sub{{0, false, []uint32{2}}}},
			counts{extra: 1}},
		{"closed before the end", world{sequential(3), []sub{{1, true, []uint32{0}}}},
			counts{extra: 1}},
		{"a publish without an answer came", world{with(sequential(2), 1, func(p *Publication) { p.Outcome = Unsure }), []sub{{1, false, []uint32{0, 1}}}},
			counts{expected: 1, received: 1, unsure: 1}},
		{"a publish without an answer did not come", world{with(sequential(2), 1, func(p *Publication) { p.Outcome = Unsure }), []sub{{1, false, []uint32{0}}}},
			counts{expected: 1, received: 1}},
		{"a refused publish came", world{with(sequential(2), 0, func(p *Publication) { p.Outcome = Refused }), []sub{{1, false, []uint32{0, 1}}}},
			counts{expected: 1, received: 1, refused: 1}},
		{"the warm-up does not count", world{with(sequential(2), 0, func(p *Publication) { p.Measured = false }), []sub{{1, false, []uint32{1}}}},
			counts{expected: 1, received: 1}},
		{"against time", world{sequential(2), []sub{{1, false, []uint32{1, 0}}}},
			counts{expected: 2, received: 2, outOfOrder: 1}},
		{"against time, for all alike", world{sequential(2), []sub{{1, false, []uint32{1, 0}}, {1, false, []uint32{1, 0}}}},
			counts{expected: 4, received: 4, outOfOrder: 2}},
		{"requests overlap, and all agree", world{overlapping(3), []sub{{1, false, []uint32{1, 0, 2}}, {1, false, []uint32{1, 0, 2}}}},
			counts{expected: 6, received: 6}},
		{"requests overlap, and one disagrees", world{overlapping(2), []sub{{1, false, []uint32{1, 0}}, {1, false, []uint32{0, 1}}, {1, false, []uint32{0, 1}}}},
			counts{expected: 6, received: 6, outOfOrder: 1}},
		{"requests overlap, both are late, one disagrees", world{overlapping(3), []sub{{1, false, []uint32{1, 0, 2}}, {1, false, []uint32{1, 2, 0}}, {1, false, []uint32{1, 2, 0}}}},
			counts{expected: 9, received: 9, outOfOrder: 1}},
		{"requests overlap, and one lost what would prove it", world{overlapping(2), []sub{{1, false, []uint32{1, 0}}, {1, false, []uint32{0}}}},
			counts{expected: 4, received: 3, lost: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tally, outOfOrder := tt.world.settle()
			got := counts{tally.Expected, tally.Received, tally.Lost(), tally.Duplicates, outOfOrder, tally.Unsure, tally.Refused, tally.Extra}
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestTalliesAddUp(t *testing.T) {
	t.Parallel()
	pubs := overlapping(2)
	a, _ := world{pubs, []sub{{1, false, []uint32{0, 1}}}}.settle()
	b, _ := world{pubs, []sub{{1, false, []uint32{1, 0}}, {1, false, []uint32{0}}}}.settle()
	a.Add(b)
	if a.Expected != 6 || a.Received != 5 || a.Lost() != 1 {
		t.Errorf("expected %d received %d lost %d, want 6, 5 and 1", a.Expected, a.Received, a.Lost())
	}
	want := []Arrival{{First: 1000, Last: 1001, Count: 3}, {First: 1000, Last: 1001, Count: 2}}
	if !slices.Equal(a.Arrivals, want) {
		t.Errorf("arrivals %+v, want %+v", a.Arrivals, want)
	}
	var spreads []int64
	a.Spreads(pubs, func(ns int64) { spreads = append(spreads, ns) })
	if !slices.Equal(spreads, []int64{1, 1}) {
		t.Errorf("spreads %v, want 1 and 1", spreads)
	}
}

func TestForeignEvents(t *testing.T) {
	t.Parallel()
	r := &Receipts{}
	s := NewSubscriber(3)
	r.Add(s)
	if r.Receive(s, Mark{Channel: 4}, 1) || r.Foreign != 1 {
		t.Errorf("an event of another channel was taken: foreign %d, want 1", r.Foreign)
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	tag := NewTag(0xc0ffee)
	want := Mark{ID: 4_000_000_000, Channel: 7, Seq: 65_536, Intended: 1_800_000_000_123_456_789}
	for _, size := range []int{0, MinSize, 100, 5000} {
		data := tag.AppendData([]byte(`{"data":"`), want, size)
		if n := len(data) - len(`{"data":"`); n != max(size, MinSize) {
			t.Errorf("size %d: the data has %d bytes", size, n)
		}
		if got, ok := tag.Find(append(data, '"', '}')); !ok || got != want {
			t.Errorf("size %d: found %+v %v, want %+v", size, got, ok, want)
		}
	}
	if _, ok := NewTag(1).Find(tag.AppendData(nil, want, 64)); ok {
		t.Error("found the mark of another run")
	}
}

func FuzzFind(f *testing.F) {
	tag := NewTag(1)
	f.Add(tag.AppendData(nil, Mark{ID: 1, Seq: 2, Channel: 3, Intended: 4}, 64))
	f.Add([]byte("lt-00000001-00"))
	f.Add([]byte("lt-00000001-0000000g"))
	f.Fuzz(func(t *testing.T, message []byte) {
		m, ok := tag.Find(message)
		if !ok {
			return
		}
		if again, _ := tag.Find(tag.AppendData(nil, m, 64)); again != m {
			t.Errorf("%+v became %+v", m, again)
		}
	})
}
