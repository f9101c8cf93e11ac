package chatapp

import (
	"fmt"
	"testing"
	"time"
)

// benchStores runs a benchmark on both databases, with 20 rooms of 2,000
// messages and 50 members each.
func benchStores(b *testing.B, bench func(b *testing.B, s *Store, me Account, rooms []string)) {
	for name, config := range map[string]func() StoreConfig{
		"postgres": func() StoreConfig { return StoreConfig{URL: newPostgres(b)} },
		"sqlite":   func() StoreConfig { return StoreConfig{Dir: b.TempDir()} },
	} {
		b.Run(name, func(b *testing.B) {
			s := openStore(b, config())
			me, rooms := fillStore(b, s)
			b.ResetTimer()
			bench(b, s, me, rooms)
		})
	}
}

// fillStore stores much in few transactions.
func fillStore(b *testing.B, s *Store) (me Account, rooms []string) {
	b.Helper()
	me = signUpAs(b, s, "me")
	var others []Account
	for i := range 49 {
		others = append(others, signUpAs(b, s, fmt.Sprint("user", i)))
	}
	for i := range 20 {
		rooms = append(rooms, mustRoom(b, s, me, KindOpen, fmt.Sprint("room ", i), others...).ID)
	}
	err := s.change(b.Context(), "fill", func(c *change) error {
		for _, room := range rooms {
			for i := range 2000 {
				r, err := c.lockRoom(room, "", raiseSeq)
				if err != nil {
					return err
				}
				if _, err = c.exec(`INSERT INTO messages (id, room_id, seq, rev, user_id, client_id, body, created_at, edited_at, deleted_at)
					VALUES (?, ?, ?, ?, ?, ?, 'hello there', ?, 0, 0)`, newID(), room, r.rev, r.rev, others[i%len(others)].ID, newID(), c.now); err != nil {
					return err
				}
			}
		}
		_, err := c.exec("DELETE FROM outbox")
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	// As autovacuum does before long: without it, plans are for empty tables.
	if _, err := s.write.ExecContext(b.Context(), "ANALYZE"); err != nil {
		b.Fatal(err)
	}
	return me, rooms
}

func BenchmarkPost(b *testing.B) {
	benchStores(b, func(b *testing.B, s *Store, me Account, rooms []string) {
		for i := range b.N {
			if _, _, err := s.post(b.Context(), me, rooms[i%len(rooms)], newID(), "hello"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRooms(b *testing.B) {
	benchStores(b, func(b *testing.B, s *Store, me Account, _ []string) {
		for range b.N {
			if _, _, err := s.rooms(b.Context(), me); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkChanges is what a poll asks when nothing has changed.
func BenchmarkChanges(b *testing.B) {
	benchStores(b, func(b *testing.B, s *Store, me Account, rooms []string) {
		rev := revOf(b, s, me, rooms[0])
		for range b.N {
			if _, err := s.changes(b.Context(), me, rooms[0], rev, 200); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPage(b *testing.B) {
	benchStores(b, func(b *testing.B, s *Store, me Account, rooms []string) {
		for range b.N {
			if _, err := s.page(b.Context(), me, rooms[0], 0, 50); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSession(b *testing.B) {
	benchStores(b, func(b *testing.B, s *Store, me Account, _ []string) {
		token, err := s.createSession(b.Context(), me, time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		for range b.N {
			if _, err := s.accountBySession(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
