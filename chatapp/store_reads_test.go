package chatapp

import (
	"fmt"
	"slices"
	"testing"
)

func TestReads(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindOpen, "garden", ben).ID // revisions 1 and 2
		for i := range 3 {                                       // 3 to 5
			mustPost(t, s, anna, room, fmt.Sprint("a", i), "x")
		}
		mustPost(t, s, ben, room, "b", "one's own are never unread") // 6
		for _, test := range []struct {
			name                 string
			seq, readSeq, unread int64
		}{
			{"nothing", 0, 0, 3},
			{"the first", 3, 3, 2},
			{"all but one", 4, 4, 1},
			{"back", 3, 4, 1},
			{"beyond the end", 1000, 6, 0},
			{"again", 6, 6, 0},
			{"negative", -1, 6, 0},
		} {
			readSeq, unread, err := s.markRead(ctx, ben, room, test.seq)
			if err != nil || readSeq != test.readSeq || unread != test.unread {
				t.Errorf("%s: markRead(%d) = %d, %d, %v; want %d, %d", test.name, test.seq, readSeq, unread, err, test.readSeq, test.unread)
			}
		}
		wantOutbox(t, s, userStream(ben.ID), 0, "1.0 user read-position", "2.0 user read-position", "3.0 user read-position")
		rows, err := s.waiting(ctx, userStream(ben.ID), 10)
		if want := fmt.Sprintf(`{"room":%q,"readSeq":6,"unread":0}`, room); err != nil || rows[2].Payload != want || rows[2].Target != ben.ID {
			t.Errorf("read-position carries %s for %s, %v; want %s for ben", rows[2].Payload, rows[2].Target, err, want)
		}
		if rev := revOf(t, s, ben, room); rev != 6 {
			t.Errorf("revision %d before the bundle, want 6", rev)
		}
	})
}

func TestBundledReads(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindOpen, "garden", ben).ID
		read := func(by Account, seq int64) {
			t.Helper()
			if _, _, err := s.markRead(ctx, by, room, seq); err != nil {
				t.Fatalf("markRead: %v", err)
			}
		}
		bundle := func(doing string, want int64, rooms ...string) {
			t.Helper()
			if err := s.bundleReads(ctx, room); err != nil {
				t.Fatalf("bundleReads, %s: %v", doing, err)
			}
			if rev := revOf(t, s, anna, room); rev != want {
				t.Errorf("%s: revision %d, want %d", doing, rev, want)
			}
			if got, err := s.roomsWithReads(ctx, 10); err != nil || !slices.Equal(got, rooms) {
				t.Errorf("%s: roomsWithReads = %v, %v; want %v", doing, got, err, rooms)
			}
		}
		lastBundle := func(ago int64) {
			t.Helper()
			err := s.change(ctx, "set the clock", func(c *change) error {
				_, err := c.exec("UPDATE rooms SET reads_at = ? WHERE id = ?", c.now-ago, room)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		m := mustPost(t, s, anna, room, "a", "x") // 3
		bundle("nothing was read", 3)
		read(ben, m.Seq)
		read(anna, m.Seq)
		bundle("two have read", 4)
		wantOutbox(t, s, roomStream(room), 4, "4.0 event read")
		rows, err := s.waiting(ctx, roomStream(room), 100)
		if err != nil {
			t.Fatal(err)
		}
		reads := []string{anna.ID, ben.ID}
		slices.Sort(reads)
		if got, want := rows[len(rows)-1].Payload, fmt.Sprintf(`{"room":%q,"rev":4,"reads":[{"user":%q,"seq":3},{"user":%q,"seq":3}]}`,
			room, reads[0], reads[1]); got != want {
			t.Errorf("the event carries %s, want %s", got, want)
		}
		m = mustPost(t, s, anna, room, "b", "y") // 5
		read(ben, m.Seq)
		lastBundle(readsInterval.Microseconds() / 2)
		bundle("half a second later", 5, room)
		lastBundle(readsInterval.Microseconds())
		bundle("a second later", 6)
		m = mustPost(t, s, anna, room, "c", "z") // 7
		read(ben, m.Seq)
		lastBundle(-3600e6)
		bundle("after a clock that was an hour ahead", 8)
		wantOneEventEach(t, s, room, 0)

		m = mustPost(t, s, anna, room, "d", "z") // 9
		read(ben, m.Seq)
		if err := s.leave(ctx, ben, room); err != nil { // 10
			t.Fatal(err)
		}
		lastBundle(2e6)
		bundle("the reader has left", 10)
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
