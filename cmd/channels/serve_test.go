package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
)

// pipeListener accepts one end of a pipe.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestOpsTimeouts has scrapers that vanish, or do not read.
func TestOpsTimeouts(t *testing.T) {
	const get = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, test := range map[string]struct {
		client func(net.Conn)
		within time.Duration
	}{
		"silence": {func(net.Conn) {}, 10 * time.Second},
		"half a body": {func(c net.Conn) {
			_, _ = io.WriteString(c, "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
		}, 6 * time.Minute},
		"an answer that is not read": {func(c net.Conn) { _, _ = io.WriteString(c, get) }, 6 * time.Minute},
		"an idle connection": {func(c net.Conn) {
			_, _ = io.WriteString(c, get)
			_, _ = io.Copy(io.Discard, c)
		}, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				l := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
				l.conns <- far
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
				})
				var gone sync.WaitGroup
				web := opsServer(handler, slog.New(slog.DiscardHandler))
				ended := make(chan struct{})
				web.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateClosed {
						close(ended)
					}
				}
				gone.Go(func() { _ = web.Serve(l) })
				gone.Go(func() { test.client(near) })
				start := time.Now()
				select {
				case <-ended:
				case <-time.After(24 * time.Hour):
					t.Error("held for a day")
				}
				if took := time.Since(start); took > test.within {
					t.Errorf("held for %v, want at most %v", took, test.within)
				}
				_ = near.Close()
				_ = web.Close()
				gone.Wait()
			})
		})
	}
}

// endAtStart is a log that ends the server once it has written so much of it.
type endAtStart struct {
	bytes.Buffer
	end func()
}

func (l *endAtStart) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "shut") {
		return len(p), nil
	}
	defer l.end()
	return l.Buffer.Write(p)
}

// TestPublicSecretIsTold has apps with the secret for development, alone and beside
// others.
func TestPublicSecretIsTold(t *testing.T) {
	app := func(id, secret string) hub.App {
		a := hub.DefaultApp()
		a.ID, a.Key, a.Secret = id, "key-"+id, secret
		return a
	}
	for name, test := range map[string]struct {
		apps []hub.App
		want string
	}{
		"alone":             {[]hub.App{app("1", developmentSecret)}, "level=INFO msg=\"credentials for development"},
		"beside others":     {[]hub.App{app("1", "own"), app("2", developmentSecret)}, "level=WARN msg=\"an app has the secret for development"},
		"secrets of others": {[]hub.App{app("1", "own"), app("2", "other")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := loadSettings([]string{"--listen=127.0.0.1:0", "--ops-listen=off", "--shutdown-grace=0"}, environment(nil))
			if err != nil {
				t.Fatal(err)
			}
			s.Apps = test.apps
			ctx, cancel := context.WithCancel(t.Context())
			var log endAtStart
			log.end = func() { time.AfterFunc(100*time.Millisecond, cancel) }
			if err := serve(ctx, s, nil, nil, &log); err != nil {
				t.Fatal(err)
			}
			got := log.String()
			if test.want == "" && strings.Contains(got, "development") || !strings.Contains(got, test.want) {
				t.Errorf("logged\n%s\nwant %s", got, test.want)
			}
			if strings.Contains(got, developmentSecret) {
				t.Error("the secret is logged")
			}
		})
	}
}
