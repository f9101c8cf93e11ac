//go:build conformance

package conformance

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// signIn signs in with what a user-auth endpoint answered.
func (c *client) signIn(answer []byte) frame {
	c.t.Helper()
	var signed json.RawMessage = answer
	message, err := json.Marshal(map[string]any{"event": "pusher:signin", "data": signed})
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(string(message))
	return c.expect("pusher:signin_success", "")
}

func (c *client) signInAs(t testing.TB, s *server, id string) {
	t.Helper()
	body := []byte(url.Values{"socket_id": {c.SocketID}}.Encode())
	c.signIn(must[[]byte](t, "authenticate")(sdk(s).AuthenticateUser(body, map[string]any{"id": id})))
}

// TestPythonTerminates uses pusher-http-python, whose path for this call lacks
// the app's id.
func TestPythonTerminates(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, bob := connect(t, s), connect(t, s)
	ada.signInAs(t, s, "ada")
	bob.signInAs(t, s, "bob")
	host, port, _ := strings.Cut(s.Addr, ":")
	script := `
import os, pusher
client = pusher.Pusher(app_id=os.environ["ID"], key=os.environ["KEY"], secret=os.environ["SECRET"],
                       host=os.environ["HOST"], port=int(os.environ["PORT"]), ssl=False)
client.terminate_user_connections("ada")
assert client.channels_info() == {"channels": {}}, client.channels_info()
`
	cmd := exec.Command(".deps/python/bin/python", "-c", script)
	cmd.Env = append(os.Environ(), "ID="+appID, "KEY="+appKey, "SECRET="+appSecret, "HOST="+host, "PORT="+port)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("python: %v\n%s", err, out)
	}
	ada.expectErrorCode(4009, "You got disconnected by the app.")
	ada.expectClose(4009, "You got disconnected by the app.")
	bob.answers()
}

// TestQuota counts connections of the app, and lets nobody in above it.
func TestQuota(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_APP_MAX_CONNECTIONS=2")
	one, two := connect(t, s), connect(t, s)
	third := dial(t, s, defaultPath)
	third.expectErrorCode(4004, "Application is over connection quota")
	third.expectClose(4004, "Application is over connection quota")
	one.answers()
	two.answers()
}

// TestNotAuthorizedInTime waits for the shortest time that can be set.
func TestNotAuthorizedInTime(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_APP_AUTHORIZED_CONNECTIONS=true", "CHANNELS_APP_AUTHORIZED_TIMEOUT=1s")
	opened := time.Now()
	idle, active := connect(t, s), connect(t, s)
	active.subscribePrivate("private-x")
	idle.expectErrorCode(4009, "Connection not authorized within timeout")
	idle.expectClose(4009, "Connection not authorized within timeout")
	if took := time.Since(opened); took < 500*time.Millisecond {
		t.Errorf("closed after %v", took)
	}
	active.answers()
}
