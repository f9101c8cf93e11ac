//go:build unix

package transport

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"

	"channels/hub/scheduling"
)

// rawDescriptor returns the descriptor of a TCP connection, -1 for anything
// else. It is valid until the connection is closed.
func rawDescriptor(conn net.Conn) int {
	tcp := tcpConn(conn)
	if tcp == nil {
		return -1
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1
	}
	fd := -1
	if raw.Control(func(d uintptr) { fd = int(d) }) != nil {
		return -1
	}
	return fd
}

// rawWrite makes one attempt to write p to a socket that does not block, and
// returns how much the kernel took. This is a third cheaper than to go through
// net.Conn, whose deadlines and wake-ups one attempt does not need.
func rawWrite(fd int, p []byte) (int, error) {
	for {
		n, err := scheduling.SendNow(fd, p)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		default:
			return 0, err
		}
	}
}

// rawRead makes one attempt to read. At the end of the stream it returns 0.
func rawRead(fd int, p []byte) (int, error) {
	for {
		n, err := scheduling.ReceiveNow(fd, p)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, errWouldBlock
		default:
			return 0, err
		}
	}
}

// rawShutdown ends the writing side, or both. An error means that it has ended.
func rawShutdown(fd int, both bool) {
	how := unix.SHUT_WR
	if both {
		how = unix.SHUT_RDWR
	}
	_ = unix.Shutdown(fd, how)
}
