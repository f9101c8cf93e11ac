package hub_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// TestWhatASignedInConnectionKeeps holds the promises of what it takes beside an
// idle one.
func TestWhatASignedInConnectionKeeps(t *testing.T) {
	for _, test := range []struct {
		name string
		data func(i int) string
		most int // bytes
	}{
		{"plain", func(i int) string { return fmt.Sprintf(`{"id":"user-%d"}`, i) }, 1536},
		{"1 KiB of user_info", func(i int) string {
			return fmt.Sprintf(`{"id":"user-%d","user_info":{"x":"%s"}}`, i, strings.Repeat("x", 950))
		}, 1536 + 1024}, // which a presence channel may need
		{"2 KiB of user_info", func(i int) string {
			return fmt.Sprintf(`{"id":"user-%d","user_info":{"x":"%s"}}`, i, strings.Repeat("x", 2048))
		}, 1536}, // too large for a member
		{"2 KiB of other fields", func(i int) string {
			return fmt.Sprintf(`{"id":"user-%d","x":"%s"}`, i, strings.Repeat("x", 2048))
		}, 1536},
		{"100 watched", func(i int) string {
			var ids []string
			for j := range 100 {
				ids = append(ids, fmt.Sprintf(`"user-%d"`, (i+j)%1000))
			}
			return fmt.Sprintf(`{"id":"user-%d","watchlist":[%s]}`, i, strings.Join(ids, ","))
		}, 4096},
	} {
		t.Run(test.name, func(t *testing.T) {
			const n = 1000
			c := newCrowd(t, 0)
			var frames atomic.Int64
			var conns []*hub.Conn
			for range n {
				conn, err := c.hub.Connect(c.app, discarding{frames: &frames})
				if err != nil {
					t.Fatal(err)
				}
				conns = append(conns, conn)
			}
			awaitFrames(t, &frames, n)
			before := heap()
			for i, conn := range conns {
				data := test.data(i)
				receive(conn, fmt.Appendf(nil, `{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`,
					protocol.UserAuth("key", "secret", conn.ID(), data), data))
			}
			awaitFrames(t, &frames, 2*n)
			time.Sleep(300 * time.Millisecond) // news of who came are over
			each := (int(heap()) - int(before)) / n
			t.Logf("%d bytes", each)
			if each > test.most {
				t.Errorf("a signed-in connection takes %d bytes more than an idle one, want at most %d", each, test.most)
			}
			runtime.KeepAlive(conns)
		})
	}
}

// TestWhatASubscriptionKeeps holds what a channel of a stranger's takes.
func TestWhatASubscriptionKeeps(t *testing.T) {
	const n = 300
	c := newCrowd(t, 0)
	var frames atomic.Int64
	before := heap()
	conn, err := c.hub.Connect(c.app, discarding{frames: &frames})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		receive(conn, fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"channel":"channel-%d"}}`, i))
	}
	awaitFrames(t, &frames, n+1)
	if each := (int(heap()) - int(before)) / n; each > 1024 {
		t.Errorf("%d bytes for each channel, want at most 1 KiB", each)
	} else {
		t.Logf("%d bytes", each)
	}
	runtime.KeepAlive(conn)
}

func awaitFrames(t *testing.T, frames *atomic.Int64, n int64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); frames.Load() < n; {
		if time.Now().After(end) {
			t.Fatalf("%d frames, want %d", frames.Load(), n)
		}
		time.Sleep(time.Millisecond)
	}
}
