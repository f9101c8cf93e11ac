package chatapp

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestParallelMigrations starts several processes' stores at once on an empty
// PostgreSQL.
func TestParallelMigrations(t *testing.T) {
	t.Parallel()
	config := StoreConfig{URL: newPostgres(t)}
	var opening sync.WaitGroup
	for range 6 {
		opening.Go(func() {
			s, err := OpenStore(t.Context(), config)
			if err != nil {
				t.Errorf("OpenStore: %v", err)
				return
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	opening.Wait()
	s := openStore(t, config)
	if n, err := one(s.reading(t.Context()), nil, scanInt, "SELECT COUNT(*) FROM migrations"); n < 1 || err != nil {
		t.Errorf("%d migrations are noted, %v", n, err)
	}
	if n, err := one(s.reading(t.Context()), nil, scanInt, "SELECT COUNT(*) FROM rooms"); n != 1 || err != nil {
		t.Errorf("%d rooms, %v; want general alone", n, err)
	}
}

func TestMigrationVersions(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, config StoreConfig) {
		visitor := config
		visitor.Visitor = true
		if _, err := openStore(t, visitor).anyAccount(t.Context()); err != nil {
			t.Errorf("a visitor beside the server: %v", err)
		}
		for _, test := range []struct{ name, statement, want string }{
			{"newer", "INSERT INTO migrations (version, made_at) VALUES (1000, 0)", "newer chat"},
			{"older", "DELETE FROM migrations", "start the chat once first"},
		} {
			err := s.change(t.Context(), test.name, func(c *change) error {
				_, err := c.exec(test.statement)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := OpenStore(t.Context(), visitor); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s tables: a visitor gets %v, want %q", test.name, err, test.want)
			}
			if test.name == "newer" {
				if err := s.migrate(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s tables: a server gets %v, want %q", test.name, err, test.want)
				}
			}
		}
	})
}

// secondProcess names the directory that the test binary, run again, opens.
const secondProcess = "CHATAPP_TEST_SECOND_PROCESS"

// TestSecondProcess is refused SQLite's file, and told by whom.
func TestSecondProcess(t *testing.T) {
	if dir := os.Getenv(secondProcess); dir != "" {
		s, err := OpenStore(t.Context(), StoreConfig{Dir: dir, Holder: "the second"})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close() // this process ends
		return
	}
	t.Parallel()
	again := func(dir string) (string, error) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecondProcess$")
		cmd.Env = append(os.Environ(), secondProcess+"="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	dir := t.TempDir()
	s, err := OpenStore(t.Context(), StoreConfig{Dir: dir, Holder: "http://127.0.0.1:8080"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := again(dir)
	if err == nil || !strings.Contains(out, "another chat holds") || !strings.Contains(out, "http://127.0.0.1:8080") {
		t.Errorf("the second process: %v: %s; want it refused, with the first one's address", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := again(dir); err != nil {
		t.Errorf("a process after the first: %v: %s", err, out)
	}
}

func TestOpenWhereItCannot(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		config StoreConfig
		away   bool
	}{
		{"not an address", StoreConfig{URL: "postgres://u:secret@%zz"}, false},
		{"nobody there", StoreConfig{URL: "postgres://u:secret@/x?host=" + t.TempDir()}, true},
		{"a file for a directory", StoreConfig{Dir: file}, false},
	} {
		s, err := OpenStore(t.Context(), test.config)
		if err == nil {
			t.Errorf("%s: opened, %v", test.name, s.Close())
			continue
		}
		if errors.Is(err, errStore) != test.away || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v; want errStore %v, and no password", test.name, err, test.away)
		}
	}
}

// TestSQLitePragmas reads what the connections really use.
func TestSQLitePragmas(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b%20c?d#e")
	s := openStore(t, StoreConfig{Dir: dir})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		for _, db := range []querier{{t.Context(), s.dialect, s.write}, {t.Context(), s.dialect, s.read}} {
			if got, err := one(db, nil, scanString, "PRAGMA "+pragma); got != want || err != nil {
				t.Errorf("%s = %s, %v; want %s", pragma, got, err, want)
			}
		}
	}
	if _, err := s.reading(t.Context()).exec("DELETE FROM rooms"); err == nil {
		t.Error("a reading connection deletes")
	}
	if _, err := os.Stat(filepath.Join(dir, "chat.db")); err != nil {
		t.Errorf("the file is elsewhere: %v", err)
	}
}

// TestBackup restores a copy that was made while others wrote.
func TestBackup(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, config StoreConfig) {
		anna := signUpAs(t, s, "anna")
		m := mustPost(t, s, anna, generalRoom, "c", "keep this")
		config.Visitor = true
		file := filepath.Join(t.TempDir(), "chat.db")
		visitor := openStore(t, config)
		if err := visitor.Backup(t.Context(), file); err != nil {
			t.Fatalf("Backup: %v", err)
		}
		if err := visitor.Backup(t.Context(), file); err == nil {
			t.Error("a second Backup wrote over the first")
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("the copy: %v, %v; want a file for nobody else", info, err)
		}
		restored := openStore(t, restore(t, s, file))
		p, err := restored.page(t.Context(), anna, generalRoom, 0, 10)
		if err != nil || !slices.Equal(p.Messages, []Message{m}) {
			t.Errorf("the restored messages: %+v, %v; want %+v", p.Messages, err, m)
		}
	})
}

// restore makes a database of a copy, as the documentation says.
func restore(t *testing.T, s *Store, file string) StoreConfig {
	t.Helper()
	if s.dialect.name == "sqlite" {
		return StoreConfig{Dir: filepath.Dir(file)}
	}
	url := newPostgres(t)
	if out, err := exec.CommandContext(t.Context(), "pg_restore", "--dbname="+url, file).CombinedOutput(); err != nil {
		t.Fatalf("pg_restore: %v: %s", err, out)
	}
	return StoreConfig{URL: url}
}

// TestDatabaseAway takes the database away and gives it back: nothing is
// acknowledged meanwhile, everything works afterwards.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	config := StoreConfig{URL: newPostgres(t)}
	s := openStore(t, config)
	anna := signUpAs(t, s, "anna")
	name := strings.TrimPrefix(config.URL, "postgres://chat@/")
	name, _, _ = strings.Cut(name, "?")
	postgresExec(t, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	for range 3 {
		if _, _, err := s.post(t.Context(), anna, generalRoom, "c", "lost"); !errors.Is(err, errStore) {
			t.Errorf("post without a database: %v, want errStore", err)
		}
		if err := s.Ping(t.Context()); !errors.Is(err, errStore) {
			t.Errorf("Ping without a database: %v, want errStore", err)
		}
		if _, err := s.lockStream(t.Context(), "room:general"); !errors.Is(err, errStore) {
			t.Errorf("lockStream without a database: %v, want errStore", err)
		}
	}
	postgresExec(t, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
	if p, err := s.page(t.Context(), anna, generalRoom, 0, 10); err != nil || len(p.Messages) != 0 {
		t.Errorf("page afterwards = %+v, %v; want nothing stored", p, err)
	}
	mustPost(t, s, anna, generalRoom, "c", "found")
}

// TestFailures asks a closed store, and one whose caller has given up.
func TestFailures(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, config StoreConfig) {
		anna := signUpAs(t, s, "anna")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		ask := func(name string, ctx context.Context) {
			t.Helper()
			_, _, errPost := s.post(ctx, anna, generalRoom, "c", "x")
			_, errSession := s.accountBySession(ctx, "x")
			_, _, errRooms := s.rooms(ctx, anna)
			_, errMember := s.maySubscribe(ctx, "x", roomChannel(generalRoom, 1))
			errRead := s.storeReads(ctx, map[string]map[string]int64{generalRoom: {anna.ID: 1}})
			_, errChanges := s.changes(ctx, anna, generalRoom, 0, 10)
			for _, err := range []error{errPost, errSession, errRooms, errMember, errRead, errChanges, s.expireSessions(ctx)} {
				if !errors.Is(err, errStore) {
					t.Errorf("%s: %v, want errStore", name, err)
				}
			}
		}
		ask("a caller who gave up", gone)
		if rev := revOf(t, s, anna, generalRoom); rev != 1 {
			t.Errorf("revision %d, want 1", rev)
		}
		if err := errors.Join(s.write.Close(), s.read.Close()); err != nil {
			t.Fatal(err)
		}
		ask("a closed store", t.Context())
	})
}

// TestSilent is for a chat without push: revisions rise, and nobody is told.
func TestSilent(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		s.Silent = true
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		m := mustPost(t, s, anna, generalRoom, "c", "x")
		if err := storeRead(t, s, ben, generalRoom, m.Seq); err != nil {
			t.Fatal(err)
		}
		if ch, err := s.changes(t.Context(), anna, generalRoom, m.Rev, 10); err != nil || ch.Rev != m.Rev+1 || len(ch.Members) != 1 {
			t.Errorf("changes = %+v, %v; want the read at revision %d", ch, err, m.Rev+1)
		}
		if err := s.endSessions(t.Context(), ben); err != nil {
			t.Fatal(err)
		}
		if streams, err := s.waitingStreams(t.Context(), 10); err != nil || len(streams) != 0 {
			t.Errorf("waitingStreams = %v, %v; want none", streams, err)
		}
	})
}
