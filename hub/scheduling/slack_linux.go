package scheduling

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is by how much the kernel may delay this process's timers, to serve
// several at once. Go's monitor wakes every 20 µs when work begins after a pause.
// For a server that does a little many times a second that took a fifth of the
// processor, mostly by taking it away from those who wrote. The usual slack of
// 50 µs hardly changes that.
const timerSlack = 2 * time.Millisecond

// slackGiven marks a process that has restarted itself. Its value is the name of
// the process.
const slackGiven = "CHANNELS_TIMER_SLACK_GIVEN"

const (
	// itself is the program that this process runs, even if its file has been
	// replaced.
	itself = "/proc/self/exe"
	// nameFile is where ps and the like read the name of the process. After exec
	// it would be "exe".
	nameFile = "/proc/self/comm"
)

// SlackenTimers restarts the program, as the same process, with timerSlack: a
// thread gets the slack of the thread that made it, and the monitor is the first
// thread that the runtime makes. Where that fails the program goes on as it is.
func SlackenTimers() {
	if name := os.Getenv(slackGiven); name != "" {
		_ = os.Unsetenv(slackGiven)
		_ = os.WriteFile(nameFile, []byte(name), 0)
		return
	}
	if switchedOff("CHANNELS_DEBUG_NO_TIMER_SLACK") {
		return
	}
	runtime.LockOSThread() // the slack belongs to a thread, and survives its exec
	defer runtime.UnlockOSThread()
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack.Nanoseconds()), 0, 0, 0) != nil {
		return
	}
	name, err := os.ReadFile(nameFile)
	if err != nil {
		return
	}
	_ = syscall.Exec(itself, os.Args, append(os.Environ(), slackGiven+"="+strings.TrimSpace(string(name))))
}
