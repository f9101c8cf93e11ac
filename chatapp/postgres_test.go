package chatapp

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// postgresServer starts a PostgreSQL of this test binary's own, once. It ends
// with the test binary, however that ends.
var postgresServer = sync.OnceValues(startPostgres)

// runningPostgres is the server: it lives as long as the pipe is open.
type runningPostgres struct {
	dir  string // of its socket
	pipe io.WriteCloser
}

var postgresDatabases atomic.Int64

// newPostgres makes an empty database for one test and returns its address.
func newPostgres(t testing.TB) string {
	t.Helper()
	server, err := postgresServer()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	name := fmt.Sprintf("chat%d", postgresDatabases.Add(1))
	postgresExec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { postgresExec(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return postgresAddress(server.dir, name)
}

func postgresAddress(dir, database string) string {
	return "postgres://chat@/" + database + "?host=" + dir
}

// postgresExec runs statements as the server's superuser.
func postgresExec(t testing.TB, statements ...string) {
	t.Helper()
	server, err := postgresServer()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	db, err := sql.Open("pgx", postgresAddress(server.dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// startPostgres makes a cluster and runs it under a shell that stops it and
// removes it as soon as the pipe to this process closes.
func startPostgres() (*runningPostgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chatpg")
	if err != nil {
		return nil, err
	}
	as, err := postgresUser(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "chat", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	const script = `"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=200 \
		-c default_transaction_isolation=serializable >"$2/log" 2>&1 & pid=$!; read -r _; kill -INT $pid; wait $pid; rm -rf "$2"`
	server := exec.Command("sh", "-c", script, "sh", bin, dir)
	server.Dir, server.SysProcAttr = dir, as
	pipe, err := server.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	return &runningPostgres{dir, pipe}, awaitPostgres(dir)
}

// postgresBin finds the newest PostgreSQL that is installed.
func postgresBin() (string, error) {
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(all) == 0 {
		return "", errors.Join(err, errors.New("PostgreSQL is not installed: make deps"))
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // what is no number is oldest
		return n
	}
	return slices.MaxFunc(all, func(a, b string) int { return version(a) - version(b) }), nil
}

// postgresUser gives the directory to somebody else when root runs the tests,
// as PostgreSQL refuses to be root.
func postgresUser(dir string) (*syscall.SysProcAttr, error) {
	as := &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the tests; they end it
	if os.Getuid() != 0 {
		return as, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
		return nil, err
	}
	as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return as, nil
}

func awaitPostgres(dir string) error {
	db, err := sql.Open("pgx", postgresAddress(dir, "postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(dir, "log")) // only to say more
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(log)))
		}
	}
}
