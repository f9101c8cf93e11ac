//go:build conformance

package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// runToEnd runs the binary to its end and gives what it printed.
func runToEnd(t testing.TB, args []string, settings ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(mustBinary(t), args, settings...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		t.Fatalf("channels %v did not end within %v; it printed\n%s%s", args, patience, &out, &errs)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestFirstLogLine(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, field := range []string{"version=", "listen=127.0.0.1:", "ops=127.0.0.1:"} {
		if !strings.Contains(s.FirstLine, field) {
			t.Errorf("first log line has no %s: %s", field, s.FirstLine)
		}
	}
	if strings.Contains(s.log.String(), appSecret) {
		t.Errorf("the log contains the secret:\n%s", s.log)
	}
}

// TestServeIsTheDefault starts the binary without a sub-command.
func TestServeIsTheDefault(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--log-level=info"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			t.Parallel()
			cmd := command(mustBinary(t), args, "CHANNELS_LISTEN=127.0.0.1:0", "CHANNELS_OPS_LISTEN=127.0.0.1:0")
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s := &server{t: t, cmd: cmd, log: newLogLines(), done: make(chan struct{})}
			go func() {
				defer close(s.done)
				s.log.readFrom(stderr)
				_ = cmd.Wait()
			}()
			t.Cleanup(s.stop)
			s.awaitListening()
			connect(t, s).subscribe(room)
		})
	}
}

