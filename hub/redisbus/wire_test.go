package redisbus_test

import (
	"strings"
	"testing"

	"channels/hub/redisbus"
)

// FuzzParseBody: whatever stands in Redis, reading it does not panic.
func FuzzParseBody(f *testing.F) {
	for _, seed := range []string{"", "e0:frame", "e3:1.2frame", "i3:ann{}", "o3:ann", "t1:x", "c12", "b8:e0:frame5:e1:xy", "b0:", "b", "e9:x", "i-1:x", "z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		_ = redisbus.ParseBody(body)
		if seq, rest, err := redisbus.CutSeq(body); err == nil && (len(rest) != len(body)-16 || seq > 9999999999999999) {
			t.Errorf("%q: sequence number %d, rest %q", body, seq, rest)
		}
	})
}

func TestParseURL(t *testing.T) {
	for url, want := range map[string]string{
		"redis://localhost":                             "localhost:6379",
		"redis://:p%40ss@h:1/2?prefix=a.b":              "h:1",
		"redis://[::1]:7":                               "[::1]:7",
		"rediss://h?skip_verify=true&server_name=other": "h:6379",
		"redis+sentinel://a,b:7/mymaster/3":             "a:26379,b:7 (sentinel, master mymaster)",
		"rediss+sentinel://a/m?sentinel_password=s":     "a:26379 (sentinel, master m)",
		"redis+cluster://user:pass@a:1,b:2,c":           "a:1,b:2,c:6379 (cluster)",
		"unix:///run/redis.sock?db=4":                   "/run/redis.sock",
	} {
		config, err := redisbus.ParseURL(url)
		if err != nil || config.String() != want {
			t.Errorf("%s: got %q, %v; want %q", url, config, err, want)
		}
	}
}

func TestParseURLMistakes(t *testing.T) {
	for url, want := range map[string]string{
		"localhost:6379":                 "scheme",
		"http://secret@h":                `scheme "http": must be redis`,
		"redis+ring://h":                 `scheme "redis+ring": must be redis`,
		"redis://":                       "a host is missing",
		"redis://a,b":                    "several hosts need redis+sentinel or redis+cluster",
		"redis://h/x":                    `path "x": must be the number of a database`,
		"redis://h/1/2":                  "must be the number of a database",
		"redis://h?prefix={}":            "prefix: must be letters",
		"redis://h?perfix=a":             "perfix: is not known",
		"redis://h?ca_file=x":            "ca_file: is for TLS",
		"rediss://h?ca_file=/none":       "ca_file: open /none",
		"rediss://h?cert_file=/none":     "cert_file and key_file go together",
		"rediss://h?skip_verify=perhaps": "skip_verify: must be true or false",
		"redis+sentinel://h":             "a sentinel URL names the master",
		"redis+cluster://h/1":            "a cluster has only database 0",
		"redis://user:sec ret@h":         "must be a URL such as",
		"unix:///run/redis.sock?db=-1":   "db: path",
	} {
		_, err := redisbus.ParseURL(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: a secret is told: %v", url, err)
		}
	}
}
