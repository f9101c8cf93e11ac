package chatapp

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Store holds everything that has to outlast the process. All its operations
// may be called at once. They check what people typed (names, texts, ids) and
// what the caller may do. What they cannot do they tell as a Fault; anything
// else wraps errStore, and then nothing was stored as far as anybody knows. How
// long they wait for a database that does not answer is the context's matter.
//
// Whoever changes locks rows in this order, which keeps changes from waiting
// for each other in a circle: a room, its members, users by id, the rest.
type Store struct {
	dialect     dialect
	write, read *sql.DB // the same for PostgreSQL
	reader      runner  // of read

	// Silent leaves the outbox empty: nobody is told of changes, everybody asks.
	Silent bool
	// committed is called with the streams whose outbox has grown.
	committed func(streams []string)

	release func() error // what holds the database for this process; nil for none
}

// StoreConfig says where the store is.
type StoreConfig struct {
	URL     string // of PostgreSQL; "" is SQLite
	Dir     string // of SQLite's file
	Visitor bool   // beside a running server: neither claims SQLite's file nor changes tables
	Holder  string // what a second server is told of the one that holds SQLite's file
}

// OpenStore opens the store and brings its tables up to date; a visitor finds
// them up to date or fails.
func OpenStore(ctx context.Context, c StoreConfig) (*Store, error) {
	var s *Store
	var err error
	if c.URL != "" {
		s, err = openPostgres(c.URL)
	} else {
		s, err = openSQLite(c)
	}
	if err != nil {
		return nil, err
	}
	s.committed = func([]string) {}
	prepare := s.migrate
	if c.Visitor {
		prepare = s.checkVersion
	}
	if err := prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), s.Close())
	}
	return s, nil
}

// Close gives everything back.
func (s *Store) Close() error {
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(s.read.Close(), err)
	}
	if s.release != nil {
		err = errors.Join(err, s.release())
	}
	return err
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return failed("ping", s.write.PingContext(ctx)) }

// dialect is what differs between the databases.
type dialect struct {
	name     string
	numbered bool // parameters are $1, $2 …, not ?

	// lock waits until this process alone has a name; unlock gives it up. On a
	// database of one process there is nothing to wait for.
	lock func(ctx context.Context, db *sql.DB, name string) (unlock func(), err error)
	// backup writes a copy of the whole database to a new file.
	backup func(ctx context.Context, db *sql.DB, path string) error
}

// text makes a statement's text fit the database.
func (d dialect) text(query string) string {
	if !d.numbered {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// failed wraps what the database says; a Fault stays what it is.
func failed(doing string, err error) error {
	var fault Fault
	if err == nil || errors.As(err, &fault) || errors.Is(err, errStore) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", doing, errStore, err)
}

// querier is what reads, in a transaction or without.
type querier struct {
	ctx     context.Context
	dialect dialect
	on      runner
}

// runner runs statements: a transaction, or a database.
type runner interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// reading gives a querier without a transaction.
func (s *Store) reading(ctx context.Context) querier { return querier{ctx, s.dialect, s.reader} }

func (q querier) exec(query string, args ...any) (changed int64, err error) {
	res, err := q.on.ExecContext(q.ctx, q.dialect.text(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (q querier) row(query string, args ...any) *sql.Row {
	return q.on.QueryRowContext(q.ctx, q.dialect.text(query), args...)
}

// scanner is a row.
type scanner interface{ Scan(...any) error }

// collect reads all rows of a query. It never returns nil without an error, as
// lists in JSON are never null.
func collect[T any](q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.on.QueryContext(q.ctx, q.dialect.text(query), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	all := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// one is collect for a query of at most one row; absent is the error without it.
func one[T any](q querier, absent error, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	v, err := scan(q.row(query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		err = absent
	}
	return v, err
}

// maxInList is how many values one statement names.
const maxInList = 100

// chunks splits values so that one statement can name each part.
func chunks[T any](all []T) iter.Seq[[]T] { return slices.Chunk(all, maxInList) }

// places is what stands for n values in a statement.
func places(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// anys makes values the arguments of a statement.
func anys(all []string) []any {
	args := make([]any, len(all))
	for i, v := range all {
		args[i] = v
	}
	return args
}

func scanString(r scanner) (v string, err error) {
	err = r.Scan(&v)
	return v, err
}

func scanInt(r scanner) (v int64, err error) {
	err = r.Scan(&v)
	return v, err
}

// change is one transaction, and what it tells the world.
type change struct {
	querier
	now     int64 // microseconds since 1970
	silent  bool
	streams []string
	parts   map[string]int // rows of the outbox by stream and revision
}

// errUnchanged ends a transaction that turned out to have nothing to change.
var errUnchanged = errors.New("nothing to change")

// change runs do in one transaction, which holds if do returns nil and the
// database took it. With errUnchanged it is undone without being an error.
func (s *Store) change(ctx context.Context, doing string, do func(*change) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return failed(doing, err)
	}
	c := &change{querier: querier{ctx, s.dialect, tx}, now: now(), silent: s.Silent, parts: map[string]int{}}
	if err := do(c); err != nil {
		_ = tx.Rollback() // the first error is the one to tell
		if errors.Is(err, errUnchanged) {
			return nil
		}
		return failed(doing, err)
	}
	if err := tx.Commit(); err != nil {
		return failed(doing, err)
	}
	if len(c.streams) > 0 {
		s.committed(c.streams)
	}
	return nil
}

// now is in microseconds since 1970, which both databases hold exactly.
func now() int64 { return time.Now().UnixMicro() }

// Backup writes a copy of the database to a new file, while others go on.
func (s *Store) Backup(ctx context.Context, path string) error {
	return s.dialect.backup(ctx, s.write, path)
}
