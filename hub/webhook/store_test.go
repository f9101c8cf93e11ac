package webhook_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/webhook"
	"channels/hub/webhook/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Store(t, func(t *testing.T) []storetest.Node {
		memory, store := hub.NewMemory(), webhook.NewMemory()
		memory.NoteOccurrences(store.Note, nil)
		t.Cleanup(memory.Close)
		return []storetest.Node{{Bus: memory, State: memory, Store: store}}
	})
}

func TestDisk(t *testing.T) {
	storetest.Store(t, func(t *testing.T) []storetest.Node {
		store, err := webhook.OpenDisk(t.TempDir(), slog.Default())
		if err != nil {
			t.Fatal(err)
		}
		memory := hub.NewMemory()
		memory.NoteOccurrences(store.Note, store.Written)
		t.Cleanup(func() {
			memory.Close()
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		return []storetest.Node{{Bus: memory, State: memory, Store: store}}
	})
}

// TestDiskRestarts: what was noted and recorded is there after a restart, and who was
// present is noted as gone.
func TestDiskRestarts(t *testing.T) {
	dir := t.TempDir()
	start := func() *webhook.Disk {
		d, err := webhook.OpenDisk(dir, slog.Default())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	end := func(d *webhook.Disk) {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	d := start()
	if _, err := webhook.OpenDisk(dir, slog.Default()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second server: %v", err)
	}
	note := func(kind hub.Hooks, channel, user string) {
		d.Note(hub.Occurrence{Kind: kind, Topic: hub.Topic{App: "1", Channel: channel}, User: user, At: time.Now()})
	}
	note(hub.HookOccupied, "presence-a", "")
	note(hub.HookMemberAdded, "presence-a", "ann")
	note(hub.HookMemberAdded, "presence-a", "bob")
	note(hub.HookMemberRemoved, "presence-a", "bob")
	note(hub.HookOccupied, "b", "")
	note(hub.HookVacated, "b", "")
	before, _ := d.Occurrences(t.Context(), "1", true)
	change := webhook.Change{
		Take: []hub.Parcel{{ID: "p", Record: []byte("1")}, {ID: "q", Record: []byte("2")}}, Remove: before[:4],
		Told: map[string][]string{before[4].ID: {"x"}}, GiveUp: []hub.Parcel{{ID: "g", Record: []byte("3")}},
	}
	if err := d.Commit(t.Context(), "1", change); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(t.Context(), "1", webhook.Change{Settle: []string{"p"}}); err != nil {
		t.Fatal(err)
	}
	end(d)
	d = start()
	var got []string
	after, _ := d.Occurrences(t.Context(), "1", true)
	for _, o := range after {
		got = append(got, fmt.Sprintf("%d %s %s %v", o.Kind, o.Topic.Channel, o.User, o.Broken))
	}
	want := []string{
		fmt.Sprintf("%d b  false", hub.HookOccupied), fmt.Sprintf("%d b  false", hub.HookVacated),
		fmt.Sprintf("%d presence-a ann true", hub.HookMemberRemoved), fmt.Sprintf("%d presence-a  true", hub.HookVacated),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	kept, told, _ := d.Parcels(t.Context(), "1")
	failed, _ := d.Failed(t.Context(), "1")
	if len(kept) != 1 || kept[0].ID != "q" || len(told) != 1 || len(failed) != 1 || string(failed[0].Record) != "3" {
		t.Errorf("deliveries %v, told %v, given up %v", kept, told, failed)
	}
	end(d)
	d = start()
	if again, _ := d.Occurrences(t.Context(), "1", true); len(again) != len(after) {
		t.Errorf("%d occurrences after another restart, want %d: who was gone is gone once", len(again), len(after))
	}
	end(d)
}

func BenchmarkTransitions(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		memory, store := hub.NewMemory(), webhook.NewMemory()
		memory.NoteOccurrences(store.Note, nil)
		defer memory.Close()
		storetest.Transitions(b, storetest.Node{Bus: memory, State: memory, Store: store})
	})
	b.Run("disk", func(b *testing.B) {
		store, err := webhook.OpenDisk(b.TempDir(), slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		memory := hub.NewMemory()
		memory.NoteOccurrences(store.Note, store.Written)
		storetest.Transitions(b, storetest.Node{Bus: memory, State: memory, Store: store})
		memory.Close()
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
}
