package redisbus_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/contract"
	"channels/hub/redisbus"
	"channels/protocol"
)

// server is a redis-server process on a port of its own.
type server struct {
	t    testing.TB
	port int
	args []string
	dir  string
	cmd  *exec.Cmd
	end  func() // kills the process, once
}

func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, port: freePort(t), dir: t.TempDir()}
	s.args = append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"),
	}, args...)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.end = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s.t.Cleanup(s.end)
	s.waitForPort(s.port)
}

func (s *server) waitForPort(port int) {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server does not listen: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *server) kill() { s.end() }

func (s *server) url() string { return fmt.Sprintf("redis://127.0.0.1:%d", s.port) }

// nextPort keeps the tests of this process off each other's ports. They are
// below those of clients, and so are those that a cluster's servers use beside,
// which are 10,000 higher.
var nextPort atomic.Int32

func freePort(t testing.TB) int {
	t.Helper()
	nextPort.CompareAndSwap(0, int32(17000+os.Getpid()%2500*2))
	for {
		port := int(nextPort.Add(1))
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
}

// TestMain has more tests run at a time than there are processors, unless it is told
// how many: most of the time they wait for Redis.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		_ = flag.Set("test.parallel", "6")
	}
	os.Exit(m.Run())
}

// testPrefix stands before the prefixes of all clusters that share a Redis.
const testPrefix = "test"

var prefixes atomic.Int32

// openNodes joins so many nodes, to a cluster of their own on a shared Redis.
func openNodes(t *testing.T, url string, count int) []contract.Node {
	t.Helper()
	url += fmt.Sprintf("%sprefix=%s:%d", separator(url), testPrefix, prefixes.Add(1))
	nodes := make([]contract.Node, count)
	for i := range nodes {
		b := open(t, url)
		nodes[i] = contract.Node{Bus: b, State: b}
	}
	return nodes
}

func separator(url string) string {
	for _, c := range url {
		if c == '?' {
			return "&"
		}
	}
	return "?"
}

func open(t testing.TB, url string) *redisbus.Bus {
	t.Helper()
	config, err := redisbus.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := redisbus.Open(context.Background(), redisbus.Options{Config: config, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		b.Close(ctx)
	})
	return b
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// receiver passes on what events say.
type receiver struct{ heard chan string }

func (r receiver) Receive(m hub.Message) {
	e, err := protocol.ParseEvent(protocol.PayloadOf(m.Frame))
	if err == nil {
		r.heard <- e.Event
	}
}

func (r receiver) Lost() { r.heard <- "lost" }

// publish sends an event and waits for the answer.
func publish(n contract.Node, to hub.Topic, name string) error {
	done := make(chan error, 1)
	n.Bus.Publish(hub.Message{Topic: to, Frame: protocol.EventFrame(name, to.Channel, []byte(`"{}"`), "")},
		func(err error) { done <- err })
	return <-done
}

// within requires that something becomes true before patience is over.
func within(t testing.TB, what string, true func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !true() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *server) host() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *server) cli(command ...string) string {
	s.t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(s.port)}, command...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("redis-cli %v: %v: %s", command, err, out)
	}
	return string(out)
}

// try runs a command that may fail.
func (s *server) try(command ...string) (string, error) {
	out, err := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(s.port)}, command...)...).CombinedOutput()
	return string(out), err
}
