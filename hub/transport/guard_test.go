package transport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"channels/protocol"
)

// TestGreetingComesFirst has a connection closed at once, before anything could
// be written.
func TestGreetingComesFirst(t *testing.T) {
	for name, before := range map[string][][]byte{
		"in silence":            nil,
		"behind a frame":        {[]byte("frame")},
		"behind several frames": {[]byte("frame"), []byte("which may be dropped")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				g := newGuard(far, nil, &queueLimits{perConn: 1 << 20, node: 1 << 20})
				g.greeting = []byte("greeting ")
				want := "greeting "
				if before != nil {
					want += "frame"
					if err := g.send(before); err != nil {
						t.Fatal(err)
					}
				}
				fault := protocol.Reconnect()
				g.shut(fault)
				last := protocol.AppendCloseFrame(protocol.ErrorFrame(fault), fault.Code, fault.Message)
				go func() {
					synctest.Wait()
					_ = g.Close()
				}()
				got, err := io.ReadAll(near)
				if err != nil || !bytes.HasPrefix(got, []byte(want)) || !bytes.HasSuffix(got, last) {
					t.Errorf("got %q, %v; want %q and at the end %q", got, err, want, last)
				}
				if used := g.limits.used.Load(); used != 0 {
					t.Errorf("%d bytes are still reserved", used)
				}
			})
		})
	}
}
