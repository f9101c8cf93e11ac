package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"channels/loadtest/report"
)

// peer is a server to compare.
type peer struct {
	name string
	text string // what it is, for the table
	args func(port int) []string
	env  func(port int) []string
}

// soketi is the folder's package.json. Its WebSocket engine comes from elsewhere,
// built for newer versions of Node.
const soketi = `{
  "private": true,
  "dependencies": {"@soketi/soketi": "1.6.1"},
  "overrides": {"uWebSockets.js": "npm:@trufflesuite/uws-js-unofficial@20.30.0-unofficial.0"}
}
`

// ours is a build of the project's server.
func ours(name, text, binary string) peer {
	return peer{name, text, func(port int) []string {
		return []string{binary, "--listen", listen(port), "--ops-listen", "off"}
	}, func(int) []string { return []string{"GOMAXPROCS=1"} }}
}

func listen(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// prepare builds and installs everything. An earlier build is the only other
// server if there is one.
func prepare(ctx context.Context, scratch, before string) (all []peer, tool string, err error) {
	if _, err := exec.LookPath("taskset"); err != nil {
		return nil, "", errors.New("taskset is missing, which gives each side its processor: install util-linux")
	}
	for _, dir := range []string{"soketi", "results"} {
		if err := os.MkdirAll(filepath.Join(scratch, dir), 0o755); err != nil {
			return nil, "", err
		}
	}
	binary := func(name string) string { return filepath.Join(scratch, name) }
	for name, pkg := range map[string]string{"channels": "./cmd/channels", "loadtest": "./loadtest", "broadcast": "./loadtest/peers/broadcast"} {
		if err := command(ctx, "", "go", "build", "-o", binary(name), pkg); err != nil {
			return nil, "", err
		}
	}
	this := ours("channels", "this server", binary("channels"))
	if before != "" {
		if _, err := os.Stat(before); err != nil {
			return nil, "", fmt.Errorf("--before: %w", err)
		}
		return []peer{this, ours("before", "before", before)}, binary("loadtest"), nil
	}
	folder := filepath.Join(scratch, "soketi")
	if err := os.WriteFile(filepath.Join(folder, "package.json"), []byte(soketi), 0o644); err != nil { //nolint:gosec // nothing secret
		return nil, "", err
	}
	entry := filepath.Join(folder, "node_modules", "@soketi", "soketi", "bin", "server.js")
	if _, err := os.Stat(entry); err != nil {
		fmt.Println("installing Soketi")
		if err := command(ctx, folder, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"); err != nil {
			return nil, "", err
		}
	}
	nothing := func(int) []string { return nil }
	return []peer{
		this,
		{"soketi", "Soketi 1.6.1", func(int) []string { return []string{"node", entry, "start"} }, func(port int) []string {
			return []string{
				"SOKETI_HOST=127.0.0.1", "SOKETI_PORT=" + strconv.Itoa(port), "SOKETI_METRICS_ENABLED=0", "SOKETI_DEBUG=0",
				"SOKETI_DEFAULT_APP_ID=1", "SOKETI_DEFAULT_APP_KEY=app-key", "SOKETI_DEFAULT_APP_SECRET=app-secret",
				"SOKETI_DEFAULT_APP_MAX_CONNS=-1", "SOKETI_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SEC=-1",
			}
		}},
		{"broadcast", "plain coder/websocket", func(port int) []string { return []string{binary("broadcast"), listen(port)} }, nothing},
	}, binary("loadtest"), nil
}

func command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// processors are those of the server and of the load tester.
func processors() (server, tool string) { return "0", "1" }

// measure starts a server, runs a work against it, and stops it.
func measure(ctx context.Context, tool string, p peer, w work, path string) (*report.Result, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	onServer, onTool := processors()
	args := p.args(port)
	// taskset replaces itself by the server, so that its process is the server's.
	s := exec.Command("taskset", append([]string{"-c", onServer}, args...)...)
	s.Env = append(os.Environ(), p.env(port)...)
	if err := s.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = s.Process.Signal(syscall.SIGKILL) // it has nothing to lose
		_ = s.Wait()
	}()
	if err := listening(ctx, port); err != nil {
		return nil, fmt.Errorf("%s did not start: %w", p.name, err)
	}
	if w.warm {
		if _, err := attempt(ctx, tool, onTool, port, s.Process.Pid, w, path); err != nil {
			return nil, err
		}
	}
	return attempt(ctx, tool, onTool, port, s.Process.Pid, w, path)
}

func attempt(ctx context.Context, tool, processor string, port, pid int, w work, path string) (*report.Result, error) {
	args := append([]string{"-c", processor, tool}, w.args...)
	args = append(args, "--target", fmt.Sprintf("http://app-key:app-secret@127.0.0.1:%d/apps/1", port),
		"--server-pid", strconv.Itoa(pid), "--json", path)
	c := exec.CommandContext(ctx, "taskset", args...)
	out, err := c.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return nil, fmt.Errorf("%w: %s", err, strings.Join(lines[max(0, len(lines)-8):], " / "))
	}
	return report.Read(path)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close() //nolint:errcheck // it was for its number
	return l.Addr().(*net.TCPAddr).Port, nil
}

func listening(ctx context.Context, port int) error {
	var err error
	for range 200 {
		var conn net.Conn
		conn, err = net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return err
}
