//go:build conformance

package conformance

import (
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFromPolling runs both programs of each phase of docs/from-polling.md: a
// message that is posted to the one is shown by the other.
func TestFromPolling(t *testing.T) {
	all := snippetsOf(t, filepath.Join("docs", "from-polling.md"))
	for _, phase := range []string{"one", "two", "three"} {
		t.Run("phase "+phase, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			_, port, err := net.SplitHostPort(s.Addr)
			if err != nil {
				t.Fatal(err)
			}
			address := freeAddress(t)
			point := strings.NewReplacer("6001", port, "127.0.0.1:8090", address)

			background(t, exec.Command(goBinary(t, point.Replace(all["phase-"+phase+"-server"]))))
			page := background(t, nodeProgram(t.Context(), t, point.Replace(all["phase-"+phase+"-page"])))
			switch phase { // when has the page subscribed?
			case "one":
				awaitSubscribers(t, s, "chat-room-1", 1)
			case "two":
				awaitSubscribers(t, s, "private-chat-room-1", 1)
			case "three":
				page.awaitText("here ada")
			}
			res, err := http.PostForm("http://"+address+"/messages", url.Values{"text": {"hello " + phase}})
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusCreated {
				t.Fatalf("the message was answered %s, %v", res.Status, err)
			}
			page.awaitText("show hello " + phase)
		})
	}
}

// TestFromPollingRefuses asks the application of phase two for a signature as
// somebody else.
func TestFromPollingRefuses(t *testing.T) {
	t.Parallel()
	text := snippetsOf(t, filepath.Join("docs", "from-polling.md"))["phase-two-server"]
	address := freeAddress(t)
	background(t, exec.Command(goBinary(t, strings.ReplaceAll(text, "127.0.0.1:8090", address))))
	form := url.Values{"socket_id": {"1.2"}, "channel_name": {"private-chat-room-1"}}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.PostForm("http://"+address+"/pusher/auth", form)
		if err == nil {
			if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusForbidden {
				t.Fatalf("answered %s, %v; want 403", res.Status, err)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// goBinary builds a program.
func goBinary(t testing.TB, text string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "application")
	build := exec.Command("go", "build", "-o", binary, program(t, "main.go", text))
	build.Dir = root // where the SDK is known
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// freeAddress finds an address that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was for its number
	return l.Addr().String()
}
