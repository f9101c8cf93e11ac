//go:build !unix

package transport

import (
	"errors"
	"net"
)

// rawDescriptor says that there are no raw calls here.
func rawDescriptor(net.Conn) int { return -1 }

func rawWrite(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

func rawRead(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

func rawShutdown(int, bool) {}