func TestLogFormatJSON(t *testing.T) {
	t.Parallel()
	s := launch(t, mustBinary(t), "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "CHANNELS_LOG_FORMAT=json")
	t.Cleanup(s.stop)
	select {
	case <-s.log.first:
	case <-time.After(patience):
		t.Fatal("no log line")
	}
	if line := s.log.line(0); !strings.HasPrefix(line, "{") || !strings.Contains(line, `"listen":"127.0.0.1:`) {
		t.Errorf("first log line: got %s, want JSON with listen", line)
	}
}

func TestOpsListener(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/livez", "/readyz", "/debug/pprof/", "/debug/pprof/goroutine?debug=1"} {
		if status, body := s.opsGet(path); status != http.StatusOK {
			t.Errorf("GET %s: got %d %q, want 200", path, status, body)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/metrics", "/livez"} {
		if status, _ := httpGet(t, "http://"+s.Addr+path); status != http.StatusNotFound {
			t.Errorf("GET %s on the public listener: got %d, want 404", path, status)
		}
	}
}

// TestOpsToken asks without the token, with a wrong one and with the right one.
func TestOpsToken(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_OPS_TOKEN=very-secret")
	for _, path := range []string{"/metrics", "/debug/pprof/", "/livez", "/readyz"} {
		guarded := path != "/livez" && path != "/readyz"
		for header, may := range map[string]bool{"": !guarded, "Bearer wrong": !guarded, "very-secret": !guarded, "Bearer very-secret": true} {
			req, err := http.NewRequest(http.MethodGet, "http://"+s.Ops+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			res, err := s.httpClient().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[may]; res.StatusCode != want {
				t.Errorf("GET %s with %q: got %d, want %d", path, header, res.StatusCode, want)
			}
		}
	}
	if code, stdout, _ := runToEnd(t, []string{"health", "--ops-listen=" + s.Ops}); code != 0 || stdout != "ok\n" {
		t.Errorf("channels health: got %d %q, want ok without a token", code, stdout)
	}
}

// TestTwoSecrets changes a secret while publishers and clients use the one before.
func TestTwoSecrets(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_APP_SECRETS=new-secret,old-secret")
	for secret, want := range map[string]int{"new-secret": http.StatusOK, "old-secret": http.StatusOK, "app-secret": http.StatusUnauthorized} {
		call := restCall{Method: http.MethodGet, Path: "/apps/1/channels", Secret: secret}
		if status, body := call.do(t, s); status != want {
			t.Errorf("a request signed with %s: got %d %s, want %d", secret, status, body, want)
		}
		c := connect(t, s)
		c.send(subscribeFrame("private-room", "app-key:"+sign(secret, c.SocketID+":private-room"), ""))
		wanted := "pusher_internal:subscription_succeeded"
		if want != http.StatusOK {
			wanted = "pusher:error"
		}
		if f := c.next(); f.Event != wanted {
			t.Errorf("a subscribe signed with %s: got %s, want %s", secret, f.Raw, wanted)
		}
		c = connect(t, s)
		userData := `{"id":"7"}`
		c.send(`{"event":"pusher:signin","data":{"auth":"app-key:` + sign(secret, c.SocketID+"::user::"+userData) + `","user_data":` + quote(userData) + `}}`)
		wanted = "pusher:signin_success"
		if want != http.StatusOK {
			wanted = "pusher:error"
		}
		if f := c.next(); f.Event != wanted {
			t.Errorf("a signin signed with %s: got %s, want %s", secret, f.Raw, wanted)
		}
	}
}

// TestCommandLineIsNotServed starts the server with a secret in its arguments.
func TestCommandLineIsNotServed(t *testing.T) {
	t.Parallel()
	s := start(t, "--app-secret=very-secret")
	if status, body := s.opsGet("/debug/pprof/cmdline"); status != http.StatusNotFound || strings.Contains(body, "very-secret") {
		t.Errorf("got %d %q, want 404", status, body)
	}
}

// TestProfilesUnderAnotherName asks as a page would whose name leads to this machine.
func TestProfilesUnderAnotherName(t *testing.T) {
	t.Parallel()
	s := start(t)
	req, err := http.NewRequest(http.MethodGet, "http://"+s.Ops+"/debug/pprof/heap", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "rebound.example:9601"
	client := http.Client{Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("got %s, want 403", res.Status)
	}
}

func TestSoketiMetrics(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]bool{"CHANNELS_SOKETI_METRICS=false": false, "CHANNELS_SOKETI_METRICS=true": true} {
		s := start(t, setting)
		_, page := s.opsGet("/metrics")
		if got := strings.Contains(page, `soketi_connected{app_id="1",port="`); got != want {
			t.Errorf("%s: got Soketi's names %t", setting, got)
		}
		if !strings.Contains(page, `channels_connections{app_id="1"} 0`) {
			t.Errorf("%s: our names are missing", setting)
		}
	}
}

func TestOpsListenerOff(t *testing.T) {
	t.Parallel()
	s := launch(t, mustBinary(t), "--listen=127.0.0.1:0", "--ops-listen=off")
	t.Cleanup(s.stop)
	select {
	case <-s.log.first:
	case <-time.After(patience):
		t.Fatal("no log line")
	}
	listen := listenField.FindStringSubmatch(s.log.line(0))
	if listen == nil {
		t.Fatalf("first log line has no listen=: %s", s.log.line(0))
	}
	s.Addr = listen[1]
	connect(t, s).subscribe(room)
}

// TestShutdown requires that SIGTERM closes every socket with 4200, spread
// over the grace and no longer.
func TestShutdown(t *testing.T) {
	t.Parallel()
	const sockets = 40
	grace := 4 * time.Second
	s := start(t, "--shutdown-grace="+grace.String())
	var clients []*client
	for range sockets {
		c := connect(t, s)
		c.subscribe(room)
		clients = append(clients, c)
	}

	asked := time.Now()
	s.terminate()
	closedAt := make(chan time.Duration, sockets)
	for _, c := range clients {
		go func() {
			for f := range c.frames {
				if f.Event != "pusher:error" {
					t.Errorf("while shutting down: got %s", f.Raw)
				}
			}
			var closed websocket.CloseError
			if !errors.As(c.ended, &closed) || closed.Code != 4200 || closed.Reason != "Generic reconnect immediately" {
				t.Errorf("closed with %v, want 4200 Generic reconnect immediately", c.ended)
			}
			closedAt <- time.Since(asked)
		}()
	}
	first, last := time.Hour, time.Duration(0)
	for range sockets {
		select {
		case at := <-closedAt:
			first, last = min(first, at), max(last, at)
		case <-time.After(patience):
			t.Fatal("a socket was left open")
		}
	}
	if last-first < grace/4 || last > grace+3*time.Second {
		t.Errorf("sockets closed from %v to %v after SIGTERM, want them spread over %v", first, last, grace)
	}
	if code := s.awaitExit(); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}
	t.Logf("closed from %v to %v, gone after %v", first, last, time.Since(asked))
}

// TestShutdownWhenIdle has nobody to wait for.
func TestShutdownWhenIdle(t *testing.T) {
	t.Parallel()
	s := start(t, "--shutdown-grace=15s")
	asked := time.Now()
	s.terminate()
	if code := s.awaitExit(); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}
	if took := time.Since(asked); took > 10*time.Second {
		t.Errorf("without a socket the end took %v of a grace of 15s", took)
	}
}

