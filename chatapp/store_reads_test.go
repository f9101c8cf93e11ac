package chatapp

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// storeRead stores how far one member has read.
func storeRead(t testing.TB, s *Store, by Account, room string, seq int64) error {
	t.Helper()
	return s.storeReads(t.Context(), map[string]map[string]int64{room: {by.ID: seq}})
}

func TestReads(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		r := newReads(s, slog.New(slog.DiscardHandler))
		anna, ben, cora := signUpAs(t, s, "anna"), signUpAs(t, s, "ben"), signUpAs(t, s, "cora")
		room := mustRoom(t, s, anna, KindOpen, "garden", ben).ID // revisions 1 and 2
		for i := range 3 {                                       // 3 to 5
			mustPost(t, s, anna, room, fmt.Sprint("a", i), "x")
		}
		for _, test := range []struct {
			name                 string
			seq, readSeq, unread int64
		}{
			{"nothing", 0, 0, 3},
			{"the first", 3, 3, 2},
			{"all but one", 4, 4, 1},
			{"back", 3, 4, 1},
			{"beyond the end", 1000, 5, 0},
			{"again", 5, 5, 0},
			{"negative", -1, 5, 0},
		} {
			readSeq, unread, err := r.mark(ctx, ben, room, test.seq)
			if err != nil || readSeq != test.readSeq || unread != test.unread {
				t.Errorf("%s: mark(%d) = %d, %d, %v; want %d, %d", test.name, test.seq, readSeq, unread, err, test.readSeq, test.unread)
			}
		}
		_, _, err := r.mark(ctx, cora, room, 3)
		wantFault(t, "cora marks", err, "not_member")
		mine, _, err := s.rooms(ctx, ben)
		if err != nil {
			t.Fatal(err)
		}
		r.overlay(ben, mine)
		i := slices.IndexFunc(mine, func(r Room) bool { return r.ID == room })
		if mine[i].ReadSeq != 5 || mine[i].Unread != 0 {
			t.Errorf("before it is stored the list says %+v, want read up to 5", mine[i])
		}
		if rev := revOf(t, s, ben, room); rev != 5 {
			t.Errorf("revision %d before it is stored, want 5", rev)
		}
		r.flushAll(ctx)
		r.flushAll(ctx) // there is nothing left
		wantOutbox(t, s, roomStream(room), 6, "6.0 user read-position", "6.1 event read")
		rows, err := s.waiting(ctx, roomStream(room), 100)
		if err != nil {
			t.Fatal(err)
		}
		last := rows[len(rows)-2:]
		if want := fmt.Sprintf(`{"room":%q,"readSeq":5}`, room); last[0].Payload != want || last[0].Target != ben.ID {
			t.Errorf("read-position carries %s for %s, want %s for ben", last[0].Payload, last[0].Target, want)
		}
		if want := fmt.Sprintf(`{"room":%q,"rev":6,"reads":[{"user":%q,"seq":5}]}`, room, ben.ID); last[1].Payload != want {
			t.Errorf("read carries %s, want %s", last[1].Payload, want)
		}
	})
}

// TestReadsWaitForTheDatabase keeps what cannot be stored.
func TestReadsWaitForTheDatabase(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		r := newReads(s, slog.New(slog.DiscardHandler))
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		m := mustPost(t, s, anna, generalRoom, "a", "x")
		if _, _, err := r.mark(t.Context(), ben, generalRoom, m.Seq); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		r.flushAll(gone)
		if rev := revOf(t, s, anna, generalRoom); rev != m.Rev {
			t.Errorf("revision %d, want %d: nothing could be stored", rev, m.Rev)
		}
		r.flushAll(t.Context())
		if rev := revOf(t, s, anna, generalRoom); rev != m.Rev+1 {
			t.Errorf("revision %d, want %d: what could not be stored is stored later", rev, m.Rev+1)
		}
	})
}

// TestReadsOfLargeRoomsWait has what was read in a large room wait for more.
func TestReadsOfLargeRoomsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReads(nil, slog.New(slog.DiscardHandler))
		due := func() []string {
			now := time.Now()
			return slices.Sorted(maps.Keys(r.take(func(w *roomReads) bool { return !w.due.After(now) })))
		}
		r.raise(roomState{id: "small", count: largeRoom}, "a", 1)
		r.raise(roomState{id: "large", count: largeRoom + 1}, "a", 1)
		if got := due(); !slices.Equal(got, []string{"small"}) {
			t.Errorf("at once %v are stored, want the small room", got)
		}
		time.Sleep(readsDelay - 1)
		r.raise(roomState{id: "large", count: largeRoom + 1}, "b", 1) // does not put it off
		if got := due(); len(got) != 0 {
			t.Errorf("before their time %v are stored", got)
		}
		time.Sleep(time.Nanosecond)
		if got := due(); !slices.Equal(got, []string{"large"}) {
			t.Errorf("after %v, %v are stored, want the large room", readsDelay, got)
		}
	})
}

