package hub_test

import (
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// TestWhoReadsIsNotSilent has a client say nothing while it reads what is queued
// for it, slowly. The ping waits behind that, so the client has the time for its
// pong once the queue is empty, or no longer moves.
func TestWhoReadsIsNotSilent(t *testing.T) {
	const (
		sweep = 5 * time.Second
		pong  = 30 * time.Second
	)
	for name, then := range map[string]func(c *client){
		"reads all, and answers":       func(c *client) { c.stallFor(0); time.Sleep(pong - sweep); c.conn.Touch() },
		"reads all, and is silent":     func(c *client) { c.stallFor(0) },
		"reads no more, and is silent": func(c *client) { c.stallFor(pong) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, nil)
				c := r.connect()
				c.stallFor(time.Second)
				time.Sleep(10 * time.Minute)
				c.expect("ping")
				c.expectOpen()
				began := time.Now()
				then(c)
				time.Sleep(pong + 2*sweep)
				if name == "reads all, and answers" {
					c.expectOpen()
					return
				}
				c.expectClosed(protocol.CodePongMissing)
				if after := c.at.Sub(began); after < pong-sweep || after > pong+sweep {
					t.Errorf("closed after %v, want about %v", after, pong)
				}
				if n := r.hub.Stats().Closes[hub.End{Code: 4201, Reason: hub.Silent}]; n != 1 {
					t.Errorf("%d closes are counted as silent", n)
				}
			})
		})
	}
}

// TestWhoIsBehindIsSlowAndNotSilent has clients say nothing while they are over
// their bound. One that makes progress has the five minutes of every client, and
// one that makes none is closed at once. Both count as slow.
func TestWhoIsBehindIsSlowAndNotSilent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, clients := held(t, 10)
		reading, stopping := clients[0], clients[1]
		began := time.Now()
		for _, c := range []*client{reading, stopping} {
			c.stallFor(time.Second)
			c.set(hub.Full)
		}
		r.trigger("news", "last")
		for range 28 {
			time.Sleep(10 * time.Second)
			for _, c := range clients[2:] {
				c.conn.Touch()
			}
			reading.expectOpen()
			stopping.expectOpen()
		}
		stopping.set(hub.Stuck)
		time.Sleep(10 * time.Millisecond)
		stopping.expectClosed(protocol.CodeOverCapacity)
		reading.expectOpen()
		time.Sleep(time.Minute)
		reading.expectClosed(protocol.CodeOverCapacity)
		if after := reading.at.Sub(began); after < 5*time.Minute || after > 5*time.Minute+time.Second {
			t.Errorf("closed after %v, want the five minutes that a client may be behind", after)
		}
		if n := r.hub.Stats().Closes[hub.End{Code: 4100, Reason: hub.SlowConsumer}]; n != 2 {
			t.Errorf("%d closes are counted as slow, want 2", n)
		}
	})
}
