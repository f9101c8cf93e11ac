package ops

import (
	"channels/hub/testlog"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestReadiness(t *testing.T) {
	var down, impaired error
	h := Handler(Options{
		Metrics: NewMetrics(), Ready: func() error { return down }, Impaired: func() error { return impaired },
	})
	for _, tt := range []struct {
		down, impaired error
		status         int
		body           string
	}{
		{nil, nil, 200, "ok\n"},
		{nil, errors.New("redis is away"), 200, "ok, but publishes are refused: redis is away\n"},
		{errors.New("shutting down"), errors.New("redis is away"), 503, "shutting down\n"},
	} {
		down, impaired = tt.down, tt.impaired
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		if w.Code != tt.status || w.Body.String() != tt.body {
			t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.status, tt.body)
		}
	}
}

func TestProfilesAreForThisMachine(t *testing.T) {
	const index = "/debug/pprof/"
	for _, tt := range []struct {
		name, remote, host, path string
		everybody                bool
		status                   int
	}{
		{"this machine", "127.0.0.1:1", "127.0.0.1:9601", index, false, 200},
		{"this machine, IPv6", "[::1]:1", "[::1]:9601", index, false, 200},
		{"this machine, IPv4 in IPv6", "[::ffff:127.0.0.1]:1", "127.0.0.1:9601", index, false, 200},
		{"localhost", "127.0.0.1:1", "localhost:9601", index, false, 200},
		{"localhost without a port", "127.0.0.1:1", "LocalHost", index, false, 200},
		{"a profile", "127.0.0.1:1", "localhost:9601", index + "goroutine?debug=1", false, 200},
		{"symbols", "127.0.0.1:1", "localhost:9601", index + "symbol", false, 200},
		{"another machine", "192.0.2.1:1", "192.0.2.7:9601", index, false, 403},
		{"another machine, a profile", "192.0.2.1:1", "127.0.0.1:9601", index + "heap", false, 403},
		{"another machine, IPv6", "[2001:db8::1]:1", "[2001:db8::2]:9601", index, false, 403},
		{"nobody knows who", "", "127.0.0.1:9601", index, false, 403},
		{"another machine, opened", "192.0.2.1:1", "192.0.2.7:9601", index, true, 200},
		{"IPv6 without a port, opened", "[2001:db8::1]:1", "[2001:db8::2]", index, true, 200},
		{"a name of a page", "127.0.0.1:1", "rebound.example:9601", index, false, 403},
		{"a name like an address", "127.0.0.1:1", "127.0.0.1.example:9601", index, false, 403},
		{"a name like localhost", "127.0.0.1:1", "localhost.example", index, false, 403},
		{"a name of a page, opened", "192.0.2.1:1", "rebound.example:9601", index + "heap", true, 403},
		{"no host", "127.0.0.1:1", "", index, false, 403},
		{"command line", "127.0.0.1:1", "localhost:9601", index + "cmdline", false, 404},
		{"command line, opened", "192.0.2.1:1", "192.0.2.7:9601", index + "cmdline", true, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tt.path, nil)
			r.RemoteAddr, r.Host = tt.remote, tt.host
			w := httptest.NewRecorder()
			Handler(Options{Metrics: NewMetrics(), Profiles: tt.everybody}).ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("got %d %.60q, want %d", w.Code, w.Body, tt.status)
			}
		})
	}
}

// TestMetricsAreForScrapers reads them from another machine under a name.
func TestMetricsAreForScrapers(t *testing.T) {
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.RemoteAddr, r.Host = "192.0.2.1:1", "node1.internal:9601"
	w := httptest.NewRecorder()
	Handler(Options{Metrics: NewMetrics()}).ServeHTTP(w, r)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "go_goroutines") {
		t.Errorf("got %d %.100q", w.Code, w.Body)
	}
}

// TestProfileOutlastsTimeouts takes a profile that is longer than the time-outs.
func TestProfileOutlastsTimeouts(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = Server(Handler(Options{Metrics: NewMetrics()}), slog.New(slog.DiscardHandler))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 100*time.Millisecond, 500*time.Millisecond
	srv.Start()
	defer srv.Close()
	start := time.Now()
	resp, err := http.Get(srv.URL + "/debug/pprof/profile?seconds=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	profile, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || len(profile) == 0 {
		t.Fatalf("got %s, %d bytes, %v", resp.Status, len(profile), err)
	}
	if took := time.Since(start); took < time.Second {
		t.Errorf("the profile was cut off after %v", took)
	}
}

// TestConnectionsAreNotHeld has clients that vanish in every phase of a request.
func TestConnectionsAreNotHeld(t *testing.T) {
	for name, tt := range map[string]struct {
		send   string
		answer bool          // is read
		atMost time.Duration // until the server closes
	}{
		"silent":            {"", false, 10 * time.Second},
		"half a header":     {"GET /metrics HTTP/1.1\r\nHost: x\r\n", false, 10 * time.Second},
		"half a body":       {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx", true, 31 * time.Second},
		"answer not read":   {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", false, 31 * time.Second},
		"idle after answer": {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", true, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := Server(Handler(Options{Metrics: NewMetrics()}), slog.New(slog.DiscardHandler))
				near, far := net.Pipe()
				l := &pipeListener{conn: &closeTime{Conn: far, closed: make(chan time.Time, 1)}, done: make(chan struct{})}
				closed := l.conn.closed
				go func() { _ = srv.Serve(l) }()
				defer srv.Close()
				start := time.Now()
				go func() {
					_, _ = io.WriteString(near, tt.send)
					if tt.answer {
						_, _ = io.Copy(io.Discard, near)
					}
				}()
				if took := (<-closed).Sub(start); took > tt.atMost {
					t.Errorf("held for %v, want at most %v", took, tt.atMost)
				}
				_ = near.Close()
			})
		})
	}
}

// closeTime is a connection that tells when it is closed.
type closeTime struct {
	net.Conn
	once   sync.Once
	closed chan time.Time
}

func (c *closeTime) Close() error {
	c.once.Do(func() { c.closed <- time.Now() })
	return c.Conn.Close()
}

// pipeListener accepts a single connection.
type pipeListener struct {
	conn *closeTime
	once sync.Once
	done chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestServerLogs has a handler panic.
func TestServerLogs(t *testing.T) {
	var log testlog.Buffer
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = Server(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("for a test") }),
		slog.New(slog.NewJSONHandler(&log, nil)))
	srv.Start()
	_, err := http.Get(srv.URL)
	srv.Close()
	if err == nil {
		t.Error("the panic was answered")
	}
	if text := log.String(); !strings.Contains(text, `"level":"ERROR"`) || !strings.Contains(text, "panic serving") {
		t.Errorf("logged %s", text)
	}
}