// TestReadsOfManyAtOnce stores what many have read in several rooms: one revision
// and one event for each room, whatever the number of readers.
func TestReadsOfManyAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		r := newReads(s, slog.New(slog.DiscardHandler))
		anna := signUpAs(t, s, "anna")
		garden := mustRoom(t, s, anna, KindOpen, "garden").ID
		var readers []Account
		for i := range maxInList + 5 {
			a := signUpAs(t, s, fmt.Sprint("reader ", i))
			if _, err := s.join(ctx, a, garden); err != nil {
				t.Fatal(err)
			}
			readers = append(readers, a)
		}
		first := mustPost(t, s, anna, generalRoom, "a", "x")
		second := mustPost(t, s, anna, garden, "a", "x")
		leaver := readers[0]
		for _, a := range readers {
			for room, seq := range map[string]int64{generalRoom: first.Seq, garden: second.Seq} {
				if _, _, err := r.mark(ctx, a, room, seq); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.leave(ctx, leaver, garden); err != nil {
			t.Fatal(err)
		}
		r.flushAll(ctx)
		for room, want := range map[string]struct{ rev, readers int64 }{
			generalRoom: {first.Rev + 1, maxInList + 5}, garden: {second.Rev + 2, maxInList + 4},
		} {
			if rev := revOf(t, s, anna, room); rev != want.rev {
				t.Errorf("%s: revision %d, want %d", room, rev, want.rev)
			}
			n, err := one(s.reading(ctx), nil, scanInt, "SELECT COUNT(*) FROM members WHERE room_id = ? AND read_rev = ?", room, want.rev)
			if err != nil || n != want.readers {
				t.Errorf("%s: %d have read, %v; want %d", room, n, err, want.readers)
			}
			wantOutbox(t, s, roomStream(room), want.rev,
				fmt.Sprint(want.rev, ".0 user read-position"), fmt.Sprint(want.rev, ".1 user read-position"), fmt.Sprint(want.rev, ".2 event read"))
			wantOneEventEach(t, s, room, 0)
		}
	})
}

// TestWhoWroteHasRead posts, which moves the author's own position in the same
// revision.
func TestWhoWroteHasRead(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		mustPost(t, s, anna, generalRoom, "a", "x")
		m := mustPost(t, s, ben, generalRoom, "b", "y")
		r, _, err := s.room(t.Context(), ben, generalRoom)
		if err != nil || r.ReadSeq != m.Seq || r.Unread != 0 {
			t.Errorf("ben wrote %d and has read up to %d, %d are unread, %v", m.Seq, r.ReadSeq, r.Unread, err)
		}
		ch, err := s.changes(t.Context(), anna, generalRoom, m.Rev-1, 200)
		if err != nil || len(ch.Members) != 1 || ch.Members[0].User.ID != ben.ID || ch.Members[0].ReadSeq != m.Seq || ch.Members[0].ReadRev != m.Rev {
			t.Errorf("changes tell of %+v, %v; want that ben has read up to %d", ch.Members, err, m.Seq)
		}
	})
}

func TestUnread(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindOpen, "garden", ben).ID
		unread := func(who Account) int64 {
			t.Helper()
			mine, _, err := s.rooms(ctx, who)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(mine, func(r Room) bool { return r.ID == room })
			if i != 0 && mine[0].LastSeq == 0 {
				t.Errorf("the room with the newest message is not first: %+v", mine)
			}
			return mine[i].Unread
		}
		first := mustPost(t, s, anna, room, "first", "x")
		mustPost(t, s, anna, room, "second", "x")
		if a, b := unread(anna), unread(ben); a != 0 || b != 2 {
			t.Errorf("unread: %d by anna, %d by ben; want 0, 2", a, b)
		}
		if _, err := s.deleteMessage(ctx, anna, room, first.ID); err != nil {
			t.Fatal(err)
		}
		if got := unread(ben); got != 1 {
			t.Errorf("unread after a deletion: %d, want 1", got)
		}
		for i := range maxUnread + 10 {
			mustPost(t, s, anna, room, fmt.Sprint("c", i), "x")
		}
		if got := unread(ben); got != maxUnread {
			t.Errorf("unread of many: %d, want %d", got, maxUnread)
		}
	})
}
