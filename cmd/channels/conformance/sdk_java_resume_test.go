//go:build conformance && !goroutinereaders

package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestJavaClientResumes gives the client a token: it misses nothing while it is away, and
// when its server is killed.
func TestJavaClientResumes(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	settings := []string{"CHANNELS_APP_RESUME=2m", "CHANNELS_APP_HISTORY_EVENTS=100"}
	s := startMortal(t, r, settings...)
	j := startJavaWith(t, s, appKey+"~java-client-0123456789", "ada", "")
	channels := []string{"room", "private-room", "private-encrypted-room"}
	last := make(map[string]int)
	for _, channel := range channels {
		j.do("subscribe", channel)
		j.expect("succeeded", channel)
		if words := j.next(); words[2] != "pusher:missed" { // Redis is new
			t.Fatalf("the Java client told %q", words)
		}
	}
	sent := 0
	publish := func(count int) {
		t.Helper()
		for range count {
			sent++
			for _, channel := range channels {
				ok(t, "trigger", sdk(s).Trigger(channel, "my-event", fmt.Sprint(sent)))
			}
		}
	}
	behind := func() bool {
		return slices.ContainsFunc(channels, func(channel string) bool { return last[channel] < sent })
	}
	resumed := make(map[string]int)
	read := func() {
		t.Helper()
		for behind() {
			words := j.next()
			switch {
			case words[0] != "event":
			case words[2] == "pusher:resumed":
				resumed[words[1]]++
			case words[2] == "my-event":
				n, err := strconv.Atoi(words[3])
				if err != nil || n > last[words[1]]+1 || n <= last[words[1]] && resumed[words[1]] == 0 {
					t.Fatalf("%q behind %d", words, last[words[1]])
				}
				last[words[1]] = max(last[words[1]], n)
			default:
				t.Fatalf("the Java client told %q, sent %d, resumed %v, last %v", words, sent, resumed, last)
			}
		}
	}
	publish(3)
	read()
	j.do("disconnect")
	j.expect("state", "DISCONNECTING")
	j.expect("state", "DISCONNECTED")
	publish(5)
	j.do("connect")
	read()
	for range 15 { // for longer than the second of confirmations that may die with a node
		time.Sleep(100 * time.Millisecond)
		publish(1)
		read()
	}
	s.killNow()
	s = startMortal(t, r, append(settings, "--listen="+s.Addr)...)
	publish(5)
	read()
	for _, channel := range channels {
		if resumed[channel] < 2 {
			t.Errorf("%s was resumed %d times, want 2 at least", channel, resumed[channel])
		}
	}
}
