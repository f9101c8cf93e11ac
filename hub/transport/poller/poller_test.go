//go:build linux && !goroutinereaders

package poller

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// waiting is a parked end of a socket pair.
type waiting struct {
	set    *Set
	fd     int
	far    int // the other end
	mu     sync.Mutex
	parked bool
	served chan int // bytes of each turn
}

func newWaiting(t *testing.T, set *Set) *waiting {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &waiting{set: set, fd: fds[0], far: fds[1], served: make(chan int, 1)}
	t.Cleanup(func() { _ = unix.Close(w.far) })
	w.park(t)
	return w
}

func (w *waiting) park(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.set.Arm(w.fd, w); err != nil {
		t.Error(err)
	}
	w.parked = true
}

func (w *waiting) Claim() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.parked
	w.parked = false
	return was
}

func (w *waiting) Serve(buf []byte) {
	n, _ := unix.Read(w.fd, buf)
	defer func() { w.served <- n }()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set.Arm(w.fd, w) == nil {
		w.parked = true
	}
}

func newTestSet(t *testing.T) (*Set, *Waiter) {
	t.Helper()
	set, err := NewSet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	w := set.NewWaiter()
	t.Cleanup(w.Close)
	return set, w
}

// TestOneEventForEachArm: an armed socket is reported once, and again when it is
// armed again, if something is there still.
func TestOneEventForEachArm(t *testing.T) {
	set, waiter := newTestSet(t)
	a, b := newWaiting(t, set), newWaiting(t, set)
	expect := func(when string, want Parked) {
		t.Helper()
		batch, err := waiter.Next(nil)
		if err != nil || len(batch) != 1 || batch[0] != want {
			t.Fatalf("%s: %v, %v", when, batch, err)
		}
	}
	_, _ = unix.Write(a.far, []byte("x"))
	expect("a has something to read", a)
	_, _ = unix.Write(a.far, []byte("x"))
	_, _ = unix.Write(b.far, []byte("x"))
	expect("b too, and a is not armed", b)
	a.park(t)
	expect("a is armed again, with what is there", a)
}

// TestForgottenDescriptor: an event that was under way when a descriptor was closed
// finds nobody, or who has the number now.
func TestForgottenDescriptor(t *testing.T) {
	set, waiter := newTestSet(t)
	w := newWaiting(t, set)
	_, _ = unix.Write(w.far, []byte("x"))
	if _, err := waiter.Next(nil); err != nil {
		t.Fatal(err)
	}
	late := waiter.events[:waiter.found]
	set.Forget(w.fd)
	if batch := set.waiting(late, nil); len(batch) != 0 {
		t.Errorf("known still: %v", batch)
	}
	_ = unix.Close(w.fd)
	next := newWaiting(t, set)
	if next.fd != w.fd {
		t.Fatalf("descriptor %d, want %d again", next.fd, w.fd)
	}
	if batch := set.waiting(late, nil); len(batch) != 1 || batch[0] != Parked(next) {
		t.Errorf("got %v, want the new one", batch)
	}
	set.Forget(1 << 20) // never seen
}

// TestReadersServe has many sockets served by readers, in parallel, until they are
// closed.
func TestReadersServe(t *testing.T) {
	var r Readers
	set := r.Get()
	if set == nil || r.Get() != set {
		t.Fatal("want one set")
	}
	const sockets, rounds = 200, 50
	var all sync.WaitGroup
	for range sockets {
		w := newWaiting(t, set)
		all.Go(func() {
			for range rounds {
				_, _ = unix.Write(w.far, []byte("x"))
				if n := <-w.served; n != 1 {
					t.Errorf("%d bytes, want 1", n)
				}
			}
			set.Forget(w.fd)
			_ = unix.Close(w.fd)
		})
	}
	all.Wait()
	r.Close()
	if r.Get() != nil {
		t.Error("a set after closing")
	}
	if err := set.Arm(0, nil); err == nil {
		t.Error("armed in a closed set")
	}
}

func TestReadersOff(t *testing.T) {
	r := Readers{Off: true}
	if r.Get() != nil {
		t.Error("a set, though readers are off")
	}
	r.Close()
}
