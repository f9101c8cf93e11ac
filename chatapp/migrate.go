package chatapp

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the tables up to date: each file of migrations whose number is
// greater than the stored one, in one transaction each. Several processes may
// start at once.
func (s *Store) migrate(ctx context.Context) error {
	unlock, err := s.dialect.lock(ctx, s.write, "migrations")
	if err != nil {
		return err
	}
	defer unlock()
	have, err := s.version(ctx)
	if err != nil {
		return failed("read the version of the tables", err)
	}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if err := tooNew(have, len(names)); err != nil {
		return err
	}
	for i, name := range names {
		if number(name) != i+1 {
			return fmt.Errorf("%s should have the number %d", name, i+1)
		}
		if i+1 <= have {
			continue
		}
		if err := s.migrateTo(ctx, i+1, name); err != nil {
			return err
		}
	}
	return nil
}

// checkVersion refuses tables of another version than this program's.
func (s *Store) checkVersion(ctx context.Context) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	have, err := one(s.reading(ctx), nil, scanInt, "SELECT COALESCE(MAX(version), 0) FROM migrations")
	if err != nil {
		return failed("read the version of the tables", err)
	}
	if int(have) < len(names) {
		return fmt.Errorf("the tables have version %d, this program needs %d: start the chat once first", have, len(names))
	}
	return tooNew(int(have), len(names))
}

func tooNew(have, known int) error {
	if have > known {
		return fmt.Errorf("the database is of a newer chat: its tables have version %d, this program knows %d", have, known)
	}
	return nil
}

// version returns the number of the last migration that was made, 0 for none.
func (s *Store) version(ctx context.Context) (int, error) {
	var have int
	err := s.change(ctx, "prepare migrations", func(c *change) error {
		if _, err := c.exec("CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY, made_at BIGINT NOT NULL)"); err != nil {
			return err
		}
		return c.row("SELECT COALESCE(MAX(version), 0) FROM migrations").Scan(&have)
	})
	return have, err
}

func (s *Store) migrateTo(ctx context.Context, version int, name string) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	return s.change(ctx, "migrate to "+name, func(c *change) error {
		for statement := range strings.SplitSeq(string(text), ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := c.exec(statement); err != nil {
				return err
			}
		}
		_, err := c.exec("INSERT INTO migrations (version, made_at) VALUES (?, ?)", version, c.now)
		return err
	})
}

// number is the one that a migration's name begins with.
func number(name string) int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
