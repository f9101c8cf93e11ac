// Package contract holds the tests that every hub.Bus and hub.State must pass: while
// all is well (Bus, State, Hub), and when the backend fails (Failures). It is
// imported by tests only.
package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// Node is one node's view of a backend.
type Node struct {
	Bus   hub.Bus
	State hub.State
}

// Open starts a backend, empty, and returns its nodes: one or more. What it
// started it ends with t.Cleanup.
type Open func(t *testing.T) []Node

// patience is how long an answer may take before a test fails.
const patience = 5 * time.Second

// app is the app whose channels the tests use.
const app = "1"

func topic(name string) hub.Topic { return hub.Topic{App: app, Channel: name} }

// recorder is a Receiver that keeps what it is given.
type recorder struct {
	mu       sync.Mutex
	messages []hub.Message
	lost     bool
	more     chan struct{}
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{}, 1)} }

// Receive implements hub.Receiver.
func (r *recorder) Receive(m hub.Message) {
	r.mu.Lock()
	r.messages = append(r.messages, m)
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// Lost implements hub.Receiver.
func (r *recorder) Lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = true
}

// isLost says whether the recorder was told that it may have missed something.
func (r *recorder) isLost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

func (r *recorder) all() []hub.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// wait returns the messages once there are n of them.
func (r *recorder) wait(t testing.TB, n int) []hub.Message {
	t.Helper()
	deadline := time.After(patience)
	for {
		if got := r.all(); len(got) >= n {
			return got
		}
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("got %d messages, want %d", len(r.all()), n)
		}
	}
}

// follow has a new recorder follow the topic, confirmed.
func follow(t testing.TB, n Node, to hub.Topic) *recorder {
	t.Helper()
	r := newRecorder()
	done := make(chan error, 1)
	n.Bus.Follow(to, r, func(err error) { done <- err })
	if err := await(t, done); err != nil {
		t.Fatalf("follow %v: %v", to, err)
	}
	return r
}

// publish sends one event and waits until the bus has it.
func publish(t testing.TB, n Node, m hub.Message) {
	t.Helper()
	done := make(chan error, 1)
	n.Bus.Publish(m, func(err error) { done <- err })
	if err := await(t, done); err != nil {
		t.Fatalf("publish on %v: %v", m.Topic, err)
	}
}

// event is a message whose frame says who it is.
func event(to hub.Topic, text string) hub.Message {
	return hub.Message{Topic: to, Frame: protocol.EventFrame(text, to.Channel, []byte(`"{}"`), "")}
}

// name returns what event put into the message.
func name(t testing.TB, frame []byte) string {
	t.Helper()
	e, err := protocol.ParseEvent(protocol.PayloadOf(frame))
	if err != nil {
		t.Fatalf("frame %q: %v", frame, err)
	}
	return e.Event
}

// fence publishes a last event and waits for it, so that whatever was going to
// arrive before has arrived; it returns what came before it.
func fence(t testing.TB, n Node, r *recorder, to hub.Topic) []hub.Message {
	t.Helper()
	publish(t, n, event(to, "fence"))
	deadline := time.After(patience)
	for {
		got := r.all()
		if len(got) > 0 && name(t, got[len(got)-1].Frame) == "fence" {
			return got[:len(got)-1]
		}
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("the fence on %v has not arrived", to)
		}
	}
}

func await[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("no answer in time")
		panic("unreachable")
	}
}

// names lists what the messages are, in their order.
func names(t testing.TB, messages []hub.Message) []string {
	t.Helper()
	list := make([]string, len(messages))
	for i, m := range messages {
		list[i] = name(t, m.Frame)
	}
	return list
}

func last(nodes []Node) Node { return nodes[len(nodes)-1] }

func numbered(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i) }

// cutNumber takes apart what numbered has made.
func cutNumber(text string) (prefix string, i int) {
	at := strings.LastIndexByte(text, '-')
	i, _ = strconv.Atoi(text[at+1:])
	return text[:max(at, 0)], i
}
