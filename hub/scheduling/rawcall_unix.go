//go:build unix && !linux

package scheduling

import "golang.org/x/sys/unix"

// SendNow writes what the kernel takes.
func SendNow(fd int, p []byte) (int, error) { return unix.Write(fd, p) }

// ReceiveNow reads what is there.
func ReceiveNow(fd int, p []byte) (int, error) { return unix.Read(fd, p) }
