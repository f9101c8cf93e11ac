package server_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub"
	"channels/hub/server"
)

// pipe is the client's end of a connection.
type pipe struct {
	net.Conn
	closed chan struct{} // when the server has closed its end
}

// watchedConn is the server's end.
type watchedConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// piped serves a connection in a bubble. A handler takes the place of the REST API.
func piped(t *testing.T, handler http.HandlerFunc, secure *tls.Config) (near pipe, engine *hub.Hub) {
	t.Helper()
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", key, secret
	memory := hub.NewMemory()
	engine = hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory})
	_, carrier, _ := assemble(engine, options{})
	front := server.New(server.Options{Hub: engine, Transport: carrier, API: handler})
	web := front.HTTPServer()
	client, far := net.Pipe()
	near = pipe{client, make(chan struct{})}
	go func() {
		_ = web.Serve(front.Listener(&oneConn{conn: &watchedConn{Conn: far, closed: near.closed}, done: make(chan struct{})}, secure))
	}()
	t.Cleanup(func() {
		_ = near.Close()
		_ = web.Close()
		synctest.Wait()
		engine.Close()
		memory.Close()
	})
	return near, engine
}

// TestTimeouts has clients that hold a connection in every way there is.
func TestTimeouts(t *testing.T) {
	const get = "GET /apps/1 HTTP/1.1\r\nHost: x\r\n\r\n"
	long := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		client  func(pipe)
		from    time.Duration // when it is cut off
		to      time.Duration
		timeout string
	}{
		"silence":     {func(pipe) {}, 9 * time.Second, 11 * time.Second, "of the head"},
		"half a head": {func(c pipe) { _, _ = io.WriteString(c, get[:20]) }, 9 * time.Second, 11 * time.Second, "of the head"},
		"a head in drops": {func(c pipe) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for i := range get {
				if _, err := io.WriteString(c, get[i:i+1]); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 9 * time.Second, 11 * time.Second, "of the head"},
		"half a body": {func(c pipe) {
			_, _ = io.WriteString(c, "POST /apps/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
			_, _ = io.Copy(io.Discard, c)
		}, 29 * time.Second, 36 * time.Second, "of a request"},
		"an answer that is not read": {func(c pipe) { _, _ = io.WriteString(c, get) }, 29 * time.Second, 36 * time.Second, "of an answer"},
		"half an answer": {func(c pipe) {
			_, _ = io.WriteString(c, get)
			_, _ = io.CopyN(io.Discard, c, 10_000)
		}, 29 * time.Second, 36 * time.Second, "of an answer"},
		"idle between requests": {func(c pipe) {
			_, _ = io.WriteString(c, get)
			_, _ = io.Copy(io.Discard, c)
		}, 119 * time.Second, 121 * time.Second, "of keep-alive"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, _ := piped(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(w, long)
				}, nil)
				start := time.Now()
				var client sync.WaitGroup
				client.Go(func() { test.client(near) })
				defer client.Wait()
				select {
				case <-near.closed:
				case <-time.After(time.Hour):
					t.Fatal("held for an hour")
				}
				if took := time.Since(start); took < test.from || took > test.to {
					t.Errorf("cut off after %v, want the time-out %s", took, test.timeout)
				}
			})
		})
	}
}

// TestSocketsOutliveTimeouts keeps a socket longer than all time-outs of requests
// but one, which the sweep for dead peers ends.
func TestSocketsOutliveTimeouts(t *testing.T) {
	secure, trusting := overTLS(t)
	var o options
	secure(&o)
	made := time.Now()
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": o.secure} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, engine := piped(t, nil, config)
				conn := near.Conn
				if config != nil {
					client := trusting.Clone()
					client.Time = func() time.Time { return made } // the bubble's time is long ago
					conn = tls.Client(near, client)
				}
				got := make(chan string, 100)
				go func() {
					r := bufio.NewReader(conn)
					for {
						line, err := r.ReadString('}')
						if err != nil {
							close(got)
							return
						}
						got <- line
					}
				}()
				_, _ = io.WriteString(conn, "GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
					"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
				_, _ = conn.Write(text(subscribeNews))
				time.Sleep(100 * time.Second)
				err := engine.Trigger(t.Context(), engine.AppByID("1"), hub.Event{Name: "late", Channels: []string{"news"}, Data: []byte(`"1"`)})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				for {
					select {
					case line, open := <-got:
						if !open {
							t.Fatal("closed before the event")
						}
						if strings.Contains(line, `"late"`) {
							return
						}
					default:
						t.Fatal("the event has not come")
					}
				}
			})
		})
	}
}

// TestBodiesThatNobodyReadsKeepNoPlace fills the places of connections with a
// request by bodies that never come. The next request is answered all the same.
func TestBodiesThatNobodyReadsKeepNoPlace(t *testing.T) {
	const places = 8
	r := newRig(t, nil, func(o *options) { o.server.MaxRequestConnections = places })
	for range places {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	began := time.Now()
	res, err := client.Get("http://" + r.addr + "/y")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if took := time.Since(began); took > 15*time.Second { // net/http alone waits for thirty
		t.Errorf("answered after %v", took)
	}
}
