package webhook

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"channels/hub"
	"channels/hub/testlog"
)

func within(t *testing.T, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !true(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestDiskFull: where there is no room on disk, nobody waits for it, and what occurs is told
// from memory; it is written once there is room again.
func TestDiskFull(t *testing.T) {
	dir, log := t.TempDir(), new(testlog.Buffer)
	d, err := openDisk(dir, slog.New(slog.NewTextHandler(log, nil)), bbolt.Options{Timeout: time.Second, MaxSize: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	data := []byte(`"` + strings.Repeat("x", 10_000) + `"`)
	for range 100 {
		d.Note(hub.Occurrence{Kind: hub.HookClientEvent, Topic: hub.Topic{App: "1", Channel: "private-a"}, At: time.Now(), Data: data})
	}
	answered := make(chan struct{})
	d.Written(func() { close(answered) })
	select {
	case <-answered:
	case <-time.After(10 * time.Second):
		t.Fatal("somebody waits for the disk")
	}
	within(t, "it is logged", func() bool { return strings.Contains(log.String(), "cannot be written to disk") })
	all, err := d.Occurrences(t.Context(), "1", true)
	if err != nil || len(all) != 100 {
		t.Fatalf("%d occurrences, %v", len(all), err)
	}
	began := time.Now()
	if err := d.Commit(t.Context(), "1", Change{Remove: all[:99]}); err != nil {
		t.Fatal(err)
	}
	if wait := time.Since(began); wait > 2*writePatience {
		t.Errorf("a commit has waited for %v", wait)
	}
	if err := d.db.Update(func(*bbolt.Tx) error {
		d.db.MaxSize = 0 // somebody has made room
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	within(t, "it is written", func() bool { return strings.Contains(log.String(), "written to disk again") })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err = OpenDisk(dir, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if left, _ := d.Occurrences(t.Context(), "1", true); len(left) != 1 || left[0].ID != all[99].ID {
		t.Errorf("after a restart: %d occurrences", len(left))
	}
}
