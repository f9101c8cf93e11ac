//go:build conformance

package conformance

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestSlowConsumer has a client that stops reading. When too much is queued for
// it, it is closed with 4100 and finds that out as soon as it reads again; the
// others miss nothing and wait for nobody.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	s := start(t)
	quick := connect(t, s)
	quick.subscribe(room)
	slow := joinedWire(t, s)
	if err := slow.tcp.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}

	var batch struct {
		Batch []event `json:"batch"`
	}
	for range 10 {
		batch.Batch = append(batch.Batch, event{Name: "big", Channel: room, Data: strings.Repeat("x", 10_000), Info: "subscription_count"})
	}
	// The kernel holds a few MiB for a connection before the server has to.
	const atMost = 400
	sent := 0
	for {
		if sent == atMost {
			t.Fatalf("a client that does not read is still subscribed after %d events of 10 kB", sent*10)
		}
		status, body := post(t, s, batchPath, batch)
		if status != http.StatusOK {
			t.Fatalf("publish: got %d %q", status, body)
		}
		sent++
		for range 10 {
			quick.expect("big", room)
		}
		if strings.Contains(body, fmt.Sprintf(`"subscription_count":%d`, 1)) {
			break
		}
	}

	var last string
	for {
		opcode, payload, err := slow.read()
		if err != nil {
			t.Fatalf("read: %v before a close frame; last event: %.200s", err, last)
		}
		if opcode == opClose {
			if code := binary.BigEndian.Uint16(payload); code != 4100 {
				t.Errorf("close: got %d %q, want 4100", code, payload[2:])
			}
			break
		}
		last = string(payload)
	}
	if !strings.HasPrefix(last, `{"event":"pusher:error","data":{"code":4100,`) {
		t.Errorf("before the close frame: got %.200s, want pusher:error 4100", last)
	}
	quick.answers()
}
