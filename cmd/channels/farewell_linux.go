package main

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// handshakeTime is how long the last step of a connect may take that has begun.
const handshakeTime = 20 * time.Millisecond

// takeTheLast has the kernel ignore new connects, and blocks until those that are
// made have been taken, for lastTaken at most. Who is ignored asks again after a
// second, and is refused then.
func takeTheLast(listener net.Listener) {
	tcp, ok := listener.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil || ignoreConnects(raw) != nil {
		return
	}
	time.Sleep(handshakeTime)
	for until := time.Now().Add(lastTaken); waiting(raw) > 0 && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
}

// ignoreConnects drops each packet to the listener that begins a connection, and
// none that completes one.
func ignoreConnects(raw syscall.RawConn) error {
	const (
		flags    = 13 // where they stand in the header of TCP, with which a packet begins here
		syn, ack = 0x02, 0x10
		whole    = 1<<32 - 1
	)
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: whole},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	var err error
	failed := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter)
	})
	if failed != nil {
		return failed
	}
	return err
}

// waiting counts the connections that nobody has taken yet.
func waiting(raw syscall.RawConn) (n uint32) {
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Unacked // of a listener, the length of its queue
		}
	})
	return n
}
