//go:build unix

package chatapp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// claim holds a file for this process as long as it lives, and writes into it
// who that is. The kernel gives the claim up with the process, however it ends.
func claim(path, holder string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claim the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		who, _ := io.ReadAll(io.LimitReader(f, 200)) // only to say more
		err = errors.Join(f.Close(), fmt.Errorf("another chat holds %s: %s", path, strings.TrimSpace(string(who))))
		return nil, err
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "process %d, %s\n", os.Getpid(), holder) // only to say more
	}
	return f.Close, nil
}
