package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"channels/protocol"
)

// buildServer builds the project's server once.
var buildServer = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "loadtest")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "channels")
	out, err := exec.Command("go", "build", "-o", binary, "channels/cmd/channels").CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return binary, nil
})

// server starts the built server and returns its target and its process id.
func server(t testing.TB) (target string, pid int) {
	t.Helper()
	binary, err := buildServer()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--listen", "127.0.0.1:0", "--ops-listen", "off")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it has nothing to lose
		_ = cmd.Wait()
	})
	r := bufio.NewReader(log)
	line, err := r.ReadString('\n')
	match := regexp.MustCompile(`listen=(\S+)`).FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("the first line of the log is %q, error %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return "http://app-key:app-secret@" + match[1] + "/apps/1", cmd.Process.Pid
}

// TestFixedForm runs what scripts run, and looks for every field they read.
func TestFixedForm(t *testing.T) {
	t.Parallel()
	target, pid := server(t)
	r, p := measured(t, exitFine, "fanout", "--target", target, "--connections", "100", "--channels", "1",
		"--rate", "20", "--size", "100", "--duration", "2s", "--server-pid", strconv.Itoa(pid))
	if r.Schema != 1 || r.Expected != 4000 || r.Received != 4000 || r.Lost != 0 || r.Duplicates != 0 || r.OutOfOrder != 0 {
		t.Errorf("schema %d, expected %d, received %d, lost %d, duplicates %d, out of order %d; want 1, 4000, 4000 and no faults",
			r.Schema, r.Expected, r.Received, r.Lost, r.Duplicates, r.OutOfOrder)
	}
	for name, q := range map[string]quants{"delivery": r.Delivery, "spread": r.Spread, "connect": r.Connect, "subscribe": r.Subscribe} {
		for _, v := range []*float64{q.P50, q.P99, q.P999, q.Max} {
			if v == nil || *v <= 0 {
				t.Errorf("%s has a time that is missing or 0: %+v", name, q)
				break
			}
		}
	}
	if r.Publish.Sent == nil || *r.Publish.Sent != 40 || r.Publish.Errors == nil || *r.Publish.Errors != 0 || r.Publish.P99 == nil {
		t.Errorf("publish %+v", r.Publish)
	}
	if r.PerSecond == nil || *r.PerSecond < 1500 || *r.PerSecond > 2100 {
		t.Errorf("deliveries_per_second %v, want about 2000", r.PerSecond)
	}
	if r.Server.PerDelivery == nil || r.Server.PerPublish == nil || r.Server.PerConnection == nil {
		t.Errorf("server %+v", r.Server)
	}
	if r.Generator.Trustworthy == nil || r.Generator.PerEvent == nil {
		t.Errorf("generator %+v", r.Generator)
	}
	if lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n"); lines[len(lines)-1] != r.Summary {
		t.Errorf("the last line is %q, not the sentence %q", lines[len(lines)-1], r.Summary)
	}
}

// TestScenarios runs everything against the built server: nothing may be lost.
func TestScenarios(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
	}{
		{"many channels", []string{"fanout", "--connections", "60", "--channels", "20", "--rate", "100"}},
		{"private", []string{"fanout", "--kind", "private", "--connections", "20"}},
		{"presence", []string{"fanout", "--kind", "presence", "--connections", "50"}},
		{"cache", []string{"fanout", "--kind", "cache", "--connections", "20"}},
		{"private cache", []string{"fanout", "--kind", "private-cache", "--connections", "20"}},
		{"presence cache", []string{"fanout", "--kind", "presence-cache", "--connections", "20"}},
		{"full speed", []string{"fanout", "--rate", "0", "--connections", "50", "--duration", "1s"}},
		{"large events", []string{"fanout", "--size", "9000", "--connections", "20"}},
		{"streaming", []string{"fanout", "--transport", "xhr_streaming", "--kind", "presence", "--connections", "30", "--channels", "3"}},
		{"streaming past the rollover", []string{"fanout", "--transport", "xhr_streaming", "--size", "9000", "--rate", "60", "--connections", "5"}},
		{"polling", []string{"fanout", "--transport", "xhr_polling", "--kind", "private", "--connections", "30", "--rate", "50"}},
		{"streaming in processes", []string{"fanout", "--transport", "xhr_streaming", "--connections", "20", "--processes", "2"}},
		{"connects over HTTP", []string{"connect", "--transport", "xhr_polling", "--connections", "50", "--connect-rate", "100"}},
		{"publish", []string{"publish", "--duration", "1s"}},
		{"connect at a rate", []string{"connect", "--connections", "200", "--connect-rate", "400"}},
		{"connect at once", []string{"connect", "--connections", "200", "--storm"}},
		{"several processes", []string{"fanout", "--connections", "50", "--channels", "3", "--processes", "3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			target, _ := server(t)
			args := append([]string{tt.args[0], "--target", target}, tt.args[1:]...)
			if tt.args[0] != "connect" {
				args = append(args, "--warmup", "100ms")
				if !strings.Contains(strings.Join(args, " "), "--duration") {
					args = append(args, "--duration", "1s")
				}
			}
			r, p := measured(t, exitFine, args...)
			if r.Lost != 0 || r.Duplicates != 0 || r.OutOfOrder != 0 || tt.args[0] != "connect" && r.Received == 0 {
				t.Errorf("received %d, lost %d, duplicates %d, out of order %d\n%s", r.Received, r.Lost, r.Duplicates, r.OutOfOrder, &p.stdout)
			}
			if len(r.Problems) > 0 {
				t.Errorf("problems: %q", r.Problems)
			}
		})
	}
}

