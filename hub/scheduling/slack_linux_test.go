package scheduling

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test's program stand for the server's in TestSlackenTimers.
func TestMain(m *testing.M) {
	if os.Getenv("TELL_SWITCHES") != "" {
		fmt.Println(announced, NewYielder() == nil)
		return
	}
	replaced := os.Getenv("SLACKEN_AND_TELL")
	if replaced == "" {
		os.Exit(m.Run())
	}
	if replaced != "1" { // the file of this program, to be replaced once
		_ = os.Remove(replaced)
		_ = os.WriteFile(replaced, []byte("#!/bin/sh\necho another program\n"), 0o700)
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
	name, _ := os.ReadFile(nameFile)
	fmt.Println(<-slack, os.Getpid(), marked, os.Args[1:], string(name))
}

// TestSlackenTimers: the program restarts once, with its arguments, its process id,
// its name and its environment as they were, and its threads have the slack. It does not
// restart when that is switched off.
func TestSlackenTimers(t *testing.T) {
	const usual = 50 * time.Microsecond
	for setting, want := range map[string]time.Duration{"": timerSlack, "CHANNELS_DEBUG_NO_TIMER_SLACK=1": usual} {
		cmd := exec.Command(os.Args[0], "serve", "--with an=argument")
		cmd.Env = append(os.Environ(), "SLACKEN_AND_TELL=1", setting)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintln(want.Nanoseconds(), cmd.Process.Pid, false, cmd.Args[1:], nameOf(os.Args[0]))
		if string(out) != want {
			t.Errorf("%s: got %swant %s", setting, out, want)
		}
	}
}

// TestFileReplaced: what restarts is the program that runs, not what has taken
// its place on the disk since.
func TestFileReplaced(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "SLACKEN_AND_TELL="+program)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := fmt.Sprintln(timerSlack.Nanoseconds(), cmd.Process.Pid, false, []string{}, nameOf(program)); string(out) != want {
		t.Errorf("got %swant %s", out, want)
	}
}

// TestSwitches turns the tricks off one by one.
func TestSwitches(t *testing.T) {
	for setting, want := range map[string]string{
		"":                              "false false\n",
		"CHANNELS_DEBUG_NO_RAW_CALLS=1": "true false\n",
		"CHANNELS_DEBUG_NO_YIELD=1":     "false true\n",
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "TELL_SWITCHES=1", setting)
		if out, err := cmd.Output(); err != nil || string(out) != want {
			t.Errorf("%s: got %s, %v; want %s", setting, out, err, want)
		}
	}
}

// nameOf is the name that the kernel gives a process with this program.
func nameOf(program string) string {
	const most = 15
	name := filepath.Base(program)
	return name[:min(len(name), most)] + "\n"
}
