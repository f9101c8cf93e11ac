//go:build unix && !linux

package scheduling

import "golang.org/x/sys/unix"

// SendNow writes what the kernel accepts at once. The socket does not block.
func SendNow(fd int, p []byte) (int, error) { return unix.Write(fd, p) }

// ReceiveNow reads what is there. The socket does not block.
func ReceiveNow(fd int, p []byte) (int, error) { return unix.Read(fd, p) }
