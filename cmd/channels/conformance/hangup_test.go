//go:build conformance

package conformance

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHangup requires that SIGHUP, as of a terminal that is closed, ends nothing.
func TestHangup(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	c.subscribe(room)
	s.hangUp()
	s.hangUp()
	s.alive()
	publish(t, s, room, "e", "still here")
	c.expectData("e", room, "still here")
}

// TestHangupOfChat requires the same of the chat.
func TestHangupOfChat(t *testing.T) {
	t.Parallel()
	binary, err := released("chat")
	if err != nil {
		t.Fatal(err)
	}
	s := launch(t, binary, "CHAT_LISTEN=127.0.0.1:0", "CHAT_DATA="+filepath.Join(t.TempDir(), "data"), "PUSHER_PORT=1")
	t.Cleanup(s.stop)
	select {
	case <-s.log.first:
	case <-time.After(patience):
		t.Fatal("no log line")
	}
	listen := listenField.FindStringSubmatch(s.log.line(0))
	if listen == nil {
		t.Fatalf("first log line has no listen=: %s", s.log)
	}
	s.hangUp()
	if status, _ := httpGet(t, "http://"+listen[1]+"/api/config"); status != http.StatusOK {
		t.Errorf("GET /api/config after SIGHUP: got %d, want 200", status)
	}
}

// hangUp sends SIGHUP, and waits until the log tells of it once more.
func (s *server) hangUp() {
	s.t.Helper()
	before := strings.Count(s.log.String(), "SIGHUP")
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the log tells of SIGHUP", func() (string, bool) {
		text := s.log.String()
		return text, strings.Count(text, "SIGHUP") > before
	})
}
