package scheduling

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is by how much the kernel may put off this process's timers, to
// serve several at once. Go's monitor wakes every 20 µs when work begins after a
// pause, which for a server that does a little many times a second took a fifth
// of the processor, mostly by taking it away from those who wrote. With the usual
// slack of 50 µs that hardly changes.
const timerSlack = 2 * time.Millisecond

// slackGiven marks a process that has started itself anew.
const slackGiven = "CHANNELS_TIMER_SLACK_GIVEN"

// SlackenTimers starts the program anew, as the same process, with timerSlack:
// threads have it from the one that made them, and the monitor is the first that
// the runtime makes. Where that is not possible the program goes on as it is.
func SlackenTimers() {
	if os.Getenv(slackGiven) != "" {
		_ = os.Unsetenv(slackGiven)
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	runtime.LockOSThread() // the slack is a thread's, and survives its exec
	defer runtime.UnlockOSThread()
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack.Nanoseconds()), 0, 0, 0) != nil {
		return
	}
	_ = syscall.Exec(program, os.Args, append(os.Environ(), slackGiven+"=1"))
}
