package scheduling

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// announced says that the scheduler is told of system calls, as usual.
var announced = switchedOff("CHANNELS_DEBUG_NO_RAW_CALLS")

const (
	sendCall     = unix.SYS_SENDTO
	sendFlags    = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	receiveCall  = unix.SYS_RECVFROM
	receiveFlags = unix.MSG_DONTWAIT
)

// SendNow is send(2) that does not wait. The scheduler is not told of the call: to
// tell it takes time, wakes the runtime's monitor up, and is needed only for calls
// that wait.
func SendNow(fd int, p []byte) (int, error) {
	return transfer(announced, sendCall, fd, p, sendFlags)
}

// ReceiveNow is recv(2) that does not wait, in the same way.
func ReceiveNow(fd int, p []byte) (int, error) {
	return transfer(announced, receiveCall, fd, p, receiveFlags)
}

func transfer(announced bool, call uintptr, fd int, p []byte, flags uintptr) (int, error) {
	start := unsafe.Pointer(unsafe.SliceData(p)) //nolint:gosec // the kernel needs it
	var n uintptr
	var errno unix.Errno
	if announced {
		n, _, errno = unix.Syscall6(call, uintptr(fd), uintptr(start), uintptr(len(p)), flags, 0, 0)
	} else {
		n, _, errno = unix.RawSyscall6(call, uintptr(fd), uintptr(start), uintptr(len(p)), flags, 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