func TestStorm(t *testing.T) {
	t.Parallel()
	target, _ := server(t)
	r, p := measured(t, exitFine, "storm", "--target", target, "--connections", "200", "--share", "0.5",
		"--duration", "2s", "--warmup", "100ms")
	if r.Storm == nil || r.Storm.Dropped != 100 || r.Storm.Recovered != 100 || r.Lost != 0 || r.Duplicates != 0 {
		t.Errorf("storm %+v, lost %d, duplicates %d; want 100 dropped and back\n%s", r.Storm, r.Lost, r.Duplicates, &p.stdout)
	}
}

// TestSlow has so much sent to those that do not read that the server gives them
// up, and nobody else notices.
func TestSlow(t *testing.T) {
	t.Parallel()
	target, _ := server(t)
	r, p := measured(t, exitFine, "slow", "--target", target, "--connections", "5", "--stalled", "3",
		"--rate", "200", "--size", "9900", "--duration", "10s", "--warmup", "100ms")
	if r.Slow == nil || r.Slow.Stalled != 3 || r.Slow.StalledClosed != 3 || r.Lost != 0 {
		t.Errorf("slow %+v, lost %d; want 3 stalled and closed, none lost\n%s", r.Slow, r.Lost, &p.stdout)
	}
}

// TestAuthEndpoint lets an application sign the subscribes.
func TestAuthEndpoint(t *testing.T) {
	t.Parallel()
	target, _ := server(t)
	var asked atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("X-Session") != "abc" {
			http.Error(w, "no session", http.StatusForbidden)
			return
		}
		auth := protocol.ChannelAuth("app-key", "app-secret", r.FormValue("socket_id"), r.FormValue("channel_name"), "")
		_, _ = io.WriteString(w, `{"auth":"`+auth+`"}`)
	}))
	t.Cleanup(app.Close)
	args := []string{"fanout", "--target", target, "--kind", "private", "--connections", "10", "--duration", "500ms",
		"--warmup", "0s", "--auth-endpoint", app.URL}
	r, _ := measured(t, exitFine, append(args, "--auth-header", "X-Session: abc")...)
	if r.Connections.Subscribed != 10 || r.Lost != 0 || asked.Load() != 10 {
		t.Errorf("%d subscribed, %d lost, asked %d times; want 10, 0 and 10", r.Connections.Subscribed, r.Lost, asked.Load())
	}
	p, code := loadtest(t, args...)
	if code != exitPartial || !strings.Contains(p.stdout.String(), "10 × the auth endpoint answered 403") {
		t.Errorf("without the header: exit code %d\n%s%s", code, &p.stdout, &p.stderr)
	}
}

// TestClusterTargets spreads sockets and publishes over two targets, which are the
// same server here.
func TestClusterTargets(t *testing.T) {
	t.Parallel()
	target, _ := server(t)
	r, _ := measured(t, exitFine, "fanout", "--target", target, "--target", target, "--connections", "20",
		"--channels", "3", "--duration", "500ms", "--warmup", "0s")
	if r.Lost != 0 || r.Received == 0 {
		t.Errorf("received %d, lost %d", r.Received, r.Lost)
	}
}
