package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// gcPercent is GOGC of the generator: it has memory, and no time for collections.
const gcPercent = 400

// ownCPU returns the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// longestPause returns the longest pause of the collector since a time.
func longestPause(since time.Time) time.Duration {
	var s debug.GCStats
	debug.ReadGCStats(&s)
	var longest time.Duration
	for i, end := range s.PauseEnd {
		if end.After(since) {
			longest = max(longest, s.Pause[i])
		}
	}
	return longest
}

// process is a server's process as the kernel sees it. A server of several
// processes has several.
type process []int

// ticksPerSecond is the unit of processor time in /proc, the same on all
// architectures that Go knows.
const ticksPerSecond = 100

// cpu returns processor time, to a hundredth of a second.
func (p process) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range p {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, gone(pid, err)
		}
		// The name in parentheses may have spaces; utime and stime are the
		// 12th and 13th field behind it.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 13 {
			return 0, fmt.Errorf("read /proc/%d/stat: it has %d fields", pid, len(fields))
		}
		for _, f := range fields[11:13] {
			ticks, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
			}
			sum += time.Duration(ticks) * time.Second / ticksPerSecond
		}
	}
	return sum, nil
}

// resident returns resident memory in bytes.
func (p process) resident() (int64, error) {
	var sum int64
	for _, pid := range p {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, gone(pid, err)
		}
		fields := strings.Fields(string(text))
		if len(fields) < 2 {
			return 0, fmt.Errorf("read /proc/%d/statm: %q", pid, text)
		}
		pages, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/%d/statm: %w", pid, err)
		}
		sum += pages * int64(os.Getpagesize())
	}
	return sum, nil
}

func gone(pid int, err error) error {
	switch {
	case runtime.GOOS != "linux":
		return errors.New("--server-pid needs Linux: processor time and memory come from /proc")
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no process %d, which --server-pid names", pid)
	}
	return fmt.Errorf("look at process %d: %w", pid, err)
}

// parsePIDs reads process ids, separated by commas.
func parsePIDs(text string) (process, error) {
	var p process
	for f := range strings.SplitSeq(text, ",") {
		pid, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || pid <= 0 || slices.Contains(p, pid) {
			return nil, fmt.Errorf("%q is no list of process ids", text)
		}
		p = append(p, pid)
	}
	return p, nil
}
