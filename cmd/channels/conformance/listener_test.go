//go:build conformance

package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// withFiles gives a program that runs the server with so many files that it may
// have open.
func withFiles(t testing.TB, files int) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "channels")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %q \"$@\"\n", files, mustBinary(t))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}

// TestSilentCrowd has strangers connect and say nothing, more of them than there
// are descriptors. The operator's listener answers, one line in the log says what
// is the matter, and clients are served, also while the crowd is there.
func TestSilentCrowd(t *testing.T) {
	t.Parallel()
	const files, strangers = 256, 400
	s := startBinary(t, withFiles(t, files))
	before := connect(t, s)
	before.subscribe(room)
	var crowd []net.Conn
	for range strangers {
		conn, err := net.DialTimeout("tcp", s.Addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, conn)
	}
	eventually(t, "a line that there is no room", func() (string, bool) {
		text := s.log.String()
		return text, strings.Contains(text, "level=ERROR")
	})
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if status, body := s.opsGet(path); status != http.StatusOK {
			t.Errorf("GET %s: got %d %q, want 200", path, status, body)
		}
	}
	if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)); err == nil && len(entries) > files-30 {
		t.Errorf("%d of %d files are open", len(entries), files)
	}
	before.answers()
	connect(t, s).subscribe(room)
	if text := s.log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "no room for more connections") ||
		strings.Contains(text, "too many open files") {
		t.Errorf("the log has not one error, which says that there is no room:\n%s", text)
	}
	for _, conn := range crowd {
		_ = conn.Close()
	}
	for range 20 {
		connect(t, s).subscribe(room)
	}
	before.answers()
}

// TestPublishersHaveTimeToLeave ends a node without sockets, and publishes while
// balancers have time to notice. The answer ends the connection.
func TestPublishersHaveTimeToLeave(t *testing.T) {
	t.Parallel()
	s := start(t, "--shutdown-grace=20s")
	s.terminate()
	eventually(t, "/readyz of 503", func() (string, bool) {
		status, body := s.opsGet("/readyz")
		return fmt.Sprint(status, " ", body), status == http.StatusServiceUnavailable
	})
	if status, body := (restCall{Method: http.MethodPost, Path: "/apps/1/events", Body: []byte(validEvent)}).do(t, s); status != http.StatusOK {
		t.Errorf("a publish while the node leaves: got %d %q, want 200", status, body)
	}
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || !response.Close {
		t.Errorf("an answer while the node leaves: %v, %v; want it to end the connection", response, err)
	}
}

// TestProxyProtocol sends PROXY headers to the built server.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_PROXY_PROTOCOL=true", "CHANNELS_LIMITS_HANDSHAKES_PER_SECOND_PER_ADDRESS=1")
	for i, test := range []struct{ header, want string }{
		{"PROXY TCP4 203.0.113.1 127.0.0.1 4711 6001\r\n", "101 Switching Protocols"},
		{"PROXY TCP4 203.0.113.1 127.0.0.1 4711 6001\r\n", "429 Too Many Requests"},
		{"PROXY TCP4 203.0.113.2 127.0.0.1 4711 6001\r\n", "101 Switching Protocols"},
		{"PROXY TCP6 2001:db8::1 ::1 4711 6001\r\n", "101 Switching Protocols"},
		{"PROXY TCP6 2001:db8::2 ::1 4711 6001\r\n", "429 Too Many Requests"},
		{"", ""},
		{"PROXY TCP4 garbage\r\n", ""},
	} {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = fmt.Fprintf(conn, "%sGET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", test.header, defaultPath)
		line, _ := bufio.NewReader(conn).ReadString('\n')
		if test.want == "" && line != "" || !strings.Contains(line, test.want) {
			t.Errorf("connection %d with %q: answered %q, want %q", i, test.header, line, test.want)
		}
	}
}
