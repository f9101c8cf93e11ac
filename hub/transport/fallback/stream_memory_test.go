package fallback

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"testing"

	"channels/hub"
)

// TestMemoryOfIdleStream bounds what a client that streams costs beside what net/http
// needs for an answer that stays open.
func TestMemoryOfIdleStream(t *testing.T) {
	const most = inflated * 4 << 10
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", "app-key", "app-secret"
	memory := hub.NewMemory()
	defer memory.Close()
	engine := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory})
	defer engine.Close()
	over := New(Options{Hub: engine})
	defer over.Close()
	bare := leastOf(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(prelude)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ours := leastOf(t, func(w http.ResponseWriter, r *http.Request) {
		route, _ := ParsePath(r.URL.Path)
		over.Serve(w, r, route, Gate{
			Allow: func() bool { return true },
			App: func(Client, string, url.Values) (*hub.App, hub.Visitor, error) {
				return engine.AppByKey(app.Key), hub.Visitor{}, nil
			},
		})
	})
	t.Logf("%d bytes for each stream, of which net/http needs %d", ours, bare)
	if ours-bare > most {
		t.Errorf("%d bytes for each stream beside those of net/http, want at most %d", ours-bare, most)
	}
}

// leastOf measures a few times, since stacks of goroutines that have ended are in it.
func leastOf(t *testing.T, handler http.HandlerFunc) int64 {
	t.Helper()
	least := memoryOfStreams(t, handler)
	for range 2 {
		least = min(least, memoryOfStreams(t, handler))
	}
	return least
}

// memoryOfStreams returns how many bytes of heap and stacks each idle stream takes,
// with its client, which is the same for every handler.
func memoryOfStreams(t *testing.T, handler http.HandlerFunc) int64 {
	t.Helper()
	const streams = 1000
	s := httptest.NewServer(handler)
	before := heapAndStacks()
	conns := make([]net.Conn, streams)
	for i := range conns {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = conn
		_, err = fmt.Fprintf(conn, "POST /pusher/app/app-key/1/%08d/xhr_streaming?protocol=7 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", i)
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, len(prelude)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	each := (heapAndStacks() - before) / streams
	for _, conn := range conns {
		_ = conn.Close()
	}
	s.Close()
	return each
}

func heapAndStacks() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse) //nolint:gosec // far from the bound
}
