//go:build conformance

package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pusher/pusher-http-go/v5"
)

// javaClient is a process with the unmodified Java client, and what it tells.
type javaClient struct {
	t        testing.TB
	commands io.Writer
	told     chan []string
}

// application signs as a customer's server does, with the Go SDK; forge makes its
// signatures wrong.
func application(t testing.TB, s *server, user, forge string) string {
	api := sdk(s)
	if forge != "" {
		api.Secret = forge
	}
	answer := func(w http.ResponseWriter, signed []byte, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		_, _ = w.Write(signed)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(form.Get("channel_name"), "presence-") {
			signed, err := api.AuthorizePrivateChannel(body)
			answer(w, signed, err)
			return
		}
		signed, err := api.AuthorizePresenceChannel(body, pusher.MemberData{UserID: user, UserInfo: map[string]string{"name": user}})
		answer(w, signed, err)
	})
	mux.HandleFunc("POST /user-auth", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		signed, err := api.AuthenticateUser(body, map[string]any{"id": user})
		answer(w, signed, err)
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	return site.URL
}

// startJava starts the Java client as a user, and waits until it is connected.
func startJava(t testing.TB, s *server, user, forge string) *javaClient {
	t.Helper()
	return startJavaWith(t, s, appKey, user, forge)
}

// startJavaWith gives it a key of its own.
func startJavaWith(t testing.TB, s *server, key, user, forge string) *javaClient {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil {
		t.Fatal("there is no JDK: install default-jdk-headless")
	}
	jars, err := filepath.Abs(".deps/java")
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", jars+"/*",
		"java/Driver.java", host, port, key, application(t, s, user, forge), "my-event,client-wave,pusher:missed,pusher:resumed")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	j := &javaClient{t: t, commands: in, told: make(chan []string, 1000)}
	go func() {
		defer close(j.told)
		var last []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var words []string
			if err := json.Unmarshal(lines.Bytes(), &words); err != nil {
				t.Errorf("the Java client printed %q", lines.Text())
				continue
			}
			if !tellsTwice(last, words) {
				j.told <- words
			}
			last = words
		}
	}()
	t.Cleanup(func() {
		end()
		_ = cmd.Wait() // it was killed
	})
	j.expect("state", "CONNECTING")
	j.expect("state", "CONNECTED")
	return j
}

func (j *javaClient) do(words ...string) {
	j.t.Helper()
	if _, err := io.WriteString(j.commands, strings.Join(words, "\t")+"\n"); err != nil {
		j.t.Fatal(err)
	}
}

// tellsTwice says whether the client tells of a subscribe that two of its threads have sent,
// as happens when it is asked in the moment of connecting: the second is refused as an
// existing subscription, or for the same reason as the first.
func tellsTwice(last, words []string) bool {
	return words[0] == "error" && (slices.Equal(last, words) || strings.HasPrefix(words[len(words)-1], "Existing subscription"))
}

// next returns what the client tells next.
func (j *javaClient) next() []string {
	j.t.Helper()
	const start = 40 * time.Second // of a JVM on a busy machine
	select {
	case words, running := <-j.told:
		if !running {
			j.t.Fatal("the Java client has ended")
		}
		return words
	case <-time.After(start):
		j.t.Fatal("the Java client tells nothing")
	}
	return nil
}

func (j *javaClient) expect(want ...string) {
	j.t.Helper()
	if got := j.next(); !slices.Equal(got, want) {
		j.t.Fatalf("the Java client told %q, want %q", got, want)
	}
}

// TestJavaClient does what the official Java client can do.
func TestJavaClient(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := sdk(s)
	ada := startJava(t, s, "ada", "")

	for _, channel := range []string{"room", "private-room", "private-encrypted-room", "cache-room"} {
		ada.do("subscribe", channel)
		ada.expect("succeeded", channel)
		ok(t, "trigger", api.Trigger(channel, "my-event", map[string]string{"text": "é😀"}))
		ada.expect("event", channel, "my-event", `{"text":"é😀"}`, "null")
	}
	ada.do("unsubscribe", "room")
	eventually(t, "the server has heard of it", func() (string, bool) {
		room, err := api.Channel("room", pusher.ChannelParams{})
		return fmt.Sprint(room, err), err == nil && !room.Occupied
	})
	ok(t, "trigger", api.Trigger("room", "my-event", "nobody hears it"))
	ok(t, "trigger", api.Trigger("private-room", "my-event", "fence"))
	ada.expect("event", "private-room", "my-event", "fence", "null")

	ada.do("subscribe", "presence-room")
	ada.expect("users", "presence-room", "ada")
	ada.expect("succeeded", "presence-room")
	bob := startJava(t, s, "bob", "")
	bob.do("subscribe", "presence-room")
	bob.expect("users", "presence-room", "ada,bob")
	bob.expect("succeeded", "presence-room")
	ada.expect("joined", "presence-room", "bob", `{"name":"bob"}`)
	bob.do("trigger", "presence-room", "client-wave", `{"n":1}`)
	ada.expect("event", "presence-room", "client-wave", `{"n":1}`, "bob")
	bob.do("disconnect")
	bob.expect("state", "DISCONNECTING")
	ada.expect("left", "presence-room", "bob")

	ada.do("signin")
	eventually(t, "ada is signed in", func() (string, bool) {
		ada.do("user")
		words := ada.next()
		return strings.Join(words, " "), slices.Equal(words, []string{"user", "ada"})
	})
	ok(t, "send to user", api.SendToUser("ada", "my-event", map[string]int{"n": 2}))
	ada.expect("to user", "my-event", `{"n":2}`)
}

// TestJavaClientIsRefused signs with a wrong secret.
func TestJavaClientIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	j := startJava(t, s, "eve", "wrong-secret")
	j.do("subscribe", "private-room")
	if words := j.next(); words[0] != "error" || !strings.Contains(strings.Join(words, " "), "Invalid signature") {
		t.Errorf("the Java client told %q, want an error that names the signature", words)
	}
	ok(t, "trigger", sdk(s).Trigger("private-room", "my-event", "not for eve"))
	j.do("subscribe", "room")
	j.expect("succeeded", "room")
}

// TestJavaClientReconnects restarts the server under a client, which asks by itself
// whether a silent connection lives.
func TestJavaClientReconnects(t *testing.T) {
	t.Parallel()
	s := start(t, "--shutdown-grace=1s")
	j := startJava(t, s, "ada", "")
	j.do("subscribe", "presence-room")
	j.expect("users", "presence-room", "ada")
	j.expect("succeeded", "presence-room")
	select {
	case words := <-j.told: // it pings after two seconds, and gives up after five more
		t.Fatalf("a silent connection: the Java client told %q", words)
	case <-time.After(9 * time.Second):
	}
	s.terminate()
	s.awaitExit()
	next := start(t, "--listen="+s.Addr)
	for {
		words := j.next()
		if slices.Equal(words, []string{"succeeded", "presence-room"}) {
			break
		}
		if words[0] == "event" || words[0] == "not signed" {
			t.Fatalf("the Java client told %q on its way back", words)
		}
	}
	ok(t, "trigger", sdk(next).Trigger("presence-room", "my-event", "back"))
	j.expect("event", "presence-room", "my-event", "back", "null")
}
