//go:build unix

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// raiseFileLimit raises the number of files that this process may have open, of
// which every socket is one, as far as it is allowed to, and returns it.
func raiseFileLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024, fmt.Errorf("read the open-file limit: %w", err)
	}
	raised := limit
	raised.Cur = raised.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
		return int(min(limit.Cur, 1<<30)), fmt.Errorf("raise the open-file limit from %d to %d: %w", limit.Cur, limit.Max, err)
	}
	return int(min(raised.Cur, 1<<30)), nil
}
