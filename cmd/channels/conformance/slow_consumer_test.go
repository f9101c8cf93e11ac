//go:build conformance

package conformance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSlowConsumer has a client that stops reading. When more is queued for it
// than may be, and it makes no progress, it is closed with 4100 and finds that
// out as soon as it reads again; the others miss nothing.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	over(t, goodKinds, func(t *testing.T, k kind) {
		s := k.start(t)
		quick := connect(t, s)
		quick.subscribe(room)
		slow := joinedWire(t, s)
		slow.extend(2 * time.Minute)
		if err := slow.tcp.SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}

		var batch struct {
			Batch []event `json:"batch"`
		}
		data := incompressible(10_000)
		for range 10 {
			batch.Batch = append(batch.Batch, event{Name: "big", Channel: room, Data: data, Info: "subscription_count"})
		}
		// The kernel holds a few MiB for a connection before the server has to.
		const atMost = 400
		for sent := 0; ; sent++ {
			if sent == atMost {
				t.Fatalf("a client that does not read is still subscribed after %d events of 10 kB", sent*10)
			}
			status, body := post(t, s, batchPath, batch)
			if status != http.StatusOK {
				t.Fatalf("publish: got %d %q", status, body)
			}
			for range 10 {
				quick.expectData("big", room, data)
			}
			if strings.Contains(body, fmt.Sprintf(`"subscription_count":%d`, 1)) {
				break
			}
		}
		slow.expectSlowConsumer()
		quick.answers()
	})
}
