//go:build !goroutinereaders

package transport

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

// poller is an epoll set in which idle sockets wait without a goroutine. Each
// is armed for one event (EPOLLONESHOT), so that only one reader serves it, and
// armed again when it is parked again.
type poller struct {
	set    *os.File        // the epoll set, which the Go runtime waits for
	wait   syscall.RawConn // of set
	fd     int             // of set
	shards [pollShards]pollShard
}

// pollShards is how many locks the table of sessions has, so that readers rarely
// wait for each other.
const pollShards = 64

// pollShard is a part of the table: the descriptors that are its index, modulo
// pollShards.
type pollShard struct {
	mu       sync.Mutex
	closed   bool       // with the epoll set
	sessions []*session // by descriptor divided by pollShards; nil = none
	_        [24]byte   // one line of the processor's cache for each
}

// interest is what a parked socket waits for, once.
const interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT

// newPoller opens an epoll set. It does not block a thread: a set is readable
// while it has events, so the runtime waits for it as it waits for sockets.
func newPoller() (*poller, error) {
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
	return &poller{set: set, wait: wait, fd: fd}, nil
}

// close ends the readers that wait. Sockets in the set are not touched.
func (p *poller) close() {
	for i := range p.shards {
		shard := &p.shards[i]
		shard.mu.Lock()
		shard.closed = true
		shard.mu.Unlock()
	}
	_ = p.set.Close()
}

func (p *poller) shard(fd int) (*pollShard, int) {
	return &p.shards[fd%pollShards], fd / pollShards
}

// arm has the socket's next event reported. The caller holds the line's lock, so
// fd stays open; the shard's lock keeps the epoll set open.
func (p *poller) arm(fd int, s *session) error {
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
func (shard *pollShard) enter(at int, s *session) bool {
	if at >= len(shard.sessions) {
		shard.sessions = append(shard.sessions, make([]*session, at+1-len(shard.sessions))...)
	}
	if shard.sessions[at] == s {
		return false
	}
	shard.sessions[at] = s
	return true
}

// forget is for a descriptor that is about to be closed, which takes it out of
// the set.
func (p *poller) forget(fd int) {
	shard, at := p.shard(fd)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if at < len(shard.sessions) {
		shard.sessions[at] = nil
	}
}

// session returns whose the descriptor is; nil = nobody's.
func (p *poller) session(fd int) *session {
	shard, at := p.shard(fd)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if at >= len(shard.sessions) {
		return nil
	}
	return shard.sessions[at]
}

// turn is how long a reader goes on before it lets others go first.
const turn = time.Millisecond

// waiter is a reader's way to wait for events. It is made once for a reader: poll
// would be allocated anew for each call.
type waiter struct {
	poller *poller
	others *scheduling.Yielder
	since  time.Time // of the reader's turn
	events [pollBatch]unix.EpollEvent
	looks  int
	found  int
	failed error
	poll   func(set uintptr) bool
}

func (p *poller) newWaiter() *waiter {
	w := &waiter{poller: p, others: scheduling.NewYielder()}
	w.poll = func(set uintptr) bool {
		w.looks++
		w.found, w.failed = unix.EpollWait(int(set), w.events[:], 0)
		return w.found > 0 || w.failed != nil && !errors.Is(w.failed, unix.EINTR)
	}
	return w
}

func (w *waiter) close() { w.others.Close() }

// next waits for events and appends the sessions they are for. One may be wrong:
// the event was for a descriptor that has been closed and reused since then. It
// finds nothing to read, or what is its own.
func (w *waiter) next(batch []*session) ([]*session, error) {
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

// waiting appends the sessions that events are for.
func (p *poller) waiting(events []unix.EpollEvent, batch []*session) []*session {
	for _, event := range events {
		if s := p.session(int(event.Fd)); s != nil {
			batch = append(batch, s)
		}
	}
	return batch
}
