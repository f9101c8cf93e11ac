package chatapp

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestDatabaseStopsAndReturns stops the database under a chat that is being used: what is
// answered 201 is stored, everything else is 503, and when it is back live events
// go on over the same sockets.
func TestDatabaseStopsAndReturns(t *testing.T) {
	t.Parallel()
	db := ownPostgres(t)
	store := openStore(t, StoreConfig{URL: postgresAddress(db.dir, "postgres")})
	r := startRealtime(t, buildRealtime(t))
	s, _ := runSite(t, store, r.config())
	ada, bob := s.user(t, "Ada"), s.user(t, "Bob")
	ear := r.dial(t).signIn(bob).subscribe(bob, bob.channel(generalRoom))
	ada.say(generalRoom, "before")
	ear.wantTexts("before")

	waitUntilPublished(t, store) // or the first event would come again
	db.stop(t)
	for i := range 3 {
		body := map[string]string{"clientId": fmt.Sprint("lost-", i), "text": "lost"}
		ada.want(http.MethodPost, "/api/rooms/general/messages", body, http.StatusServiceUnavailable, "store_unavailable")
	}
	ada.want(http.MethodGet, "/api/me", nil, http.StatusServiceUnavailable, "store_unavailable")

	db.start(t)
	ada.say(generalRoom, "after")
	ear.wantTexts("after")
	page := ada.want(http.MethodGet, "/api/rooms/general/messages", nil, http.StatusOK, "")
	if n := len(page.at("messages").([]any)); n != 2 {
		t.Errorf("%d messages are stored, want 2: what was answered 503 must not be", n)
	}
}

// stoppable is a PostgreSQL that a test stops and starts.
type stoppable struct {
	dir     string
	bin     string
	as      *syscall.SysProcAttr
	process *exec.Cmd
}

func ownPostgres(t testing.TB) *stoppable {
	t.Helper()
	bin, err := postgresBin()
	if err != nil {
		t.Fatal(err)
	}
	// Not below the test's own directory, which others may not enter.
	dir, err := os.MkdirTemp("", "chatpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // of no consequence
	as, err := postgresUser(dir)
	if err != nil {
		t.Fatal(err)
	}
	db := &stoppable{dir: dir, bin: bin, as: as}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(db.dir, "data"), "-U", "chat", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = db.dir, db.as
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	db.start(t)
	t.Cleanup(func() {
		_ = db.process.Process.Signal(syscall.SIGQUIT) // it may have ended
		_ = db.process.Wait()
	})
	return db
}

func (db *stoppable) start(t testing.TB) {
	t.Helper()
	db.process = exec.Command(filepath.Join(db.bin, "postgres"), "-D", filepath.Join(db.dir, "data"), "-k", db.dir,
		"-c", "listen_addresses=", "-c", "fsync=off")
	db.process.Dir, db.process.SysProcAttr = db.dir, db.as
	db.process.Stderr = io.Discard
	if err := db.process.Start(); err != nil {
		t.Fatal(err)
	}
	if err := awaitPostgres(db.dir); err != nil {
		t.Fatal(err)
	}
}

// stop ends it at once, with all its connections.
func (db *stoppable) stop(t testing.TB) {
	t.Helper()
	if err := db.process.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = db.process.Wait() // it was told to
}
