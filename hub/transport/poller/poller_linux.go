//go:build !goroutinereaders

package poller

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"channels/hub/scheduling"
)

// Set is an epoll set in which idle sockets wait without a goroutine. Each
// is armed for one event (EPOLLONESHOT), so that only one reader serves it, and
// armed again when it is parked again.
type Set struct {
	set    *os.File        // the epoll set, which the Go runtime waits for
	wait   syscall.RawConn // of set
	fd     int             // of set
	shards [shardCount]shard
}

// shardCount is how many locks the table of who waits has, so that readers rarely
// wait for each other.
const shardCount = 64

// shard is a part of the table: the descriptors that are its index, modulo
// shardCount.
type shard struct {
	mu     sync.Mutex
	closed bool     // with the epoll set
	parked []Parked // by descriptor divided by shardCount; nil = none
	_      [24]byte // one line of the processor's cache for each
}

// interest is what a parked socket waits for, once.
const interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT

// NewSet opens an epoll set. It does not block a thread: a set is readable
// while it has events, so the runtime waits for it as it waits for sockets.
func NewSet() (*Set, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll set: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll set: %w", err)
	}
	set := os.NewFile(uintptr(fd), "epoll")
	wait, err := set.SyscallConn()
	if err != nil {
		_ = set.Close()
		return nil, fmt.Errorf("epoll set: %w", err)
	}
	return &Set{set: set, wait: wait, fd: fd}, nil
}

// Close ends the readers that wait. Sockets in the set are not touched.
func (p *Set) Close() {
	for i := range p.shards {
		shard := &p.shards[i]
		shard.mu.Lock()
		shard.closed = true
		shard.mu.Unlock()
	}
	_ = p.set.Close()
}

func (p *Set) shard(fd int) (*shard, int) {
	return &p.shards[fd%shardCount], fd / shardCount
}

// Arm has the socket's next event reported. The caller holds the lock under which
// fd is closed, so it stays open; the shard's lock keeps the epoll set open.
func (p *Set) Arm(fd int, s Parked) error {
	shard, at := p.shard(fd)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.closed {
		return os.ErrClosed
	}
	op := unix.EPOLL_CTL_MOD
	if shard.enter(at, s) {
		op = unix.EPOLL_CTL_ADD
	}
	event := unix.EpollEvent{Events: interest, Fd: int32(fd)}
	return unix.EpollCtl(p.fd, op, fd, &event)
}

// enter notes whose the descriptor is, and says whether that is new.
func (shard *shard) enter(at int, s Parked) bool {
	if at >= len(shard.parked) {
		shard.parked = append(shard.parked, make([]Parked, at+1-len(shard.parked))...)
	}
	if shard.parked[at] == s {
		return false
	}
	shard.parked[at] = s
	return true
}

// Forget is for a descriptor that is about to be closed, which takes it out of
// the set.
func (p *Set) Forget(fd int) {
	shard, at := p.shard(fd)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if at < len(shard.parked) {
		shard.parked[at] = nil
	}
}

// whose returns whose the descriptor is; nil = nobody's.
func (p *Set) whose(fd int) Parked {
	shard, at := p.shard(fd)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if at >= len(shard.parked) {
		return nil
	}
	return shard.parked[at]
}

// turn is how long a reader goes on before it lets others go first.
const turn = time.Millisecond

// Waiter is a reader's way to wait for events. It is made once for a reader: poll
// would be allocated anew for each call.
type Waiter struct {
	poller *Set
	others *scheduling.Yielder
	since  time.Time // of the reader's turn
	events [pollBatch]unix.EpollEvent
	looks  int
	found  int
	failed error
	poll   func(set uintptr) bool
}

// NewWaiter returns a waiter for one goroutine.
func (p *Set) NewWaiter() *Waiter {
	w := &Waiter{poller: p, others: scheduling.NewYielder()}
	w.poll = func(set uintptr) bool {
		w.looks++
		w.found, w.failed = unix.EpollWait(int(set), w.events[:], 0)
		return w.found > 0 || w.failed != nil && !errors.Is(w.failed, unix.EINTR)
	}
	return w
}

// Close releases what the waiter holds beside the set.
func (w *Waiter) Close() { w.others.Close() }

// Next waits for events and appends those they are for. One may be wrong:
// the event was for a descriptor that has been closed and reused since then. It
// finds nothing to read, or what is its own.
func (w *Waiter) Next(batch []Parked) ([]Parked, error) {
	if time.Since(w.since) > turn {
		if err := w.others.Yield(); err != nil {
			return nil, err
		}
		w.since = time.Now()
	}
	w.looks = 0
	err := w.poller.wait.Read(w.poll)
	if err == nil {
		err = w.failed
	}
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if w.looks > 1 { // it had to wait
		w.since = time.Now()
	}
	return w.poller.waiting(w.events[:w.found], batch), nil
}

// waiting appends those that events are for.
func (p *Set) waiting(events []unix.EpollEvent, batch []Parked) []Parked {
	for _, event := range events {
		if s := p.whose(int(event.Fd)); s != nil {
			batch = append(batch, s)
		}
	}
	return batch
}
