package fallback

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"channels/hub"
)

// TestMemoryOfIdleSession bounds what a session costs beside its queue while no
// request is there, the hub's part included.
func TestMemoryOfIdleSession(t *testing.T) {
	const sessions, most = 5000, 4 << 10
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", "app-key", "app-secret"
	memory := hub.NewMemory()
	defer memory.Close()
	engine := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory})
	defer engine.Close()
	over := New(Options{Hub: engine})
	defer over.Close()
	before := heap()
	for i := range sessions {
		s := over.open(Route{Key: app.Key, Session: fmt.Sprintf("1/%08d", i), Kind: Polling}, engine.AppByID("1"), hub.Visitor{}, netip.AddrPort{})
		s.heard() // sets the timer, as a poll that has ended does
	}
	each := (heap() - before) / sessions
	t.Logf("%d bytes for each session, with its greeting", each)
	if each > most {
		t.Errorf("%d bytes for each session, want at most %d", each, most)
	}
	runtime.KeepAlive(over)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
