//go:build conformance && !goroutinereaders

package conformance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// redisServer is a Redis of the test's own.
type redisServer struct {
	t    testing.TB
	port int
	dir  string
	cmd  *exec.Cmd
	keep bool // on disk, all that it has answered
}

var redisPorts atomic.Int32

// startRedis runs a Redis that keeps nothing on disk, on a free port.
func startRedis(t testing.TB) *redisServer {
	t.Helper()
	r := &redisServer{t: t, dir: t.TempDir(), port: freeRedisPort(t)}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// freeRedisPort looks below the ports that are given to clients.
// firstRedisPort differs between tests that run at the same time.
func firstRedisPort() int {
	const apart = 1000
	return 16000 + apart*slices.Index([]string{"", "xhr_streaming", "xhr_polling"}, os.Getenv(transportVariable))
}

func freeRedisPort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstRedisPort() + int(redisPorts.Add(1))
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func (r *redisServer) start() {
	r.t.Helper()
	appendonly := "no"
	if r.keep {
		appendonly = "yes"
	}
	r.cmd = exec.Command("redis-server", "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", appendonly, "--appendfsync", "always", "--dir", r.dir, "--logfile", filepath.Join(r.dir, "log"))
	if err := r.cmd.Start(); err != nil {
		r.t.Fatalf("redis-server: %v", err)
	}
	deadline := time.Now().Add(patience)
	for strings.TrimSpace(r.try("ping")) != "PONG" {
		if time.Now().After(deadline) {
			r.t.Fatal("redis-server does not answer")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kill ends it at once; what it held is gone, if it is not kept.
func (r *redisServer) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func (r *redisServer) stop()       { _ = r.cmd.Process.Signal(syscall.SIGSTOP) }
func (r *redisServer) goOn()       { _ = r.cmd.Process.Signal(syscall.SIGCONT) }
func (r *redisServer) url() string { return fmt.Sprintf("redis://127.0.0.1:%d", r.port) }

func (r *redisServer) try(command ...string) string {
	out, _ := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(r.port)}, command...)...).Output()
	return string(out)
}

// cli runs one command that has to work.
func (r *redisServer) cli(command ...string) string {
	r.t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(r.port)}, command...)...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("redis-cli %v: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// startCluster runs so many nodes on one Redis.
func startCluster(t testing.TB, r *redisServer, count int, settings ...string) []*server {
	t.Helper()
	nodes := make([]*server, count)
	for i := range nodes {
		nodes[i] = startNode(t, r, settings...)
	}
	return nodes
}

func startNode(t testing.TB, r *redisServer, settings ...string) *server {
	t.Helper()
	return startNodeOf(t, r, mustBinary(t), settings...)
}

func startNodeOf(t testing.TB, r *redisServer, binary string, settings ...string) *server {
	t.Helper()
	return startBinary(t, binary, append([]string{"--redis=" + r.url()}, settings...)...)
}

// startMortal runs a node that the test will kill.
func startMortal(t testing.TB, r *redisServer, settings ...string) *server {
	t.Helper()
	s := launch(t, mustBinary(t), append([]string{
		"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--redis=" + r.url(),
	}, settings...)...)
	t.Cleanup(s.killNow)
	s.awaitListening()
	return s
}

// killNow is kill -9.
func (s *server) killNow() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

func (s *server) freeze() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *server) thaw()   { _ = s.cmd.Process.Signal(syscall.SIGCONT) }
