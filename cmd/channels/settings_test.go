package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"channels/hub"
)

// environment is a getenv over a map.
func environment(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func configFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "channels.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDefaults(t *testing.T) {
	s, err := loadSettings(nil, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen != "127.0.0.1:6001" || s.OpsListen != "127.0.0.1:9601" || s.ShutdownGrace != 10*time.Second {
		t.Errorf("got %+v", s)
	}
	if len(s.Apps) != 1 || welcomeApp(&s) == nil {
		t.Fatalf("apps %+v, want the one for development", s.Apps)
	}
	app := s.Apps[0]
	if app.ID != "1" || app.Key != "app-key" || app.Secret != "app-secret" || !app.ClientEvents ||
		app.MaxEventBytes != 10240 || app.CacheTTL != 30*time.Minute || app.ActivityTimeout != 2*time.Minute {
		t.Errorf("app %+v", app)
	}
}

func TestPrecedence(t *testing.T) {
	config := configFile(t, "listen: 127.0.0.1:1\nops_listen: 127.0.0.1:2\nlog_format: json\n")
	s, err := loadSettings(
		[]string{"--listen", "127.0.0.1:3", "--config=" + config, "-app-key", "flag"},
		environment(map[string]string{
			"CHANNELS_LISTEN": "127.0.0.1:4", "CHANNELS_OPS_LISTEN": "127.0.0.1:5",
			"CHANNELS_APP_KEY": "env", "CHANNELS_APP_ID": "7", "CHANNELS_APP_CACHE_TTL": "90",
		}))
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen != "127.0.0.1:3" || s.OpsListen != "127.0.0.1:5" || s.LogFormat != "json" {
		t.Errorf("got %+v, want the flag, then the environment, then the file", s)
	}
	if app := s.Apps[0]; app.Key != "flag" || app.ID != "7" || app.CacheTTL != 90*time.Second {
		t.Errorf("app %+v", app)
	}
}

func TestSecrets(t *testing.T) {
	config := configFile(t, "apps:\n  - {id: 1, key: one, secrets: [new, old, older]}\n  - {id: 2, key: two, secrets: [only]}\n")
	s, err := loadSettings([]string{"--config", config}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if one := s.Apps[0]; one.Secret != "new" || len(one.OtherSecrets) != 2 || one.OtherSecrets[0] != "old" || one.OtherSecrets[1] != "older" {
		t.Errorf("got %q and %q", one.Secret, one.OtherSecrets)
	}
	if two := s.Apps[1]; two.Secret != "only" || len(two.OtherSecrets) != 0 {
		t.Errorf("got %q and %q", two.Secret, two.OtherSecrets)
	}
	var shown strings.Builder
	if err := writeSettings(&shown, s); err != nil {
		t.Fatal(err)
	}
	if text := shown.String(); strings.Count(text, "secrets: '***'") != 1 || strings.Count(text, "secret: '***'") != 1 {
		t.Errorf("got %s", text)
	}
}

func TestAppsFromFile(t *testing.T) {
	config := configFile(t, `
listen: 0.0.0.0:6001
limits:
  max_queue_bytes: 1GiB
apps:
  - {id: 1, key: one, secret: s1, max_connections: 5}
  - id: "2"
    key: two
    secret: s2
    client_events: false
    allowed_origins: [https://example.com, "*.example.org"]
    max_event_bytes: 64KiB
`)
	s, err := loadSettings([]string{"--config", config}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Apps) != 2 || welcomeApp(&s) != nil || s.Limits.MaxQueueBytes != 1<<30 {
		t.Fatalf("got %+v", s)
	}
	one, two := s.Apps[0], s.Apps[1]
	if one.ID != "1" || one.MaxConnections != 5 || !one.ClientEvents || one.MaxBatch != 10 {
		t.Errorf("one: %+v", one)
	}
	if two.ID != "2" || two.ClientEvents || len(two.AllowedOrigins) != 2 || two.MaxEventBytes != 64<<10 {
		t.Errorf("two: %+v", two)
	}
}

func TestMistakes(t *testing.T) {
	const apps = "apps:\n  - {id: 1, key: one, secret: very-secret"
	for name, test := range map[string]struct {
		args []string
		env  map[string]string
		file string
		want []string
	}{
		"five at once": {
			file: "listen: nowhere\nshutdown_grace: soon\n" + apps + ", max_batch: -3, client_events: perhaps, client_event_data: xml}\n",
			want: []string{
				`listen: nowhere: must be host:port`,
				`shutdown_grace: soon: must be a duration`,
				`apps[0].max_batch: -3: must be at least 1`,
				`apps[0].client_events: perhaps: must be true or false`,
				`apps[0].client_event_data: xml: must be string or raw`,
			},
		},
		"two apps with one key": {
			file: apps + "}\n  - {id: 2, key: one, secret: b}\n",
			want: []string{"apps[1].key: one: another app has it"},
		},
		"two apps with one id": {
			file: apps + "}\n  - {id: 1, key: two, secret: b}\n",
			want: []string{"apps[1].id: 1: another app has it"},
		},
		"an app without credentials": {
			file: "apps:\n  - {key: one}\n",
			want: []string{"apps[0].id: is missing", "apps[0].secret: is missing"},
		},
		"a file and an environment with apps": {
			file: apps + "}\n", env: map[string]string{"CHANNELS_APP_KEY": "x"},
			want: []string{"CHANNELS_APP_KEY: apps are named in the file"},
		},
		"unknown settings": {
			file: "lisen: x\nlimits:\n  many: 1\n" + apps + ", colour: red}\n",
			want: []string{"lisen (line 1): is not a setting; did you mean listen?", "limits.many (line 3): is not a setting", "apps[0].colour (line 5): is not a setting"},
		},
		"the public secret on a public address": {
			args: []string{"--listen", "0.0.0.0:6001"},
			want: []string{"listen: 0.0.0.0:6001: the secret for development is public"},
		},
		"the public secret on every address": {
			args: []string{"--listen", ":6001"},
			want: []string{"listen: :6001: the secret for development is public"},
		},
		"unknown flags":   {args: []string{"--lisen", "x"}, want: []string{`unknown argument "--lisen"`}},
		"a flag alone":    {args: []string{"--listen"}, want: []string{"--listen: needs a value"}},
		"no such file":    {args: []string{"--config", "/does/not/exist"}, want: []string{"config: "}},
		"not YAML":        {file: "a: [", want: []string{"channels.yaml: is not YAML"}},
		"not a mapping":   {file: "[]", want: []string{"channels.yaml: must be a mapping"}},
		"apps not a list": {file: "apps: 7", want: []string{"apps (line 1): must be a list"}},
		"half of TLS":     {env: map[string]string{"CHANNELS_TLS_CERT_FILE": os.Args[0]}, want: []string{"tls: cert_file and key_file go together"}},
		"no certificate":  {env: map[string]string{"CHANNELS_TLS_CERT_FILE": "/none"}, want: []string{"CHANNELS_TLS_CERT_FILE: /none: must be a file", "tls: cert_file and key_file go together"}},
		"an origin":       {env: map[string]string{"CHANNELS_APP_ALLOWED_ORIGINS": "https://a b"}, want: []string{"CHANNELS_APP_ALLOWED_ORIGINS"}},
		"a directory as certificate": {
			env:  map[string]string{"CHANNELS_TLS_CERT_FILE": "/", "CHANNELS_TLS_KEY_FILE": os.Args[0]},
			want: []string{"CHANNELS_TLS_CERT_FILE: /: must be a file that can be read: is not a regular file"},
		},
		"no certificate in the files": {
			env:  map[string]string{"CHANNELS_TLS_CERT_FILE": os.Args[0], "CHANNELS_TLS_KEY_FILE": os.Args[0]},
			want: []string{"tls: cert_file and key_file must be a certificate and its key"},
		},
		"a flag and the environment beside the apps of a file": {
			file: apps + "}\n", args: []string{"--app-id", "7"}, env: map[string]string{"CHANNELS_APP_MAX_BATCH": "5"},
			want: []string{"--app-id, CHANNELS_APP_MAX_BATCH: apps are named in the file"},
		},
		"settings that stand twice": {
			file: "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n" + apps + ", key: two}\n",
			want: []string{"listen (line 2): is set already in line 1", "apps[0].key (line 4): is set already in line 4"},
		},
		"two documents":         {file: "listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", want: []string{"channels.yaml: must be a single YAML document"}},
		"a list for one":        {file: "listen: [127.0.0.1:1]\n", want: []string{"listen (line 1): must be a single value"}},
		"a list of lists":       {file: apps + ", allowed_origins: [[a]]}\n", want: []string{"apps[0].allowed_origins (line 2): must be a list of single values"}},
		"an app that is text":   {file: "apps: [one]\n", want: []string{"apps[0] (line 1): must be a mapping"}},
		"limits that are text":  {file: "limits: many\n", want: []string{"limits (line 1): must be a mapping"}},
		"an empty key":          {file: "apps:\n  - {id: 1, key: '', secret: b}\n", want: []string{`apps[0].key: "": must be letters`}},
		"a slash in an id":      {args: []string{"--app-id", "a/b"}, want: []string{"--app-id: a/b: must be"}},
		"a step up as an id":    {args: []string{"--app-id", ".."}, want: []string{"--app-id: ..: must be"}},
		"a line end in an id":   {args: []string{"--app-id", "a\nb"}, want: []string{"must be a number, or other text"}},
		"no UTF-8 in an id":     {args: []string{"--app-id", "a\xff"}, want: []string{"must be a number, or other text"}},
		"seconds that overflow": {env: map[string]string{"CHANNELS_APP_CACHE_TTL": "18446744074"}, want: []string{"CHANNELS_APP_CACHE_TTL: 18446744074: must be between 1s and 1000h"}},
		"sizes that overflow": {
			env:  map[string]string{"CHANNELS_LIMITS_MAX_QUEUE_BYTES": "9007199254740993KiB", "CHANNELS_LIMITS_MAX_REQUEST_BYTES": "-9223372036854775808GiB"},
			want: []string{"CHANNELS_LIMITS_MAX_QUEUE_BYTES: 9007199254740993KiB: must be a number", "CHANNELS_LIMITS_MAX_REQUEST_BYTES: -9223372036854775808GiB: must be at least 0"},
		},
		"one address for both": {args: []string{"--ops-listen", "127.0.0.1:6001"}, want: []string{"ops_listen: 127.0.0.1:6001: must differ from listen"}},
		"limits that contradict each other": {
			file: "limits:\n  max_queue_bytes: 2MiB\n  max_queue_bytes_per_connection: 3MiB\n  max_request_bytes: 8KiB\n" +
				apps + ", max_event_bytes: 8192}\n  - {id: 2, key: two, secret: b, commands_per_second: 5}\n",
			want: []string{
				"limits.max_queue_bytes: 2097152: must be at least limits.max_queue_bytes_per_connection, which is 3145728",
				"apps[1].max_event_bytes: 10240: such an event does not fit in a request: limits.max_request_bytes is 8192",
				"apps[1].client_events_per_second: 10: must be at most commands_per_second, which is 5",
			},
		},
		"addresses that nobody reaches": {
			args: []string{"--advertise", "10.0.0.1"}, env: map[string]string{"CHANNELS_ADVERTISE": "0.0.0.0:6001"}, file: "advertise: 10.0.0.1:0\n",
			want: []string{
				"--advertise: 10.0.0.1: must be host:port", "CHANNELS_ADVERTISE: 0.0.0.0:6001: must be the address of one machine",
				"advertise: 10.0.0.1:0: must be host:port",
			},
		},
		"names that are none": {
			file: "public_hostname: https://node1.example.com\n", env: map[string]string{"CHANNELS_PUBLIC_HOSTNAME": "node1.example.com:6001"},
			want: []string{"public_hostname: https://node1.example.com: must be the name of a machine", "CHANNELS_PUBLIC_HOSTNAME: node1.example.com:6001: must be the name"},
		},
		"PROXY headers of nobody": {
			file: "proxy_protocol: true\ntrusted_proxies: []\n",
			want: []string{"proxy_protocol: true: needs trusted_proxies"},
		},
		"a history that is none": {
			file: apps + ", history: 5}\n",
			want: []string{"apps[0].history (line 2): must be a mapping"},
		},
		"mistakes in a history": {
			file: apps + ", history: {events: many, age: 1ms, days: 3}}\n",
			want: []string{
				"apps[0].history.events: many: must be",
				"apps[0].history.age: 1ms: must be",
				"apps[0].history.days (line 2): is not a setting",
			},
		},
		"a history larger than its share": {
			file: apps + ", history: {events: 10, bytes: 1MiB, total: 10MiB}}\n",
			want: []string{"apps[0].history.total: 10485760: must be at least 64 times history.bytes, which is 1048576: 67108864"},
		},
		"resuming without a history": {
			file: apps + ", resume: 5m}\n",
			want: []string{"apps[0].resume: 5m0s: needs history.events"},
		},
		"resuming for too short a time": {
			file: apps + ", resume: 1m, history: {events: 10}}\n",
			want: []string{"apps[0].resume: 1m0s: must be at least 1m30s"},
		},
		"resuming for longer than events are kept": {
			file: apps + ", resume: 11m, history: {events: 10}}\n",
			want: []string{"apps[0].resume: 11m0s: must be at most history.age, which is 10m0s"},
		},
		"webhooks that are none": {
			file: apps + ", webhooks: {url: x}}\n",
			want: []string{"apps[0].webhooks (line 2): must be a list of endpoints"},
		},
		"all mistakes of endpoints": {
			file: apps + `, webhooks: [
  {url: "ftp://example.com", events: [channel_occupied, channel_empty]},
  {url: "https://example.com/#x", events: [], timeout: 5ms, batch: perhaps, retries: 3},
  {events: member_added, headers: {X-Pusher-Key: very-secret, "a b": x, Ok: [1]}},
  {url: "https://user:very-secret@example.com", events: client_event}, {url: "https://user:very-secret@example.com", events: cache_miss},
  nonsense]}
`,
			want: []string{
				"apps[0].webhooks[0].url: must be a URL such as https://example.com/webhooks",
				"apps[0].webhooks[0].events: \"channel_occupied, channel_empty\": must be some of channel_occupied, channel_vacated, member_added, member_removed, client_event, cache_miss, subscription_count, not channel_empty",
				"apps[0].webhooks[1].url: must have no part after #",
				"apps[0].webhooks[1].events: \"\": must be some of",
				"apps[0].webhooks[1].timeout: 5ms: must be",
				"apps[0].webhooks[1].batch: perhaps: must be",
				"apps[0].webhooks[1].retries (line 4): is not a setting",
				"apps[0].webhooks[2].url (line 5): is missing",
				"apps[0].webhooks[2].headers.X-Pusher-Key (line 5): is set by the server",
				"apps[0].webhooks[2].headers.\"a b\" (line 5): is no name of a header",
				"apps[0].webhooks[2].headers.Ok (line 5): must be a single line of text",
				"apps[0].webhooks[4] (line 6): is the same url and channel_prefix",
				"apps[0].webhooks[5] (line 7): must be a mapping with url and events",
			},
		},
		"half an endpoint in the environment": {
			env:  map[string]string{"CHANNELS_APP_WEBHOOK_URL": "https://example.com"},
			want: []string{"CHANNELS_APP_WEBHOOK_URL: needs both CHANNELS_APP_WEBHOOK_URL and CHANNELS_APP_WEBHOOK_EVENTS"},
		},
		"an endpoint beside a file": {
			file: apps + "}\n",
			env:  map[string]string{"CHANNELS_APP_WEBHOOK_URL": "https://example.com/", "CHANNELS_APP_WEBHOOK_EVENTS": "cache_miss"},
			want: []string{"CHANNELS_APP_WEBHOOK_URL, CHANNELS_APP_WEBHOOK_EVENTS: apps are named in the file"},
		},
		"data beside a Redis": {
			args: []string{"--data", "/tmp/x", "--redis", "redis://localhost"},
			want: []string{"data: /tmp/x: is for a node without Redis"},
		},
		"too long a time for an answer": {
			file: apps + `, webhooks: [{url: "https://example.com/", events: [cache_miss], timeout: 1h}]}`,
			want: []string{"apps[0].webhooks[0].timeout: 1h: must be a duration between 100ms and 1m"},
		},
		"a Redis that is none": {
			args: []string{"--redis", "http://:very-secret@localhost"}, env: map[string]string{"CHANNELS_REDIS_URL": "redis://:very-secret@localhost/x"},
			want: []string{`--redis: scheme "http": must be redis`, `CHANNELS_REDIS_URL: path "x": must be the number of a database`},
		},
		"a secret without a space":  {file: "apps:\n  - {id: 1, key: one, secret:very-secret}\n", want: []string{"apps[0].secret (line 2): needs a space after the colon", "apps[0].secret: is missing"}},
		"a secret like an alias":    {file: "apps:\n  - {id: 1, key: one, secret: *very-secret}\n", want: []string{"channels.yaml: is not YAML: a value that begins with * needs quotes"}},
		"secrets beside a secret":   {file: "apps:\n  - {id: 1, key: one, secret: very-secret, secrets: [b]}\n", want: []string{"apps[0].secrets: stands in place of secret"}},
		"a secret twice":            {file: "apps:\n  - {id: 1, key: one, secrets: [very-secret, very-secret]}\n", want: []string{"apps[0].secrets: must not name a secret twice"}},
		"an empty secret":           {file: "apps:\n  - {id: 1, key: one, secrets: [very-secret, '']}\n", want: []string{"apps[0].secrets: must be one or more secrets"}},
		"no secrets":                {file: "apps:\n  - {id: 1, key: one, secrets: []}\n", want: []string{"apps[0].secrets: must be one or more secrets"}},
		"both in the environment":   {env: map[string]string{"CHANNELS_APP_SECRET": "very-secret", "CHANNELS_APP_SECRETS": "b"}, want: []string{"CHANNELS_APP_SECRETS: stands in place of the single secret"}},
		"a token with a space":      {env: map[string]string{"CHANNELS_OPS_TOKEN": "very-secret x"}, want: []string{"CHANNELS_OPS_TOKEN: must be printable ASCII"}},
		"a secret of a wrong type":  {file: "apps:\n  - {id: 1, key: one, secret: [very-secret]}\n", want: []string{"apps[0].secret (line 2): must be a single value"}},
		"a secret for a wrong flag": {args: []string{"--app-secrte=very-secret"}, want: []string{`unknown argument "--app-secrte"`}},
		"no public listener":        {args: []string{"--listen", "off"}, want: []string{"only ops_listen can be switched off"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := test.args
			if test.file != "" {
				args = append(args, "--config", configFile(t, test.file))
			}
			_, err := loadSettings(args, environment(test.env))
			if err == nil {
				t.Fatal("no mistake found")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got\n%v\nwant %s", err, want)
				}
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != len(test.want) {
				t.Errorf("%d mistakes, want %d:\n%v", n, len(test.want), err)
			}
			if strings.Contains(err.Error(), "very-secret") {
				t.Error("a secret is told")
			}
		})
	}
}

func TestAddressesOfNodes(t *testing.T) {
	for _, each := range []string{"10.0.0.11:6001", "[2001:db8::1]:6001", "node1:6001", "off", ""} {
		s, err := loadSettings([]string{"--advertise", each}, environment(map[string]string{"CHANNELS_PUBLIC_HOSTNAME": "node-1.example.com"}))
		if err != nil || s.Advertise != each || s.PublicHostname != "node-1.example.com" {
			t.Errorf("%q: got %q, %q, %v", each, s.Advertise, s.PublicHostname, err)
		}
	}
}

func TestOrigins(t *testing.T) {
	for _, test := range []struct {
		origin string
		want   bool
	}{
		{"https://example.com", true}, {"http://127.0.0.1:8080", true}, {"https://[::1]:8080", true},
		{"example.com", true}, {"example.com:8080", true}, {"*.example.com", true}, {"https://*.example.com", true}, {"*", true},
		{"https://example.com/", false}, {"https://", false}, {"://example.com", false}, {"example.com:99999", false},
		{"a*.example.com", false}, {"*.", false}, {"https://*", false}, {"https://a@b", false},
	} {
		if got := validOrigin(test.origin); got != test.want {
			t.Errorf("validOrigin(%q) = %t, want %t", test.origin, got, test.want)
		}
	}
}

// TestAliases shows that one app's settings can be another's.
func TestAliases(t *testing.T) {
	config := configFile(t, `apps:
  - {id: 1, key: one, secret: a, allowed_origins: &origins [example.com, b.example.com], max_batch: &batch 7}
  - {id: 2, key: two, secret: b, allowed_origins: *origins, max_batch: *batch}
`)
	s, err := loadSettings([]string{"--config", config}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if two := s.Apps[1]; two.MaxBatch != 7 || len(two.AllowedOrigins) != 2 {
		t.Errorf("got %+v, want what its anchors say", two)
	}
}

// TestDefaultApp holds the table to the defaults of the hub.
func TestDefaultApp(t *testing.T) {
	if got, want := newApp(&loader{}), hub.DefaultApp(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLogsHoldNoSecret(t *testing.T) {
	s, err := loadSettings([]string{"--app-secret", "hidden", "--app-key", "seen"}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		s.LogFormat = format
		newLogger(s.LogFormat, s.LogLevel, &out).Info("settings", "settings", s)
		if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "seen") {
			t.Errorf("%s: logged %s", format, got)
		}
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	var out strings.Builder
	if err := writeHelp(&out); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > helpWidth+1 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	for _, c := range commands() {
		if !strings.Contains(out.String(), "channels "+c.usage) {
			t.Errorf("%s is missing", c.name)
		}
	}
}

func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		want   string // on stdout
		stderr string
		code   int
	}{
		"help":         {args: []string{"help"}, want: "--shutdown-grace"},
		"help flag":    {args: []string{"serve", "--help"}, want: "CHANNELS_APP_MAX_BATCH"},
		"version":      {args: []string{"version"}, want: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
		"check-config": {args: []string{"check-config", "--app-secret", "hidden"}, want: "secret: '***'"},
		"wrong": {
			args:   []string{"check-config", "--listen", "x", "--log-format", "xml"},
			stderr: "channels: --listen: x: must be host:port, such as 127.0.0.1:6001 or :6001\nchannels: --log-format: xml: must be text or json\n", code: 1,
		},
		"serve with mistakes": {args: []string{"--listen", "x"}, stderr: "channels: --listen: x: must be host:port, such as 127.0.0.1:6001 or :6001\n", code: 1},
		"unknown command":     {args: []string{"sevre"}, stderr: "channels: unknown command \"sevre\"; did you mean serve? see `channels help`\n", code: 2},
		"unknown flag":        {args: []string{"--sevre"}, stderr: "channels: unknown argument \"--sevre\": see `channels help`\n", code: 2},
		"mistyped flag":       {args: []string{"--lisen=x"}, stderr: "channels: unknown argument \"--lisen\"; did you mean --listen? see `channels help`\n", code: 2},
		"a word too many":     {args: []string{"check-config", "now"}, stderr: "channels: unknown argument \"now\": see `channels help`\n", code: 2},
		"version flag":        {args: []string{"--version"}, want: "channels "},
		"flags in front":      {args: []string{"--app-secret", "hidden", "check-config", "--log-level=warn"}, want: `log_level: "warn"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), test.args, nil, &out, &errs); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(out.String(), test.want) || test.code != 0 && out.Len() > 0 {
				t.Errorf("printed\n%s\nwant %q in it", out.String(), test.want)
			}
			if errs.String() != test.stderr {
				t.Errorf("told\n%s\nwant\n%s", errs.String(), test.stderr)
			}
			if strings.Contains(out.String()+errs.String(), "hidden") {
				t.Error("a secret is told")
			}
		})
	}
}

// TestHelpIsWhole looks for every name that can be set.
func TestHelpIsWhole(t *testing.T) {
	var out bytes.Buffer
	if err := writeHelp(&out); err != nil {
		t.Fatal(err)
	}
	want := []string{"CHANNELS_CONFIG"}
	for name := range knownFlags() {
		want = append(want, "--"+name)
	}
	for _, s := range serverSettings() {
		want = append(want, s.envName("CHANNELS_"), s.name, s.fallback)
	}
	for _, s := range appSettings() {
		want = append(want, s.envName("CHANNELS_APP_"), s.name, s.fallback)
	}
	for _, each := range want {
		if !strings.Contains(out.String(), each) {
			t.Errorf("help does not say %s", each)
		}
	}
}

// TestShownSettingsLoadAgain feeds check-config's output back in.
func TestShownSettingsLoadAgain(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"check-config", "--app-key", "k"}, nil, &out, &out); code != 0 {
		t.Fatalf("exit code %d: %s", code, out.String())
	}
	s, err := loadSettings([]string{"--config", configFile(t, out.String())}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if s.Apps[0].Key != "k" || s.Apps[0].MaxBatch != 10 {
		t.Errorf("got %+v", s.Apps[0])
	}
}

// TestShownWebhooksLoadAgain: so it is with endpoints, but for what is secret.
func TestShownWebhooksLoadAgain(t *testing.T) {
	file := `apps:
  - id: 1
    key: one
    secret: very-secret
    webhooks:
      - url: https://user:very-secret@example.com/hooks
        events: [cache_miss, channel_occupied]
        channel_prefix: private-
        batch: false
        timeout: 2s
        headers: {x-token: very-secret}
`
	var out bytes.Buffer
	if code := run(t.Context(), []string{"check-config", "--config", configFile(t, file)}, nil, &out, &out); code != 0 {
		t.Fatalf("exit code %d: %s", code, out.String())
	}
	if strings.Contains(out.String(), "very-secret") {
		t.Errorf("a secret is shown:\n%s", out.String())
	}
	again := strings.Replace(strings.Replace(out.String(), "url: '***'", "url: https://example.com/", 1), "redis: '***'", "", 1)
	s, err := loadSettings([]string{"--config", configFile(t, again)}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := hub.Webhook{
		URL: "https://example.com/", Hooks: hub.HookCacheMiss | hub.HookOccupied, ChannelPrefix: "private-",
		Timeout: 2 * time.Second, Headers: map[string]string{"X-Token": "***"},
	}
	if got := s.Apps[0].Webhooks; len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestWebhookOfTheEnvironment: one endpoint, with the defaults.
func TestWebhookOfTheEnvironment(t *testing.T) {
	s, err := loadSettings(nil, environment(map[string]string{
		"CHANNELS_APP_WEBHOOK_URL": "http://localhost:3000/hooks", "CHANNELS_APP_WEBHOOK_EVENTS": "member_added, member_removed",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := hub.Webhook{URL: "http://localhost:3000/hooks", Hooks: hub.HookMemberAdded | hub.HookMemberRemoved, Batch: true, Timeout: 4 * time.Second}
	if got := s.Apps[0].Webhooks; len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestDocumented compares docs/configuration.md with the tables.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	want := func(name, env, fallback string) {
		t.Helper()
		for line := range strings.Lines(doc) {
			if strings.Contains(line, "`"+name+"`") && strings.Contains(line, "`"+env+"`") &&
				(fallback == "" || strings.Contains(line, "`"+fallback+"`")) {
				return
			}
		}
		t.Errorf("%s, %s, default %s is not documented", name, env, fallback)
	}
	for _, s := range serverSettings() {
		want(s.name, s.envName("CHANNELS_"), s.fallback)
	}
	for _, s := range appSettings() {
		want(s.name, s.envName("CHANNELS_APP_"), s.fallback)
	}
	for line := range strings.Lines(doc) {
		if strings.Contains(line, "is not a setting") || strings.Contains(line, "Kubernetes") {
			continue // examples of what is none
		}
		for _, name := range regexp.MustCompile(`CHANNELS_[A-Z_]*[A-Z]`).FindAllString(line, -1) {
			if !slices.Contains(knownVariables(), name) {
				t.Errorf("%s is documented and is no setting", name)
			}
		}
	}
}

func TestConnectionCeiling(t *testing.T) {
	for _, test := range []struct{ files, configured, want int }{
		{20_000, 0, 18_900}, {20_000, 500, 500}, {20_000, 50_000, 18_900}, {64, 0, 1},
	} {
		if got := connectionCeiling(test.files, test.configured); got != test.want {
			t.Errorf("connectionCeiling(%d, %d) = %d, want %d", test.files, test.configured, got, test.want)
		}
	}
}

// TestOpenConnections requires that what the listener may hold leaves files to
// others, and is more than the sockets.
func TestOpenConnections(t *testing.T) {
	for files := 100; files <= 1<<20; files += files / 7 {
		open, sockets := openConnections(files), connectionCeiling(files, 0)
		if files-open < 50 || open-sockets < 50 && files > 1000 || open <= sockets {
			t.Errorf("of %d files the listener has %d, %d of them sockets", files, open, sockets)
		}
	}
	if got := openConnections(20_000); got != 19_750 {
		t.Errorf("openConnections(20000) = %d, want 19750", got)
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add("listen: 127.0.0.1:1\napps:\n  - {id: 1, key: k, secret: s}\n")
	f.Add("apps: [1, {id: [1, {}]}]")
	f.Add("a: &a [*a]")
	f.Add("limits: &l {limits: *l}\napps: &x [*x, {id: 1, id: 2, webhooks: [], secret:x}]")
	f.Add("# nothing\n---\n...\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		l := &loader{getenv: environment(nil), flags: map[string]string{}}
		l.readYAML("file", []byte(text))
		l.check()
		for _, err := range l.mistakes {
			if m := (Mistake{}); errors.As(err, &m) && (m.Field == "" || m.Problem == "") {
				t.Errorf("mistake without a place or a reason: %+v", m)
			}
		}
	})
}
