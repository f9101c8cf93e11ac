package scheduling

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the test's program stand for the server's in TestSlackenTimers.
func TestMain(m *testing.M) {
	if os.Getenv("SLACKEN_AND_TELL") == "" {
		os.Exit(m.Run())
	}
	SlackenTimers()
	tell()
}

// tell writes what the process is like now.
func tell() {
	slack := make(chan int)
	go func() {
		runtime.LockOSThread() // one that the runtime has made
		n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		if err != nil {
			n = -1
		}
		slack <- n
	}()
	_, marked := os.LookupEnv(slackGiven)
	fmt.Println(<-slack, os.Getpid(), marked, os.Args[1:])
}

// TestSlackenTimers: the program is started anew once, with its arguments, its
// number and its environment as they were, and its threads have the slack.
func TestSlackenTimers(t *testing.T) {
	cmd := exec.Command(os.Args[0], "serve", "--with an=argument")
	cmd.Env = append(os.Environ(), "SLACKEN_AND_TELL=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintln(timerSlack.Nanoseconds(), cmd.Process.Pid, false, cmd.Args[1:])
	if string(out) != want {
		t.Errorf("got %swant %s", out, want)
	}
}
