package scheduling

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// noYield says that a Yielder does no more than runtime.Gosched.
var noYield = switchedOff("CHANNELS_DEBUG_NO_YIELD")

// Yielder has the Go runtime poll its network: the listener, and connections with
// requests. The runtime polls when no goroutine can run, and else every ten
// milliseconds. So while thousands of parked sockets leave at once, and their
// readers always run, a new client would wait.
//
// A Yielder belongs to one goroutine. A nil Yielder calls runtime.Gosched.
type Yielder struct {
	event *os.File // an eventfd that the runtime polls, too
	conn  syscall.RawConn
	wrote bool
	ready func(fd uintptr) bool
}

// NewYielder returns nil where there is none.
func NewYielder() *Yielder {
	if noYield {
		return nil
	}
	return newYielder()
}

func newYielder() *Yielder {
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
	// The first call makes the descriptor readable and has the goroutine wait for
	// that. The runtime sees it when it polls, together with everything else.
	y.ready = func(fd uintptr) bool {
		if y.wrote {
			return true
		}
		_, err := unix.Write(int(fd), one)
		y.wrote = true
		return err != nil
	}
	return y
}

// Yield blocks until the runtime has polled the network once.
func (y *Yielder) Yield() error {
	if y == nil {
		runtime.Gosched()
		return nil
	}
	y.wrote = false
	if err := y.conn.Read(y.ready); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	return nil
}

// Close releases the descriptor.
func (y *Yielder) Close() {
	if y != nil {
		_ = y.event.Close() // nothing can be lost
	}
}
