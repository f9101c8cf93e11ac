package scheduling

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// SendNow is send(2). The scheduler is not told of the call, since it cannot
// wait: telling it takes time, and wakes the runtime's monitor up.
func SendNow(fd int, p []byte) (int, error) {
	return transfer(unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// ReceiveNow is recv(2), in the same way.
func ReceiveNow(fd int, p []byte) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

func transfer(call uintptr, fd int, p []byte, flags uintptr) (int, error) {
	start := unsafe.Pointer(unsafe.SliceData(p)) //nolint:gosec // the kernel needs it
	n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(start), uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
