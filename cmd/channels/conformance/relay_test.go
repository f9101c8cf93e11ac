//go:build conformance && !goroutinereaders

package conformance

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRelayShutsDown: a node that brings streams of another node ends in time, and
// tells their clients.
func TestRelayShutsDown(t *testing.T) {
	r := startRedis(t)
	owner, relay := startNode(t, r), startNode(t, r, "CHANNELS_SHUTDOWN_GRACE=3s")
	const path = "/pusher/app/" + appKey + "/123/session1/"
	status, opened := httpPost(t, owner, path+"xhr?protocol=7", "")
	if status != http.StatusOK || !strings.HasPrefix(opened, "o\n") {
		t.Fatalf("got %d %q, want an open session", status, opened)
	}
	res, err := http.Post(relay.url("http", path+"xhr_streaming?protocol=7"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func() string {
		lines.Scan()
		return lines.Text()
	}
	if prelude := next(); !strings.HasPrefix(prelude, "hhh") {
		t.Fatalf("got %q, want the prelude", prelude)
	}
	const established = "connection_established"
	if !strings.Contains(opened, established) { // it may have come with the opening
		if line := next(); !strings.Contains(line, established) {
			t.Fatalf("got %q, want a connection", line)
		}
	}
	began := time.Now()
	relay.terminate()
	if line := next(); line != `c[4200,"Generic reconnect immediately"]` || lines.Scan() {
		t.Errorf("got %q, %q, want a close frame and the end", line, lines.Text())
	}
	relay.awaitExit()
	if took := time.Since(began); took > 5*time.Second || strings.Contains(relay.log.String(), "work left") {
		t.Errorf("it took %v to shut down in 3 s:\n%s", took, relay.log)
	}
	within(t, patience, "the session ends at its owner", func() bool {
		_, metrics := owner.opsGet("/metrics")
		return strings.Contains(metrics, `channels_transport_connections{transport="xhr_polling"} 0`)
	})
}
