//go:build conformance && !goroutinereaders

package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// watcher is a client that keeps account of what it is told.
type watcher struct {
	*client

	mu      sync.Mutex
	events  []string       // data of the events named "n"
	added   map[string]int // user id to member_added
	removed map[string]int
	users   map[string]bool // who is there
	code    int             // with which the connection was closed; 0 = it is open, -1 = without one
}

// watch has the client's frames read from now on.
func watch(c *client) *watcher {
	w := &watcher{client: c, added: map[string]int{}, removed: map[string]int{}, users: map[string]bool{}}
	go w.run()
	return w
}

// watchPresence joins a presence channel and watches it.
func watchPresence(c *client, channel, user string) *watcher {
	c.t.Helper()
	r := c.subscribePresence(channel, memberData(user))
	w := watch(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range r.Presence.IDs {
		w.users[id] = true
	}
	return w
}

func memberData(user string) string { return fmt.Sprintf(`{"user_id":%q}`, user) }

func (w *watcher) run() {
	for f := range w.frames {
		w.note(f)
	}
	var closed websocket.CloseError
	w.mu.Lock()
	defer w.mu.Unlock()
	w.code = -1
	if errors.As(w.ended, &closed) {
		w.code = int(closed.Code)
	}
}

func (w *watcher) note(f frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var text string
	_ = json.Unmarshal(f.Data, &text)
	var who struct {
		ID string `json:"user_id"`
	}
	switch f.Event {
	case "n":
		w.events = append(w.events, text)
	case "pusher_internal:member_added":
		_ = json.Unmarshal([]byte(text), &who)
		w.added[who.ID]++
		w.users[who.ID] = true
	case "pusher_internal:member_removed":
		_ = json.Unmarshal([]byte(text), &who)
		w.removed[who.ID]++
		delete(w.users, who.ID)
	}
}

func (w *watcher) numbers() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	numbers := make([]int, len(w.events))
	for i, text := range w.events {
		numbers[i], _ = strconv.Atoi(text)
	}
	return numbers
}

func (w *watcher) told(of map[string]int) map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(of)
}

func (w *watcher) here() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.users))
}

func (w *watcher) closedWith() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.code
}

// within requires that something becomes true in time.
func within(t testing.TB, limit time.Duration, what string, true func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !true() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// once requires that each of the users was told of once, and nobody else.
func once(t testing.TB, what string, told map[string]int, users []string) {
	t.Helper()
	for _, user := range users {
		if told[user] != 1 {
			t.Errorf("%s of %s: %d times, want once", what, user, told[user])
		}
	}
	if len(told) != len(users) {
		t.Errorf("%s of %d users, want %d", what, len(told), len(users))
	}
}
