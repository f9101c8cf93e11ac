package chatapp

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// openPostgres opens a pool of connections; it connects when it is used first.
func openPostgres(address string) (*Store, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not an address of PostgreSQL") // the parser's words may hold the password
	}
	config.ConnectTimeout = min(max(config.ConnectTimeout, time.Second), 5*time.Second)
	// The store's locks are made for this level, whatever the server's default is.
	config.RuntimeParams["default_transaction_isolation"] = "read committed"
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(maxPostgresConns)
	db.SetMaxIdleConns(maxPostgresConns / 2)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return &Store{dialect: postgresDialect(address), write: db, read: db, reader: db}, nil
}

// maxPostgresConns must be greater than the number of relayWorkers, each of
// which holds one connection for its lock while it uses others.
const maxPostgresConns = 20

func postgresDialect(address string) dialect {
	return dialect{
		name:     "postgres",
		numbered: true,
		lock:     lockPostgres,
		backup: func(ctx context.Context, _ *sql.DB, path string) error {
			tool, err := exec.LookPath("pg_dump")
			if err != nil {
				return errors.New("back up: pg_dump is missing: install PostgreSQL's client, or run pg_dump where it is")
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("back up: %w", err)
			}
			public, password := splitPassword(address)
			cmd := exec.CommandContext(ctx, tool, "--format=custom", "--no-password", "--dbname="+public)
			cmd.Stdout, cmd.Stderr = f, os.Stderr
			if password != "" {
				cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
			}
			if err := errors.Join(cmd.Run(), f.Close()); err != nil {
				return errors.Join(fmt.Errorf("back up: pg_dump: %w", err), os.Remove(path))
			}
			return nil
		},
	}
}

// splitPassword takes the password out of an address: a program's arguments are
// seen by everybody on the machine, its environment is not.
func splitPassword(address string) (public, password string) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address, ""
	}
	password, _ = u.User.Password()
	u.User = url.User(u.User.Username())
	return u.String(), password
}

// lockPostgres takes an advisory lock on a connection of its own: the server
// gives it up with the connection, however that ends.
func lockPostgres(ctx context.Context, db *sql.DB, name string) (unlock func(), err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, failed("lock "+name, err)
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", "chat "+name); err != nil {
		_ = conn.Close() // the first error is the one to tell
		return nil, failed("lock "+name, err)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock(hashtextextended($1, 0))", "chat "+name)
		if err != nil {
			// A connection that may still hold the lock must not go back to the pool.
			_ = conn.Raw(func(any) error { return errors.New("lost") })
		}
		_ = conn.Close()
	}, nil
}
