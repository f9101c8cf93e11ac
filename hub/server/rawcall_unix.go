//go:build unix && !linux

package server

import "golang.org/x/sys/unix"

// sendNow writes what the kernel takes.
func sendNow(fd int, p []byte) (int, error) { return unix.Write(fd, p) }

// receiveNow reads what is there.
func receiveNow(fd int, p []byte) (int, error) { return unix.Read(fd, p) }
