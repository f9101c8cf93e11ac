package scheduling

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func descriptor(tb testing.TB, conn net.Conn) (fd int) {
	tb.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(d uintptr) { fd = int(d) })
	}
	if err != nil {
		tb.Fatal(err)
	}
	return fd
}

// TestTransfer sends and receives, told to the scheduler and not, until the call
// would have to wait.
func TestTransfer(t *testing.T) {
	for _, announced := range []bool{false, true} {
		near, far := pair(t)
		from, to := descriptor(t, near), descriptor(t, far)
		b := make([]byte, 10)
		if _, err := transfer(announced, receiveCall, to, b, receiveFlags); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("announced %t: nothing is there: %v, want EAGAIN", announced, err)
		}
		if n, err := transfer(announced, sendCall, from, []byte("frame"), sendFlags); n != 5 || err != nil {
			t.Errorf("announced %t: sent %d, %v", announced, n, err)
		}
		if n, err := transfer(announced, receiveCall, to, b, receiveFlags); !bytes.Equal(b[:n], []byte("frame")) || err != nil {
			t.Errorf("announced %t: received %q, %v", announced, b[:n], err)
		}
		_ = near.Close()
		if n, err := transfer(announced, receiveCall, to, b, receiveFlags); n != 0 || err != nil {
			t.Errorf("announced %t: at the end: %d, %v", announced, n, err)
		}
	}
}

// BenchmarkSend is a send to a socket whose buffer is full, which is the shortest
// there is, with the trick and without: the difference is what the scheduler takes.
func BenchmarkSend(b *testing.B) {
	for _, trick := range []string{"on", "off"} {
		b.Run(trick, func(b *testing.B) {
			near, _ := pair(b)
			fd, frame := descriptor(b, near), make([]byte, 160)
			send := func() error {
				_, err := transfer(trick == "off", sendCall, fd, frame, sendFlags)
				return err
			}
			for send() == nil {
			}
			for b.Loop() {
				if err := send(); err != nil && !errors.Is(err, unix.EAGAIN) {
					b.Fatal(err)
				}
			}
		})
	}
}
