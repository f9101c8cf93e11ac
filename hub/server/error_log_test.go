package server_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub/server"
	"channels/hub/testlog"
)

func newLog() (*slog.Logger, *testlog.Buffer) {
	var logged testlog.Buffer
	return slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})), &logged
}

// TestErrorLog has net/http itself report what goes wrong.
func TestErrorLog(t *testing.T) {
	log, logged := newLog()
	secure, _ := overTLS(t)
	r := newRig(t, nil, secure, func(o *options) { o.server.Log = log })
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "this is no TLS\r\n\r\n")
	_, _ = io.ReadAll(conn)
	_ = conn.Close()
	waitFor(t, "a failed handshake at debug", func() bool {
		return strings.Contains(logged.String(), `level=DEBUG msg="http: TLS handshake error`)
	})

	plain := &http.Server{ErrorLog: server.ErrorLog(log), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = plain.Serve(listener) }()
	defer plain.Close()
	if _, err := http.Get("http://" + listener.Addr().String()); err == nil {
		t.Error("a handler that panics answers")
	}
	waitFor(t, "a panic at error", func() bool {
		return strings.Contains(logged.String(), `level=ERROR msg="http: panic serving`) && strings.Contains(logged.String(), "a bug")
	})
}

// fullListener has no descriptors for more connections.
type fullListener struct{ oneConn }

func (l *fullListener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
}

func TestAcceptErrorsAreLoggedOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logged := newLog()
		web := &http.Server{ErrorLog: server.ErrorLog(log)}
		ended := make(chan error)
		go func() { ended <- web.Serve(&fullListener{oneConn{done: make(chan struct{})}}) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := logged.String(); strings.Count(got, `level=ERROR msg="http: Accept error`) != 1 || strings.Count(got, "level=DEBUG") < 3 {
			t.Errorf("logged %s, want one error, and the others at debug", got)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if n := strings.Count(logged.String(), "level=ERROR"); n != 2 {
			t.Errorf("%d errors after 11 s, want 2", n)
		}
		_ = web.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
