package chatapp

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// maxPrepared is how many statements are kept compiled. The program's texts are
// fewer, but for those that name a list of values.
const maxPrepared = 200

// prepared runs statements of SQLite that stay compiled: compiling a statement
// takes about as long as running it. (pgx does the same for PostgreSQL by itself.)
type prepared struct {
	*sql.DB
	statements sync.Map // text → *sql.Stmt
	count      atomic.Int64
}

// statement returns nil for one that is not kept, or cannot be compiled now.
func (p *prepared) statement(ctx context.Context, query string) *sql.Stmt {
	if kept, ok := p.statements.Load(query); ok {
		return kept.(*sql.Stmt)
	}
	if p.count.Load() >= maxPrepared {
		return nil
	}
	s, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil // running it says why
	}
	if kept, was := p.statements.LoadOrStore(query, s); was {
		_ = s.Close() // another goroutine was faster
		return kept.(*sql.Stmt)
	}
	p.count.Add(1)
	return s
}

// QueryContext is that of sql.DB.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := p.statement(ctx, query); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, query, args...)
}

// QueryRowContext is that of sql.DB.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := p.statement(ctx, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, query, args...)
}
