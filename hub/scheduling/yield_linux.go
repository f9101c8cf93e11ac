package scheduling

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Yielder lets everything go first that has arrived at the sockets that Go's
// runtime waits for, the listener and those with requests. The runtime looks
// after them only when nothing is left to run, or every ten milliseconds and more:
// while thousands of parked sockets leave at once, their readers always run.
type Yielder struct {
	event *os.File // an eventfd that the runtime waits for, too
	conn  syscall.RawConn
	rung  bool
	ring  func(fd uintptr) bool
}

// NewYielder returns nil if there cannot be one.
func NewYielder() *Yielder {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil
	}
	y := &Yielder{event: os.NewFile(uintptr(fd), "eventfd")}
	if y.conn, err = y.event.SyscallConn(); err != nil {
		y.Close()
		return nil
	}
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	y.ring = func(fd uintptr) bool {
		if y.rung {
			return true
		}
		_, err := unix.Write(int(fd), one)
		y.rung = true
		return err != nil // or wait, until the runtime has found this, and all else
	}
	return y
}

// Yield returns when what had arrived before has had its turn.
func (y *Yielder) Yield() error {
	if y == nil {
		runtime.Gosched()
		return nil
	}
	y.rung = false
	if err := y.conn.Read(y.ring); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	return nil
}

func (y *Yielder) Close() {
	if y != nil {
		_ = y.event.Close() // nothing is left to be lost
	}
}
