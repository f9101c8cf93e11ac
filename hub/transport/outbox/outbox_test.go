package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
)

// client is a sink whose kernel has room for so many bytes. With seal it holds
// what it has taken until there is room, as TLS does.
type client struct {
	got    bytes.Buffer
	writes int
	room   int
	seal   bool
	held   []byte
	err    error
}

func (c *client) Write(p []byte) (taken, sent int, err error) {
	if c.err != nil {
		return 0, 0, c.err
	}
	c.writes++
	if !c.seal {
		n := c.accept(p)
		return n, n, nil
	}
	for {
		n := c.accept(c.held)
		c.held, sent = c.held[n:], sent+n
		if len(c.held) > 0 || taken == len(p) {
			return taken, sent, nil
		}
		chunk := p[taken:min(len(p), taken+ChunkSize)]
		c.held, taken = append(c.held, chunk...), taken+len(chunk)
	}
}

func (c *client) accept(p []byte) int {
	n := min(len(p), c.room)
	c.room -= n
	c.got.Write(p[:n])
	return n
}

func (c *client) Pending() int { return len(c.held) }

func newOutbox(bound int, node int64) *Outbox {
	return &Outbox{limits: &Limits{PerConn: bound, Node: hub.NewQueueBudget(node)}}
}

// check holds what is counted against what is there.
func (o *Outbox) check(t *testing.T) {
	t.Helper()
	want := 0
	if q := o.queue; q != nil {
		want = q.held
		if len(q.begun) > 0 {
			want += len(q.begun) + perFrame
		}
		for _, frame := range q.frames {
			want += len(frame) + perFrame
		}
		if q.cost != want {
			t.Fatalf("cost %d, want %d", q.cost, want)
		}
	}
	if used := o.limits.Node.Used(); used != int64(want) {
		t.Fatalf("%d bytes of the node's, want %d", used, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sinks are clients whose kernel has room for so much.
func sinks(room int) map[string]*client {
	return map[string]*client{"plain": {room: room}, "sealed": {room: room, seal: true}}
}

func TestGreetingGoesOutWithTheFirstFrame(t *testing.T) {
	for name, c := range sinks(1000) {
		t.Run(name, func(t *testing.T) {
			o := newOutbox(100, 1000)
			o.Greet([]byte("greeting "))
			if c.got.Len() > 0 || o.StartFlusher() || o.Stalled(time.Now()) != 0 || o.Backlog(time.Now()) != hub.Clear {
				t.Error("a greeting without a frame counts as waiting")
			}
			must(t, o.Send([][]byte{[]byte("first")}, c))
			if got := c.got.String(); got != "greeting first" || c.writes != 1 {
				t.Errorf("got %q in %d writes, want all in one", got, c.writes)
			}
			o.check(t)
		})
	}
}

// TestGreetingComesFirst has a connection closed before, or while, the greeting
// goes out.
func TestGreetingComesFirst(t *testing.T) {
	for room := range 30 {
		for _, before := range [][][]byte{nil, {[]byte("frame "), []byte("second ")}} {
			for name, c := range sinks(room) {
				o := newOutbox(100, 1000)
				o.Greet([]byte("greeting "))
				if before != nil {
					must(t, o.Send(before, c))
				}
				must(t, o.Close([][]byte{[]byte("last")}, c))
				must(t, o.Send([][]byte{[]byte("too late")}, c))
				o.check(t)
				c.room = 1000
				must(t, o.Advance(c))
				switch got := c.got.String(); got {
				case "greeting last", "greeting frame last", "greeting frame second last":
				default:
					t.Errorf("%s, room for %d: got %q", name, room, got)
				}
				o.check(t)
				if o.queue != nil {
					t.Error("something waits still")
				}
			}
		}
	}
}

// TestEverythingArrivesInOrder sends frames of many sizes to a client whose
// kernel has room for random amounts.
func TestEverythingArrivesInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, c := range sinks(0) {
		t.Run(name, func(t *testing.T) {
			o := newOutbox(1<<10, 1<<20)
			var want bytes.Buffer
			for i := range 2000 {
				var frames [][]byte
				for range random.IntN(4) {
					size := random.IntN(30)
					if random.IntN(50) == 0 {
						size = random.IntN(3 * ChunkSize)
					}
					frame := []byte(fmt.Sprint("<", i, strings.Repeat("x", size), ">"))
					want.Write(frame)
					frames = append(frames, frame)
				}
				if len(frames) > 0 {
					must(t, o.Send(frames, c))
				}
				o.check(t)
				c.room += random.IntN(3000)
				if random.IntN(3) == 0 {
					must(t, o.Advance(c))
					o.check(t)
				}
			}
			c.room = want.Len()
			must(t, o.Advance(c))
			o.check(t)
			if o.queue != nil || !bytes.Equal(c.got.Bytes(), want.Bytes()) {
				t.Errorf("%d bytes arrived as they were sent: %t; something waits: %t", c.got.Len(), bytes.Equal(c.got.Bytes(), want.Bytes()), o.queue != nil)
			}
		})
	}
}

func TestCloseDropsWhatHasNotBegun(t *testing.T) {
	c := &client{room: 3}
	o := newOutbox(100, 1000)
	must(t, o.Send([][]byte{[]byte("begun "), []byte("waits ")}, c))
	must(t, o.Close([][]byte{[]byte("last")}, c))
	o.check(t)
	c.room = 100
	must(t, o.Advance(c))
	if got := c.got.String(); got != "begun last" {
		t.Errorf("got %q", got)
	}
	o.check(t)
}

func TestBrokenOutboxHoldsNothing(t *testing.T) {
	for name, c := range sinks(3) {
		o := newOutbox(100, 1000)
		must(t, o.Send([][]byte{[]byte("begun "), []byte("waits ")}, c))
		c.err = errors.New("reset by peer")
		if err := o.Advance(c); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		o.Release()
		must(t, o.Send([][]byte{[]byte("too late")}, c))
		must(t, o.Close([][]byte{[]byte("too late")}, c))
		must(t, o.SendPongs([]byte("too late"), 0, c))
		o.check(t)
	}
}

// TestBacklog walks through the judgements on one client.
func TestBacklog(t *testing.T) {
	for name, c := range sinks(0) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutbox(1000, 1<<30)
				expect := func(when string, want hub.Backlog) {
					t.Helper()
					if got := o.Backlog(time.Now()); got != want {
						t.Errorf("%s: %d, want %d", when, got, want)
					}
				}
				expect("nothing waits", hub.Clear)
				must(t, o.Send([][]byte{make([]byte, 6<<20)}, c))
				time.Sleep(time.Minute)
				expect("a frame of any size is accepted by an empty queue", hub.Clear)
				if got := o.Stalled(time.Now()); got != time.Minute {
					t.Errorf("stalled for %v, want a minute", got)
				}
				must(t, o.Send([][]byte{make([]byte, 800)}, c))
				expect("within the bound", hub.Clear)
				must(t, o.Send([][]byte{make([]byte, 200)}, c))
				expect("over it, without progress for long", hub.Stuck)
				c.room = 1
				must(t, o.Advance(c))
				expect("after progress", hub.Full)
				time.Sleep(stuckAfter - 1)
				expect("nearly as long later", hub.Full)
				time.Sleep(time.Nanosecond)
				expect("as long later", hub.Stuck)
				c.room = 7 << 20
				must(t, o.Advance(c))
				expect("when all has been read", hub.Clear)
				if o.Stalled(time.Now()) != 0 {
					t.Error("stalled, with nothing that waits")
				}
			})
		})
	}
}

