//go:build conformance && !goroutinereaders

package conformance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestBehindProxy runs nginx as docker-compose.yml sets it up, before two nodes.
func TestBehindProxy(t *testing.T) {
	r := startRedis(t)
	nodes := startCluster(t, r, 2)
	addr := startProxy(t, nodes)
	front := &server{t: t, Addr: addr}
	ws := "ws from both nodes"
	var clients []*client
	for range 6 {
		c := connect(t, front)
		c.subscribe("proxied")
		clients = append(clients, c)
	}
	for i, s := range nodes {
		_, metrics := s.opsGet("/metrics")
		if !strings.Contains(metrics, "channels_connections{") || strings.Contains(metrics, `channels_connections{app_id="1"} 0`) {
			t.Errorf("%s: node %d has no client", ws, i)
		}
	}
	for i := range 4 { // the proxy takes the nodes in turn
		ok(t, "Trigger", sdk(front).Trigger("proxied", "e", fmt.Sprint(i)))
		for _, c := range clients {
			c.expectData("e", "proxied", fmt.Sprint(i))
		}
	}
}

// without gives the log without the lines that have a text in them.
func (l *logLines) without(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(slices.DeleteFunc(slices.Clone(l.lines), func(s string) bool { return strings.Contains(s, text) }), "\n")
}

// startProxy runs nginx with the configuration of the file, but for addresses.
func startProxy(t testing.TB, nodes []*server) string {
	t.Helper()
	text, err := os.ReadFile("../../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Configs map[string]struct{ Content string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", freeRedisPort(t))
	dir := t.TempDir()
	config := strings.NewReplacer(
		"$$", "$", "listen 6001;", "listen "+addr+";", "/tmp/nginx.pid", filepath.Join(dir, "pid"),
		"node1:6001", nodes[0].Addr, "node2:6001", nodes[1].Addr,
		"worker_rlimit_nofile 65536;", "", "worker_connections 32768;", "worker_connections 1024;",
	).Replace(compose.Configs["nginx"].Content)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx" // where Debian has it, which is not on everybody's path
	}
	cmd := exec.Command(nginx, "-c", file, "-p", dir, "-g", "daemon off;")
	log := newLogLines()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("nginx: %v", err)
	}
	read := make(chan struct{})
	go func() { defer close(read); log.readFrom(stderr) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-read
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of nginx, without refused connects:\n%s", log.without("connect() failed (111"))
		}
	})
	within(t, patience, "nginx listens", func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}
