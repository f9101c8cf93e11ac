//go:build conformance && !goroutinereaders

package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// configured runs a server with a file, which can be written again.
type configured struct {
	*server
	file string
}

func startConfigured(t testing.TB, text string, settings ...string) *configured {
	t.Helper()
	c := &configured{file: filepath.Join(t.TempDir(), "channels.yaml")}
	c.write(t, text)
	c.server = start(t, append([]string{"--config=" + c.file}, settings...)...)
	return c
}

// write puts another file in the old one's place, as editors do.
func (c *configured) write(t testing.TB, text string) {
	t.Helper()
	next := c.file + ".next"
	ok(t, "write", os.WriteFile(next, []byte(text), 0o600))
	ok(t, "rename", os.Rename(next, c.file))
}

// reload is the command.
func (c *configured) reload() (answer string, worked bool) {
	c.t.Helper()
	// The command's own file is one without mistakes, or it would not get as far as to ask.
	text, err := command(mustBinary(c.t), []string{"reload", "--ops-listen=" + c.Ops}).CombinedOutput()
	return strings.TrimSpace(string(text)), err == nil
}

func (c *configured) logs(text string) {
	c.t.Helper()
	eventually(c.t, "the log has "+text, func() (string, bool) {
		log := c.log.String()
		return log, strings.Contains(log, text)
	})
}

func (c *configured) shows(metric string) {
	c.t.Helper()
	eventually(c.t, "the metrics have "+metric, func() (string, bool) {
		_, metrics := c.opsGet("/metrics")
		return metrics, strings.Contains(metrics, metric)
	})
}

const (
	firstApp  = "  - {id: 1, key: app-key, secret: app-secret%s}\n"
	secondApp = "  - {id: 2, key: second-key, secret: second-secret%s}\n"
	thirdApp  = "  - {id: 3, key: third-key, secret: third-secret}\n"
)

func appsFile(apps ...string) string { return "apps:\n" + strings.Join(apps, "") }

func connectKey(t testing.TB, s *server, key string) *client {
	t.Helper()
	return dial(t, s, strings.Replace(defaultPath, appKey, key, 1))
}

// TestReload changes the file under connections: by its change alone, by the command and
// by the signal.
func TestReload(t *testing.T) {
	t.Parallel()
	first, second := fmt.Sprintf(firstApp, ""), fmt.Sprintf(secondApp, "")
	s := startConfigured(t, appsFile(first, second))
	one, two := connect(t, s.server), connectKey(t, s.server, "second-key")
	two.awaitEstablished()
	one.subscribe(room)
	still := func(text string) {
		t.Helper()
		publish(t, s.server, room, "e", text)
		one.expectData("e", room, text)
	}

	s.write(t, appsFile(strings.Replace(first, "secret: app-secret", "secrets: [new-secret, app-secret]", 1),
		fmt.Sprintf(secondApp, ", disabled: true"), thirdApp))
	s.logs("settings reloaded: apps added: 3; apps changed: 1, 2")
	still("signed with the secret before")
	api := sdk(s.server)
	api.Secret = "new-secret"
	ok(t, "trigger", api.Trigger(room, "e", "signed with the new one"))
	one.expectData("e", room, "signed with the new one")
	two.expectErrorCode(4003, "Application disabled")
	two.expectClose(4003, "Application disabled")
	connectKey(t, s.server, "third-key").awaitEstablished()

	answer, worked := s.reload()
	if answer != "nothing has changed" || !worked {
		t.Errorf("reload: got %q, %t", answer, worked)
	}
	wrong := appsFile("  - {id: 1, key: app-key, secret: app-secret, max_conections: 5}\n", "  - {id: 1, key: other, secret: x, max_batch: -1}\n") + "log_level: loud\n"
	s.write(t, wrong)
	answer, worked = s.reload()
	if worked {
		t.Errorf("reload of mistakes: got %q", answer)
	}
	for _, mistake := range []string{"max_conections", "did you mean max_connections", "apps[1].id", "another app has it", "max_batch", "log_level"} {
		if !strings.Contains(answer, mistake) {
			t.Errorf("reload of mistakes: no word of %s in\n%s", mistake, answer)
		}
	}
	still("with mistakes")
	s.shows("channels_reload_failed 1")
	s.logs("the settings were not reloaded, the old ones stay: ")

	s.write(t, "")
	if answer, worked = s.reload(); worked || !strings.Contains(answer, "names no apps any more") {
		t.Errorf("reload of an empty file: got %q, %t", answer, worked)
	}
	s.logs(`names no apps any more; to refuse all clients of an app, set disabled" why="channels reload"`)
	still("with an empty file")

	s.write(t, appsFile(first)+"log_level: debug\nsoketi_metrics: true\n")
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.logs("settings reloaded: apps changed: 1; apps removed: 2, 3; log_level: debug; these need a restart: soketi_metrics")
	s.shows("channels_reload_failed 0")
	s.shows(`channels_reloads_total{result="refused"}`)
	still("at the end")
	refused := connectKey(t, s.server, "third-key")
	refused.expectErrorCode(4001, "…")
}

