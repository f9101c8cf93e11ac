package chatapp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// eachStore runs a test against both databases. config opens more stores on the
// same one.
func eachStore(t *testing.T, test func(t *testing.T, s *Store, config StoreConfig)) {
	configs := map[string]func(*testing.T) StoreConfig{
		"postgres": func(t *testing.T) StoreConfig { return StoreConfig{URL: newPostgres(t)} },
		"sqlite":   func(t *testing.T) StoreConfig { return StoreConfig{Dir: t.TempDir(), Holder: "the test"} },
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			test(t, openStore(t, c), c)
		})
	}
}

// openStore opens a store for the time of the test.
func openStore(t testing.TB, c StoreConfig) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), c)
	if err != nil {
		t.Fatalf("OpenStore: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// signUpAs makes an account.
func signUpAs(t testing.TB, s *Store, name string) Account {
	t.Helper()
	a, _, err := s.signUp(t.Context(), newAccount{Name: name, Hash: "hash of " + name, Policy: SignupOpen, Session: time.Hour})
	if err != nil {
		t.Fatalf("signUp(%q): %v", name, err)
	}
	return a
}

// mustPost posts a message that has to be stored.
func mustPost(t testing.TB, s *Store, by Account, room, clientID, text string) Message {
	t.Helper()
	m, already, err := s.post(t.Context(), by, room, clientID, text)
	if err != nil || already {
		t.Fatalf("post(%s, %q) = already %v, %v; want it stored", by.Name, text, already, err)
	}
	return m
}

// mustRoom makes a room with further members.
func mustRoom(t testing.TB, s *Store, owner Account, kind, name string, members ...Account) Room {
	t.Helper()
	r, err := s.createRoom(t.Context(), owner, kind, name)
	if err != nil {
		t.Fatalf("createRoom(%q): %v", name, err)
	}
	for _, m := range members {
		if r, _, err = s.addMember(t.Context(), owner, r.ID, m.ID); err != nil {
			t.Fatalf("addMember(%s): %v", m.Name, err)
		}
	}
	return r
}

// wantFault checks an error's code; "" wants none.
func wantFault(t testing.TB, doing string, err error, code string) {
	t.Helper()
	var fault Fault
	switch {
	case code == "" && err == nil:
	case !errors.As(err, &fault) || fault.Code != code:
		t.Errorf("%s: got error %v (%q), want the code %q", doing, err, fault.Code, code)
	}
}

// outbox describes a stream's rows, one string each.
func outbox(t testing.TB, s *Store, stream string) []string {
	t.Helper()
	rows, err := s.waiting(t.Context(), stream, 10000)
	if err != nil {
		t.Fatalf("waiting(%s): %v", stream, err)
	}
	var all []string
	for _, r := range rows {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%d.%d %s %s", r.Rev, r.Part, r.Kind, r.Event)))
	}
	return all
}

// wantOutbox checks the rows of a stream from a revision on.
func wantOutbox(t testing.TB, s *Store, stream string, from int64, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(outbox(t, s, stream), func(row string) bool {
		var rev int64
		_, err := fmt.Sscanf(row, "%d.", &rev)
		return err == nil && rev < from
	})
	if !slices.Equal(got, want) {
		t.Errorf("outbox of %s from %d:\n got %q\nwant %q", stream, from, got, want)
	}
}

// wantOneEventEach checks that each of a room's revisions after from is one
// event, and none is another.
func wantOneEventEach(t testing.TB, s *Store, room string, from int64) {
	t.Helper()
	rev, err := one(s.reading(t.Context()), nil, scanInt, "SELECT rev FROM rooms WHERE id = ?", room)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.waiting(t.Context(), roomStream(room), 100000)
	if err != nil {
		t.Fatal(err)
	}
	next := from + 1
	for _, r := range rows {
		if r.Kind != outEvent && r.Kind != outMoved || r.Rev <= from {
			continue
		}
		if r.Rev != next {
			t.Fatalf("room %s: an event of revision %d, want %d", room, r.Rev, next)
		}
		next++
	}
	if next != rev+1 {
		t.Errorf("room %s: events up to %d, but its revision is %d", room, next-1, rev)
	}
}

// revOf is a room's revision as a member sees it.
func revOf(t testing.TB, s *Store, me Account, room string) int64 {
	t.Helper()
	r, _, err := s.room(t.Context(), me, room)
	if err != nil {
		t.Fatalf("room(%s): %v", room, err)
	}
	return r.Rev
}
