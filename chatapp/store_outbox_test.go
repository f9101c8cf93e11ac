package chatapp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestOutbox(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		var committed [][]string
		s.committed = func(streams []string) { committed = append(committed, streams) }
		anna := signUpAs(t, s, "anna")
		room := mustRoom(t, s, anna, KindOpen, "garden").ID
		m := mustPost(t, s, anna, room, "c", "x")
		if _, _, err := s.post(ctx, anna, room, "c", "x"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.post(ctx, anna, room, "d", ""); err == nil {
			t.Error("an empty message was stored")
		}
		if m.Seq != 2 {
			t.Errorf("the message has seq %d, want 2", m.Seq)
		}
		if err := s.endSessions(ctx, anna); err != nil {
			t.Fatal(err)
		}
		general, garden, own := roomStream(generalRoom), roomStream(room), userStream(anna.ID)
		want := []string{general, garden, garden}
		if room > generalRoom { // the end of sessions goes through the rooms in order
			want = append(want, general, garden, own)
		} else {
			want = append(want, garden, general, own)
		}
		if got := slices.Concat(committed...); !slices.Equal(got, want) {
			t.Errorf("committed was told of %v, want %v: changes that hold, and only these", got, want)
		}
		streams, err := s.waitingStreams(ctx, 10)
		if sorted := slices.Sorted(slices.Values([]string{general, garden, own})); err != nil || !slices.Equal(streams, sorted) {
			t.Errorf("waitingStreams = %v, %v; want %v", streams, err, sorted)
		}
		if some, err := s.waitingStreams(ctx, 2); err != nil || len(some) != 2 {
			t.Errorf("waitingStreams(2) = %v, %v", some, err)
		}
		wantOutbox(t, s, roomStream(room), 0, "1.0 event members-changed", "1.1 user room-added", "2.0 event new-message", "2.1 news room-news", "3.0 moved members-changed")
		rows, err := s.waiting(ctx, roomStream(room), 1)
		if err != nil || len(rows) != 1 {
			t.Fatalf("waiting(1) = %v, %v", rows, err)
		}
		if err := s.removePublished(ctx, roomStream(room), rows[0]); err != nil {
			t.Fatal(err)
		}
		wantOutbox(t, s, roomStream(room), 0, "1.1 user room-added", "2.0 event new-message", "2.1 news room-news", "3.0 moved members-changed")
		if err := s.removePublished(ctx, roomStream(room), outRow{Rev: 3}); err != nil {
			t.Fatal(err)
		}
		wantOutbox(t, s, roomStream(room), 0)
		wantOutbox(t, s, roomStream(generalRoom), 0, "1.0 event members-changed", "2.0 moved members-changed")
	})
}

// TestCollapse leaves of a long backlog only what must not be lost, and one hint.
func TestCollapse(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben, cora := signUpAs(t, s, "anna"), signUpAs(t, s, "ben"), signUpAs(t, s, "cora")
		room := mustRoom(t, s, anna, KindClosed, "cellar", ben).ID // 1 and 2
		m := mustPost(t, s, anna, room, "a", "x")                  // 3
		if err := storeRead(t, s, ben, room, m.Seq); err != nil {  // 4
			t.Fatal(err)
		}
		if _, _, err := s.addMember(ctx, anna, room, cora.ID); err != nil { // 5
			t.Fatal(err)
		}
		if _, _, err := s.removeMember(ctx, anna, room, ben.ID); err != nil { // 6
			t.Fatal(err)
		}
		mustPost(t, s, anna, room, "b", "y")                                   // 7
		if _, _, err := s.removeMember(ctx, anna, room, cora.ID); err != nil { // 8
			t.Fatal(err)
		}
		if err := s.collapse(ctx, room); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"1.1 user room-added", "2.1 user room-added", "5.1 user room-added",
			"6.0 moved members-changed", "6.1 user room-removed", "6.2 terminate",
			"7.0 event catch-up", "7.1 news room-news",
			"8.0 moved members-changed", "8.1 user room-removed", "8.2 terminate",
		}
		wantOutbox(t, s, roomStream(room), 0, want...)
		rows, err := s.waiting(ctx, roomStream(room), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			hint := fmt.Sprintf(`{"room":%q,"rev":7,"fetch":true}`, room)
			if row.Rev == 7 && (row.Payload != hint || row.Target != "") {
				t.Errorf("%s carries %s, not for %q; want %s for everybody", row.Event, row.Payload, row.Target, hint)
			}
		}
		if err := s.collapse(ctx, room); err != nil {
			t.Fatal(err)
		}
		wantOutbox(t, s, roomStream(room), 0, want...)
		if err := s.collapse(ctx, "nosuch"); err != nil {
			t.Errorf("collapse of nothing: %v", err)
		}
	})
}

func TestStale(t *testing.T) {
	t.Parallel()
	rows := func(n int, age time.Duration) []outRow {
		all := make([]outRow, n)
		for i := range all {
			all[i].CreatedAt = 1e9 - age.Microseconds()
		}
		return all
	}
	for _, test := range []struct {
		name string
		rows []outRow
		want bool
	}{
		{"nothing", nil, false},
		{"old, but few", rows(collapseRows, time.Hour), false},
		{"many, but new", rows(relayBatch, collapseAge), false},
		{"many and old", rows(collapseRows+1, collapseAge+time.Millisecond), true},
	} {
		if got := stale(test.rows, 1e9); got != test.want {
			t.Errorf("%s: stale = %v, want %v", test.name, got, test.want)
		}
	}
}

// TestLockStream holds a stream in one process and asks for it in another.
func TestLockStream(t *testing.T) {
	t.Parallel()
	config := StoreConfig{URL: newPostgres(t)}
	first, second := openStore(t, config), openStore(t, config)
	unlock, err := first.lockStream(t.Context(), "room:a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := second.lockStream(t.Context(), "room:b")
	if err != nil {
		t.Fatalf("another stream: %v", err)
	}
	other()
	impatient, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	go func() {
		unlock, err := second.lockStream(impatient, "room:a")
		if err == nil {
			unlock()
		}
		got <- err
	}()
	waitForLock(t, first)
	cancel()
	if err := <-got; !errors.Is(err, errStore) {
		t.Errorf("a caller who gave up got %v, want errStore", err)
	}
	go func() {
		unlock, err := second.lockStream(t.Context(), "room:a")
		if err == nil {
			unlock()
		}
		got <- err
	}()
	waitForLock(t, first)
	unlock()
	if err := <-got; err != nil {
		t.Errorf("the stream was given up, and the other got %v", err)
	}
}

// waitForLock returns when PostgreSQL says that somebody waits for a lock.
func waitForLock(t testing.TB, s *Store) {
	t.Helper()
	for {
		n, err := one(s.reading(t.Context()), nil, scanInt,
			"SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database() AND NOT l.granted")
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
}
