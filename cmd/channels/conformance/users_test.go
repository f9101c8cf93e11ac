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
	idle, active := connect(t, s), connect(t, s)
	active.subscribePrivate("private-x")
	opened := time.Now()
	idle.expectErrorCode(4009, "Connection not authorized within timeout")
	idle.expectClose(4009, "Connection not authorized within timeout")
	if took := time.Since(opened); took < 500*time.Millisecond {
		t.Errorf("closed after %v", took)
	}
	active.answers()
}

// TestTwoApps serves two apps from a file, with the same channels and users.
func TestTwoApps(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/channels.yaml"
	config := "apps:\n" +
		"  - {id: 1, key: " + appKey + ", secret: first-secret}\n" +
		"  - {id: 2, key: second-key, secret: second-secret, max_event_bytes: 20}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--config="+file)
	first := connect(t, s)
	second := dial(t, s, "/app/second-key?protocol=7")
	second.awaitEstablished()
	for _, c := range []*client{first, second} {
		c.subscribe("shared")
	}
	publish := func(id, key, secret, data string) int {
		t.Helper()
		status, _ := restCall{
			Method: "POST", Path: "/apps/" + id + "/events", Key: key, Secret: secret,
			Body: encode(t, map[string]string{"name": "from-" + id, "channel": "shared", "data": data}),
		}.do(t, s)
		return status
	}
	if status := publish("1", appKey, "first-secret", "a text of more than twenty bytes"); status != 200 {
		t.Errorf("first app: status %d", status)
	}
	if status := publish("2", "second-key", "second-secret", "a text of more than twenty bytes"); status != 413 {
		t.Errorf("second app, over its limit: status %d, want 413", status)
	}
	if status := publish("2", "second-key", "second-secret", "short"); status != 200 {
		t.Errorf("second app: status %d", status)
	}
	for _, wrong := range [][3]string{{"2", appKey, "first-secret"}, {"1", "second-key", "second-secret"}, {"1", appKey, "second-secret"}} {
		if status := publish(wrong[0], wrong[1], wrong[2], "x"); status != 401 {
			t.Errorf("app %s with the key %s: status %d, want 401", wrong[0], wrong[1], status)
		}
	}
	first.expectData("from-1", "shared", "a text of more than twenty bytes")
	second.expectData("from-2", "shared", "short")
	first.answers()
	second.answers()
}
