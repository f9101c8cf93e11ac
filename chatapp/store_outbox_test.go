package chatapp

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestOutbox(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		var told [][]string
		s.committed = func(streams []string) { told = append(told, streams) }
		anna := signUpAs(t, s, "anna")
		room := mustRoom(t, s, anna, KindOpen, "garden").ID
		m := mustPost(t, s, anna, room, "c", "x")
		if _, _, err := s.post(ctx, anna, room, "c", "x"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.post(ctx, anna, room, "d", ""); err == nil {
			t.Error("an empty message was stored")
		}
		if _, _, err := s.markRead(ctx, anna, room, m.Seq); err != nil {
			t.Fatal(err)
		}
		want := []string{"room:general", "room:" + room, "room:" + room, "user:" + anna.ID}
		if got := slices.Concat(told...); !slices.Equal(got, want) {
			t.Errorf("committed was told of %v, want %v: changes that hold, and only these", got, want)
		}
		streams, err := s.waitingStreams(ctx, 10)
		slices.Sort(streams)
		if sorted := slices.Sorted(slices.Values([]string{want[0], want[1], want[3]})); err != nil || !slices.Equal(streams, sorted) {
			t.Errorf("waitingStreams = %v, %v; want %v", streams, err, sorted)
		}
		if some, err := s.waitingStreams(ctx, 2); err != nil || len(some) != 2 {
			t.Errorf("waitingStreams(2) = %v, %v", some, err)
		}
		wantOutbox(t, s, roomStream(room), 0, "1.0 event members-changed", "1.1 user room-added", "2.0 event new-message")
		rows, err := s.waiting(ctx, roomStream(room), 1)
		if err != nil || len(rows) != 1 {
			t.Fatalf("waiting(1) = %v, %v", rows, err)
		}
		if err := s.told(ctx, roomStream(room), rows[0]); err != nil {
			t.Fatal(err)
		}
		wantOutbox(t, s, roomStream(room), 0, "1.1 user room-added", "2.0 event new-message")
		if err := s.told(ctx, roomStream(room), outRow{Rev: 2}); err != nil {
			t.Fatal(err)
		}
		wantOutbox(t, s, roomStream(room), 0)
		wantOutbox(t, s, roomStream(generalRoom), 0, "1.0 event members-changed")
	})
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