// TestFramesCountWithTheirPlace: many small frames are over the bound by what
// their places in the queue take.
func TestFramesCountWithTheirPlace(t *testing.T) {
	c := &client{}
	o := newOutbox(1000, 1<<20)
	const behind = 40 // that is 1,000 bytes
	for range 1 + behind {
		must(t, o.Send([][]byte{{1}}, c))
	}
	if o.Backlog(time.Now()) != hub.Clear {
		t.Errorf("over the bound with %d frames of 25 bytes behind the first", behind)
	}
	must(t, o.Send([][]byte{{1}}, c))
	if o.Backlog(time.Now()) != hub.Full {
		t.Error("within the bound with one more")
	}
}

// TestNodesBudget: over the node's bound every client counts for whom something
// waits, and no other.
func TestNodesBudget(t *testing.T) {
	shared := &Limits{PerConn: 1 << 20, Node: hub.NewQueueBudget(1000)}
	waits, reads := &Outbox{limits: shared}, &Outbox{limits: shared}
	must(t, waits.Send([][]byte{make([]byte, 2000)}, &client{}))
	must(t, reads.Send([][]byte{make([]byte, 2000)}, &client{room: 2000}))
	if waits.Backlog(time.Now()) != hub.Full || reads.Backlog(time.Now()) != hub.Clear {
		t.Errorf("%d and %d, want full and clear", waits.Backlog(time.Now()), reads.Backlog(time.Now()))
	}
}

// TestPongsDoNotFillTheQueue has a client send pings and read nothing.
func TestPongsDoNotFillTheQueue(t *testing.T) {
	for name, c := range sinks(0) {
		o := newOutbox(1000, 1<<20)
		must(t, o.Send([][]byte{[]byte("frame ")}, c))
		for i := range 100_000 {
			must(t, o.SendPongs(fmt.Appendf(nil, "pong a%d pong b%d ", i, i), len(fmt.Sprint("pong a ", i)), c))
		}
		o.check(t)
		if o.queue.cost > 2000 {
			t.Errorf("%s: %d bytes wait", name, o.queue.cost)
		}
		c.room = 1 << 20
		must(t, o.Advance(c))
		got := c.got.String()
		if !strings.HasPrefix(got, "frame pong a0 pong b0 pong a1 ") || !strings.HasSuffix(got, " pong b99999 ") || strings.Contains(got, "a99999") {
			t.Errorf("%s: got %.40s … %s", name, got, got[len(got)-40:])
		}
		o.check(t)
	}
}

// TestOneFlusher: a flusher is asked for once, until it has ended.
func TestOneFlusher(t *testing.T) {
	c := &client{}
	o := newOutbox(1000, 1<<20)
	if o.StartFlusher() {
		t.Error("wanted with nothing that waits")
	}
	for i := range 3 {
		must(t, o.Send([][]byte{[]byte("frame")}, c))
		if o.StartFlusher() != (i == 0) {
			t.Errorf("frame %d: a flusher is wanted: %t", i, i != 0)
		}
	}
	if o.EndFlusher() {
		t.Error("ended while something waits")
	}
	c.room = 100
	must(t, o.Advance(c))
	if !o.EndFlusher() {
		t.Error("not ended with nothing that waits")
	}
	c.room = 0
	must(t, o.Send([][]byte{[]byte("frame")}, c))
	if !o.StartFlusher() {
		t.Error("not wanted again")
	}
}

// TestSmallFramesShareAWrite: so many as a chunk holds.
func TestSmallFramesShareAWrite(t *testing.T) {
	for name, c := range sinks(1 << 20) {
		o := newOutbox(1000, 1<<20)
		must(t, o.Send(slices.Repeat([][]byte{make([]byte, 160)}, 100), c)) // 16,000 bytes
		if c.writes != 1 || c.got.Len() != 16_000 {
			t.Errorf("%s: %d bytes in %d writes, want one", name, c.got.Len(), c.writes)
		}
	}
}
