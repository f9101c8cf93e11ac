package chatapp

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// openSQLite opens the file of a single process. One connection writes, so that
// writers wait in Go, in their order, not in SQLite's sleeps; others read.
func openSQLite(c StoreConfig) (*Store, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	s := &Store{dialect: sqliteDialect()}
	if !c.Visitor {
		release, err := claim(filepath.Join(c.Dir, "chat.lock"), c.Holder)
		if err != nil {
			return nil, err
		}
		s.release = release
	}
	var err error
	file := filepath.Join(c.Dir, "chat.db")
	if s.write, err = sql.Open("sqlite", sqliteName(file, "_txlock=immediate")); err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", sqliteName(file, "_pragma=query_only(1)")); err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	s.read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	s.read.SetMaxIdleConns(max(4, runtime.NumCPU()))
	s.reader = &prepared{DB: s.read}
	return s, nil
}

// sqliteName is what the driver opens. A commit is on the disk before it is
// acknowledged (synchronous FULL).
func sqliteName(file, more string) string {
	const pragmas = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: pragmas + "&" + more}
	return u.String()
}

func sqliteDialect() dialect {
	return dialect{
		name: "sqlite",
		lock: func(context.Context, *sql.DB, string) (func(), error) { return func() {}, nil },
		backup: func(ctx context.Context, db *sql.DB, path string) error {
			// SQLite writes into an empty file; making it here keeps others from reading it.
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("back up: %w", err)
			}
			if err := f.Close(); err != nil {
				return fmt.Errorf("back up: %w", err)
			}
			if _, err := db.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
				return errors.Join(failed("back up to "+path, err), os.Remove(path))
			}
			return nil
		},
	}
}
