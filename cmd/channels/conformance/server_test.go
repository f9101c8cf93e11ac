//go:build conformance

package conformance

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for anything that has to happen. It is
// long, because it is only ever used up by a failure.
const patience = 20 * time.Second

// The development credentials that the server has without any setting.
const (
	appID     = "1"
	appKey    = "app-key"
	appSecret = "app-secret"
)

// server is one running process of the built server.
type server struct {
	t testing.TB

	// Addr and Ops are the host:port of the two listeners.
	Addr, Ops string

	// FirstLine is the first line of the log.
	FirstLine string

	// kind is how the helpers reach the public listener.
	kind kind

	cmd  *exec.Cmd
	log  *logLines
	done chan struct{} // closed when the process is gone and its log is read

	asked sync.Once // whether it has been sent SIGTERM
}

// start runs the server until the end of the test, which then requires that
// SIGTERM ends it cleanly. A setting is "NAME=value" for the environment, or a
// flag with its value: "--name=value".
func start(t testing.TB, settings ...string) *server {
	t.Helper()
	return startBinary(t, mustBinary(t), settings...)
}

func startBinary(t testing.TB, binary string, settings ...string) *server {
	t.Helper()
	s := launch(t, binary, append([]string{"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0"}, settings...)...)
	t.Cleanup(s.stop)
	s.awaitListening()
	return s
}

// launch runs the server with these settings and nothing else from the
// environment of the tests.
func launch(t testing.TB, binary string, settings ...string) *server {
	t.Helper()
	cmd := command(binary, append([]string{"serve"}, flagsOf(settings)...), settings...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, cmd: cmd, log: newLogLines(), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.log.readFrom(stderr)
		_ = cmd.Wait() // the exit code is read from ProcessState
	}()
	return s
}

// command prepares a run of the binary with a clean environment.
func command(binary string, args []string, settings ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + os.Getenv("HOME"),
		"CHANNELS_SHUTDOWN_GRACE=1s",
		"GORACE=atexit_sleep_ms=0", // else the race detector makes every end last a second
	}
	for _, setting := range settings {
		if !strings.HasPrefix(setting, "--") {
			cmd.Env = append(cmd.Env, setting)
		}
	}
	return cmd
}

func flagsOf(settings []string) []string {
	var flags []string
	for _, setting := range settings {
		if strings.HasPrefix(setting, "--") {
			flags = append(flags, setting)
		}
	}
	return flags
}

var (
	listenField = regexp.MustCompile(`\blisten="?([^\s"]+)`)
	opsField    = regexp.MustCompile(`\bops="?([^\s"]+)`)
)

// awaitListening reads the addresses from the first line of the log.
func (s *server) awaitListening() {
	s.t.Helper()
	select {
	case <-s.log.first:
	case <-s.done:
	case <-time.After(patience):
	}
	s.FirstLine = s.log.line(0)
	listen, ops := listenField.FindStringSubmatch(s.FirstLine), opsField.FindStringSubmatch(s.FirstLine)
	if listen == nil || ops == nil {
		s.t.Fatalf("first log line has no listen= and ops=; log:\n%s", s.log)
	}
	s.Addr, s.Ops = listen[1], ops[1]
}

// stop asks the process to end and requires that it does so cleanly.
func (s *server) stop() {
	s.t.Helper()
	s.terminate()
	if code := s.awaitExit(); code != 0 {
		s.t.Errorf("exit code after SIGTERM: got %d, want 0", code)
	}
	if strings.Contains(s.log.String(), "WARNING: DATA RACE") {
		s.t.Error("the race detector found a data race in the server")
	}
	if s.t.Failed() {
		s.t.Logf("log of the server:\n%s", s.log)
	}
}

// terminate sends SIGTERM, once: a second one ends the process at once. A
// process that is gone already is no error: stop looks at how it went.
func (s *server) terminate() {
	s.asked.Do(func() { _ = s.cmd.Process.Signal(syscall.SIGTERM) })
}

// awaitExit gives the exit code, and kills a process that does not end.
func (s *server) awaitExit() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // leaves the stacks in the log
		<-s.done
		s.t.Errorf("the server did not end within %v of being asked", patience)
	}
	return s.cmd.ProcessState.ExitCode()
}

// alive requires that the process runs and says so.
func (s *server) alive() {
	s.t.Helper()
	if status, body := s.opsGet("/livez"); status != http.StatusOK {
		s.t.Fatalf("GET /livez: got %d %q, want 200", status, body)
	}
}

// opsGet reads one path of the ops listener.
func (s *server) opsGet(path string) (status int, body string) {
	s.t.Helper()
	return httpGet(s.t, "http://"+s.Ops+path)
}

func httpGet(t testing.TB, url string) (status int, body string) {
	t.Helper()
	return httpGetWith(t, &http.Client{Timeout: patience}, url)
}

func httpGetWith(t testing.TB, client *http.Client, url string) (status int, body string) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// logLines collects what a process writes to its standard error.
type logLines struct {
	first chan struct{} // closed when there is a line

	mu    sync.Mutex
	lines []string
}

func newLogLines() *logLines {
	return &logLines{first: make(chan struct{})}
}

func (l *logLines) readFrom(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		l.mu.Lock()
		l.lines = append(l.lines, scanner.Text())
		if len(l.lines) == 1 {
			close(l.first)
		}
		l.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // a line too long must not block the process
}

func (l *logLines) line(i int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i >= len(l.lines) {
		return ""
	}
	return l.lines[i]
}

// String gives the whole log, or the last 200 lines of a longer one.
func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-200):], "\n")
}
