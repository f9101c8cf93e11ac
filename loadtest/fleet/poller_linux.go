package fleet

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller reads the descriptors of a loop. One goroutine serves them all: a
// goroutine a connection would cost more than the server's side of a delivery.
// It waits in Go's own poller for its epoll set to have something, so that it
// blocks no thread.
type poller struct {
	loop  *loop
	file  *os.File // the epoll set
	fd    int      // its descriptor
	raw   syscall.RawConn
	byFD  []*socket
	space []byte
}

// batch is how many descriptors are asked for at once.
const batch = 128

// spaceSize is how much is read at once.
const spaceSize = 64 << 10

func (p *poller) open(l *loop) error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	p.loop, p.fd, p.file, p.space = l, fd, os.NewFile(uintptr(fd), "epoll"), make([]byte, spaceSize)
	p.raw, err = p.file.SyscallConn()
	if err != nil {
		return errors.Join(err, p.file.Close())
	}
	l.fleet.readers.Go(p.run)
	return nil
}

// run serves until the set is closed.
func (p *poller) run() {
	events := make([]unix.EpollEvent, batch)
	_ = p.raw.Read(func(fd uintptr) bool { // its error tells of the close
		for {
			n, err := unix.EpollWait(int(fd), events, 0)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return true
			}
			if n <= 0 {
				return false
			}
			for _, e := range events[:n] {
				p.readable(int(e.Fd))
			}
			runtime.Gosched() // publishers of this process must not wait for long
		}
	})
}

// readable reads once from a descriptor; if more is there, the set says so again.
func (p *poller) readable(fd int) {
	l := p.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if fd >= len(p.byFD) || p.byFD[fd] == nil {
		return
	}
	s := p.byFD[fd]
	for len(s.rest) > len(p.space)/2 { // a frame larger than the space
		p.space = make([]byte, 2*len(p.space))
	}
	held := copy(p.space, s.rest)
	n, err := unix.Read(fd, p.space[held:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil:
		l.lost(s, err)
		return
	case n <= 0:
		l.lost(s, io.EOF)
		return
	}
	data := p.space[:held+n]
	taken, err := l.feed(s, data, l.fleet.clock.Now())
	if err != nil {
		l.lost(s, err)
		return
	}
	s.rest = append(s.rest[:0], data[taken:]...)
}

// add begins to read a socket. A plain connection's descriptor is taken from Go,
// which would wake for it as well; over TLS a goroutine reads.
func (p *poller) add(s *socket) error {
	tcp, ok := s.conn.(*net.TCPConn)
	if !ok {
		p.loop.fleet.readers.Go(func() { p.loop.pull(s) })
		return nil
	}
	fd, err := duplicate(tcp)
	if err != nil {
		return err
	}
	s.conn, s.fd = nil, fd
	for fd >= len(p.byFD) {
		p.byFD = append(p.byFD, make([]*socket, max(fd+1-len(p.byFD), len(p.byFD)))...)
	}
	p.byFD[fd] = s
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd,
		&unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)})
}

// duplicate takes a connection's descriptor and closes the original.
func duplicate(tcp *net.TCPConn) (fd int, err error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	err = raw.Control(func(original uintptr) {
		fd, failed = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, failed); err != nil {
		return -1, err
	}
	return fd, tcp.Close()
}

// remove closes a socket's descriptor, which leaves the set by that.
func (p *poller) remove(s *socket) {
	if s.conn != nil {
		_ = s.conn.Close() // it may be closed already
		return
	}
	p.byFD[s.fd] = nil
	_ = unix.Close(s.fd) // nothing is left to be lost
	s.fd = -1
}

func (p *poller) close() {
	if p.file != nil {
		_ = p.file.Close() // ends run
	}
}

// write sends a small frame. What the kernel does not take is lost, and with it
// the connection, as the server will find.
func (s *socket) write(frame []byte) {
	if s.conn != nil {
		_, _ = s.conn.Write(frame)
		return
	}
	_, _ = unix.Write(s.fd, frame)
}