// TestReadinessWhileShuttingDown requires that the balancer hears of the end
// while the sockets are still served.
func TestReadinessWhileShuttingDown(t *testing.T) {
	t.Parallel()
	s := start(t, "--shutdown-grace=5s")
	for range 5 {
		connect(t, s)
	}
	for _, path := range []string{"/up", "/readyz"} {
		if status, body := httpGet(t, "http://"+s.Addr+path); status != http.StatusOK || body != "ok\n" {
			t.Errorf("GET %s on the public listener: got %d %q, want 200 and ok", path, status, body)
		}
	}
	s.terminate()
	eventually(t, "/readyz of 503 while shutting down", func() (string, bool) {
		status, body := s.opsGet("/readyz")
		return fmt.Sprint(status, " ", body), status == http.StatusServiceUnavailable
	})
	for _, path := range []string{"/up", "/readyz"} {
		if status, body := httpGet(t, "http://"+s.Addr+path); status != http.StatusServiceUnavailable || body != "not ready\n" {
			t.Errorf("GET %s on the public listener: got %d %q, want 503 and no more than that it is not ready", path, status, body)
		}
	}
	s.alive()
	eventually(t, "new connections refused while shutting down", func() (string, bool) {
		conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil {
			return err.Error(), true
		}
		_ = conn.Close()
		return "accepted", false
	})
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runToEnd(t, []string{"version"})
	if code != 0 || strings.TrimSpace(stdout) == "" {
		t.Errorf("channels version: got %d, %q, %q, want 0 and a version", code, stdout, stderr)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}, {"serve", "--help"}} {
		code, stdout, stderr := runToEnd(t, args)
		text := stdout + stderr
		if code != 0 || !strings.Contains(text, "serve") || !strings.Contains(text, "--listen") && !strings.Contains(text, "-listen") {
			t.Errorf("channels %v: got %d, %q, %q, want 0 and the usage", args, code, stdout, stderr)
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runToEnd(t, []string{"dance"})
	if code == 0 || !strings.Contains(stderr, "dance") {
		t.Errorf("channels dance: got %d, %q, %q, want a failure that names it", code, stdout, stderr)
	}
}

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runToEnd(t, []string{"check-config"})
	if code != 0 {
		t.Errorf("channels check-config with defaults: got %d, %q, %q, want 0", code, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, appSecret) {
		t.Errorf("check-config prints the secret: %q %q", stdout, stderr)
	}
}

// TestEveryMistakeAtOnce requires each field and its value.
func TestEveryMistakeAtOnce(t *testing.T) {
	mistakes := [][2]string{
		{"CHANNELS_LISTEN", "no-port"},
		{"CHANNELS_SHUTDOWN_GRACE", "soonish"},
		{"CHANNELS_LOG_LEVEL", "shouting"},
		{"CHANNELS_LOG_FORMAT", "poem"},
		{"CHANNELS_APP_MAX_BATCH", "-11"},
		{"CHANNELS_APP_CLIENT_EVENTS", "perhaps"},
		{"CHANNELS_APP_CLIENT_EVENT_DATA", "blob"},
		{"CHANNELS_APP_CACHE_TTL", "half an hour"},
		{"CHANNELS_APP_MAX_EVENT_BYTES", "ten"},
	}
	var settings []string
	for _, m := range mistakes {
		settings = append(settings, m[0]+"="+m[1])
	}
	for _, command := range []string{"check-config", "serve"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := runToEnd(t, []string{command}, settings...)
			if code == 0 {
				t.Errorf("exit code: got 0, want a failure")
			}
			for _, m := range mistakes {
				field := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(m[0], "CHANNELS_APP_"), "CHANNELS_"))
				text := strings.NewReplacer("-", "_").Replace(strings.ToLower(stderr))
				value := strings.NewReplacer("-", "_").Replace(m[1])
				if !strings.Contains(text, field) || !strings.Contains(text, value) {
					t.Errorf("no word of %s=%s in:\n%s%s", m[0], m[1], stdout, stderr)
				}
			}
		})
	}
}

func TestUnknownFlag(t *testing.T) {
	t.Parallel()
	code, _, stderr := runToEnd(t, []string{"serve", "--lisen=127.0.0.1:0"})
	if code == 0 || !strings.Contains(stderr, "lisen") {
		t.Errorf("unknown flag: got %d %q, want a failure that names it", code, stderr)
	}
}

// TestDevelopmentCredentialsStayAtHome refuses the default secret where others
// can reach it.
func TestDevelopmentCredentialsStayAtHome(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		code, _, stderr := runToEnd(t, []string{"serve"}, "CHANNELS_LISTEN="+listen, "CHANNELS_OPS_LISTEN=off")
		if code == 0 || !strings.Contains(strings.ToLower(stderr), "secret") {
			t.Errorf("development credentials on %s: got %d %q, want a refusal that says why", listen, code, stderr)
		}
	}
}

