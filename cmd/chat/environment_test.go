package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStrayVariables(t *testing.T) {
	tests := []struct{ pair, want string }{
		{"CHAT_LISTEN=127.0.0.1:0", ""},
		{"CHAT_LISTN=127.0.0.1:9090", "CHAT_LISTN: is not a setting; did you mean CHAT_LISTEN?"},
		{"CHAT_LITSEN=127.0.0.1:9090", "CHAT_LITSEN: is not a setting; did you mean CHAT_LISTEN?"},
		{"CHAT_LISTN=", ""}, // as not set
		{"CHAT_SINGUP=hidden", "CHAT_SINGUP: is not a setting; did you mean CHAT_SIGNUP?"},
		{"CHAT_PUBLICURL=https://x", "CHAT_PUBLICURL: is not a setting; did you mean CHAT_PUBLIC_URL?"},
		{"CHAT_DIR=x", "CHAT_DIR: is not a setting"},
		{"CHAT_=x", "CHAT_: is not a setting"},
		{"CHATTY=x", ""},
		{"PATH=/bin", ""},
		// Kubernetes, for services named chat and chat-db.
		{"CHAT_SERVICE_HOST=10.0.0.1", ""},
		{"CHAT_SERVICE_PORT_HTTP=8080", ""},
		{"CHAT_PORT=tcp://10.0.0.1:8080", ""},
		{"CHAT_PORT_8080_TCP_ADDR=10.0.0.1", ""},
		{"CHAT_DB_PORT=tcp://10.0.0.2:5432", ""},
		{"CHAT_PORT=8080", "CHAT_PORT: is not a setting"}, // somebody's guess
	}
	for _, tt := range tests {
		t.Run(tt.pair, func(t *testing.T) {
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			if got := strayVariables([]string{"A=b", tt.pair}); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestStrayVariablesStandBesideMistakes checks that they are told together.
func TestStrayVariablesStandBesideMistakes(t *testing.T) {
	var out, errs bytes.Buffer
	code := run(t.Context(), nil, []string{"CHAT_LISTEN=nowhere", "CHAT_SINGUP=open"}, &out, &errs)
	if code != 1 || !strings.Contains(errs.String(), `CHAT_LISTEN="nowhere"`) || !strings.HasSuffix(errs.String(), "\nCHAT_SINGUP: is not a setting; did you mean CHAT_SIGNUP?\n") {
		t.Errorf("got %d %q", code, &errs)
	}
}

// TestStrayVariablesAreLogged starts the chat with one.
func TestStrayVariablesAreLogged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	read, write := io.Pipe()
	environ := []string{"CHAT_LISTEN=127.0.0.1:0", "CHAT_DATA=" + t.TempDir(), "PUSHER_PORT=1", "CHAT_SINGUP=closed"}
	code := make(chan int, 1)
	go func() { code <- run(ctx, nil, environ, io.Discard, write); write.Close() }()
	told := false
	for lines := bufio.NewScanner(read); lines.Scan(); {
		if strings.Contains(lines.Text(), "CHAT_SINGUP: is not a setting; did you mean CHAT_SIGNUP?") {
			told = true
			cancel()
		}
	}
	if got := <-code; got != 0 || !told {
		t.Errorf("ended with %d, told %v", got, told)
	}
}
