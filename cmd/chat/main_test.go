package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// start runs the chat until the test is over or stop is called, which returns
// the exit code.
func start(t *testing.T, values map[string]string) (url string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	code := make(chan int, 1)
	go func() { code <- run(ctx, nil, pairs(values), io.Discard, write); write.Close() }()
	lines := bufio.NewReader(read)
	first, err := lines.ReadString('\n')
	m := regexp.MustCompile(`listen=(\S+)`).FindStringSubmatch(first)
	if err != nil || m == nil {
		t.Fatalf("the first line is %q, %v; want listen=", first, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the chat
	return "http://" + m[1], func() int { cancel(); return <-code }
}

// pairs is an environment as run takes it.
func pairs(values map[string]string) []string {
	var environ []string
	for name, value := range values {
		environ = append(environ, name+"="+value)
	}
	return environ
}

func TestServeBackupAndReset(t *testing.T) {
	dir := t.TempDir()
	values := map[string]string{"CHAT_LISTEN": "127.0.0.1:0", "CHAT_DATA": filepath.Join(dir, "data"), "PUSHER_PORT": "1"}
	url, stop := start(t, values)
	post := func(path, body string) int {
		t.Helper()
		res, err := http.Post(url+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := post("/api/signup", `{"name":"anna","password":"correct horse"}`); got != 201 {
		t.Fatalf("sign-up: %d", got)
	}
	var out, errors bytes.Buffer
	if code := run(t.Context(), nil, pairs(values), &out, &errors); code != 1 || !strings.Contains(errors.String(), "chat on 127.0.0.1:0") {
		t.Errorf("a second chat on the same data: %d %q, want to be told of the first", code, &errors)
	}
	file := filepath.Join(dir, "copy.db")
	if code := run(t.Context(), []string{"backup", file}, pairs(values), &out, &errors); code != 0 {
		t.Errorf("backup: %d %s", code, &errors)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("the copy: %v, %v", info, err)
	}
	out.Reset()
	if code := run(t.Context(), []string{"user", "reset-password", "Anna"}, pairs(values), &out, &errors); code != 0 {
		t.Fatalf("reset-password: %d %s", code, &errors)
	}
	password := strings.TrimSpace(out.String()[strings.LastIndex(out.String(), " "):])
	if got := post("/api/signin", `{"name":"anna","password":"correct horse"}`); got != 401 {
		t.Errorf("the old password: %d, want 401", got)
	}
	if got := post("/api/signin", `{"name":"anna","password":"`+password+`"}`); got != 200 {
		t.Errorf("the new password %q: %d, want 200", password, got)
	}
	if code := run(t.Context(), []string{"user", "reset-password", "nobody"}, pairs(values), &out, &errors); code != 1 {
		t.Errorf("reset-password of nobody: %d, want 1", code)
	}
	for _, step := range []struct {
		word string
		want int
	}{{"deactivate", 403}, {"activate", 200}} {
		if code := run(t.Context(), []string{"user", step.word, "ANNA"}, pairs(values), &out, &errors); code != 0 {
			t.Fatalf("%s: %d %s", step.word, code, &errors)
		}
		if got := post("/api/signin", `{"name":"anna","password":"`+password+`"}`); got != step.want {
			t.Errorf("sign-in after %s: %d, want %d", step.word, got, step.want)
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("the chat ended with %d, want 0", code)
	}
}

func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		out  string
	}{
		"help":            {[]string{"help"}, 0, "CHAT_LISTEN"},
		"version":         {[]string{"version"}, 0, "chat "},
		"unknown":         {[]string{"dance"}, 2, ""},
		"backup to where": {[]string{"backup"}, 2, ""},
		"user dance":      {[]string{"user", "dance", "anna"}, 2, ""},
		"reset whose":     {[]string{"user", "reset-password"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(t.Context(), test.args, nil, &out, io.Discard); code != test.code || !strings.Contains(out.String(), test.out) {
				t.Errorf("run(%q) = %d %q, want %d %q", test.args, code, &out, test.code, test.out)
			}
		})
	}
}