// TestPortInUse requires a plain failure.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	s := start(t)
	code, _, stderr := runToEnd(t, []string{"serve"}, "CHANNELS_LISTEN="+s.Addr, "CHANNELS_OPS_LISTEN=off")
	if code == 0 || !strings.Contains(stderr, "in use") {
		t.Errorf("port in use: got %d %q, want a failure that says so", code, stderr)
	}
}

// TestPrecedence sets the same thing in every place: flag, then environment,
// then file, then default.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, "listen: 127.0.0.1:1\nops_listen: 127.0.0.1:1\n")
	s := startBinaryWith(t, []string{"--listen=127.0.0.1:0"}, "CHANNELS_CONFIG="+file, "CHANNELS_LISTEN=127.0.0.1:2", "CHANNELS_OPS_LISTEN=127.0.0.1:0")
	connect(t, s).subscribe(room)
	s.alive()
}

// startBinaryWith starts the server with these flags only.
func startBinaryWith(t testing.TB, flags []string, settings ...string) *server {
	t.Helper()
	s := launch(t, mustBinary(t), append(flags, settings...)...)
	t.Cleanup(s.stop)
	s.awaitListening()
	return s
}

func writeConfig(t testing.TB, yaml string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "channels.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const twoApps = `
apps:
  - id: "1"
    key: first-key
    secret: first-secret
  - id: "2"
    key: second-key
    secret: second-secret
    max_batch: 2
`

// TestTwoApps requires that apps know nothing of each other.
func TestTwoApps(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_CONFIG="+writeConfig(t, twoApps))
	first := dial(t, s, "/app/first-key?protocol=7")
	first.awaitEstablished()
	first.subscribe(room)
	second := dial(t, s, "/app/second-key?protocol=7")
	second.awaitEstablished()
	second.subscribe(room)

	send := func(id, key, secret string) (status int, body string) {
		return restCall{Method: http.MethodPost, Path: "/apps/" + id + "/events", Key: key, Secret: secret, Body: []byte(validEvent)}.do(t, s)
	}
	if status, body := send("1", "first-key", "first-secret"); status != http.StatusOK {
		t.Fatalf("first app: got %d %q", status, body)
	}
	first.expect("forged", room)
	if status, body := send("2", "second-key", "second-secret"); status != http.StatusOK {
		t.Fatalf("second app: got %d %q", status, body)
	}
	second.expect("forged", room)
	if status, body := send("1", "second-key", "second-secret"); status != http.StatusUnauthorized {
		t.Errorf("key of the second app for the first: got %d %q, want 401", status, body)
	}
	first.answers()
	second.answers()
}

func TestAppsInFileAndEnvironment(t *testing.T) {
	t.Parallel()
	code, _, stderr := runToEnd(t, []string{"check-config"}, "CHANNELS_CONFIG="+writeConfig(t, twoApps), "CHANNELS_APP_KEY=another")
	if code == 0 {
		t.Errorf("apps in the file and in the environment: got 0 %q, want a failure", stderr)
	}
}

func TestUnknownFieldInFile(t *testing.T) {
	t.Parallel()
	code, _, stderr := runToEnd(t, []string{"check-config"}, "CHANNELS_CONFIG="+writeConfig(t, "lisen: 127.0.0.1:6001\n"))
	if code == 0 || !strings.Contains(stderr, "lisen") {
		t.Errorf("unknown field: got %d %q, want a failure that names it", code, stderr)
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	code, _, stderr := runToEnd(t, []string{"check-config", "--config=/nowhere/channels.yaml"})
	if code == 0 || !strings.Contains(stderr, "/nowhere/channels.yaml") {
		t.Errorf("missing file: got %d %q, want a failure that names it", code, stderr)
	}
}

// TestWelcomePage shows itself with the development credentials only.
func TestWelcomePage(t *testing.T) {
	t.Parallel()
	s := start(t)
	status, body := httpGet(t, "http://"+s.Addr+"/")
	if status != http.StatusOK || !strings.Contains(body, appKey) || !strings.Contains(body, "Pusher(") {
		t.Errorf("GET /: got %d %.200q, want 200 and the pusher-js snippet", status, body)
	}
	own := start(t, "CHANNELS_APP_ID=7", "CHANNELS_APP_KEY=own-key", "CHANNELS_APP_SECRET=own-secret-of-good-length")
	if status, body := httpGet(t, "http://"+own.Addr+"/"); status != http.StatusNotFound {
		t.Errorf("GET / with own credentials: got %d %.200q, want 404", status, body)
	}
}