// TestReloadWebhooks gives a running server an endpoint, and takes it away.
func TestReloadWebhooks(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	hook := fmt.Sprintf(", webhooks: [{url: %q, events: [client_event]}]", r.URL)
	s := startConfigured(t, appsFile(fmt.Sprintf(firstApp, "")), "CHANNELS_WEBHOOKS_ALLOW_PRIVATE=true")
	c := connect(t, s.server)
	c.subscribePrivate("private-room")
	say := func(text string) {
		c.send(fmt.Sprintf(`{"event":"client-say","channel":"private-room","data":%q}`, text))
	}
	say("before")
	changes := 0
	change := func(hook string) {
		t.Helper()
		changes++
		s.write(t, appsFile(fmt.Sprintf(firstApp, hook)))
		eventually(t, "the file is reloaded", func() (string, bool) {
			log := s.log.String()
			return log, strings.Count(log, "apps changed: 1") == changes
		})
	}
	change(hook)
	say("with it")
	r.want("private-room", "client_event private-room client-say with it")
	change("")
	say("after")
	change(hook)
	say("again")
	r.want("private-room", "client_event private-room client-say with it", "client_event private-room client-say again")
}

// TestReloadOfNothing: without a file there is nothing to read again.
func TestReloadOfNothing(t *testing.T) {
	t.Parallel()
	s := &configured{server: start(t)}
	if answer, worked := s.reload(); worked || !strings.Contains(answer, "there is no file to read again") {
		t.Errorf("got %q, %t", answer, worked)
	}
	s.hangUp()
	s.alive()
}

// TestNodesDisagree: nodes that share a Redis say so when they have other settings of an app.
func TestNodesDisagree(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	file := func(change string) string { return appsFile(fmt.Sprintf(firstApp, change), thirdApp) }
	one := startConfigured(t, file(""), "--redis="+r.url())
	two := startConfigured(t, file(", max_connections: 5"), "--redis="+r.url())
	const metric = `channels_app_settings_differ_nodes{app_id="1"} 1`
	says := func(s *configured) func() bool {
		return func() bool {
			_, metrics := s.opsGet("/metrics")
			return strings.Contains(metrics, metric)
		}
	}
	within(t, 40*time.Second, "the first says so", says(one))
	within(t, 40*time.Second, "the second says so", says(two))
	one.logs("other nodes have other settings of the app")
	if _, metrics := one.opsGet("/metrics"); strings.Contains(metrics, `channels_app_settings_differ_nodes{app_id="3"}`) {
		t.Error("they differ about an app of which they have the same")
	}
	two.write(t, file(""))
	within(t, 40*time.Second, "they agree", func() bool { return !says(one)() && !says(two)() })
	one.logs("all nodes have the same settings of the app again")
}
