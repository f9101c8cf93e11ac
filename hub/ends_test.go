package hub_test

import (
	"maps"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

func TestEveryEndIsCountedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		want := map[hub.End]uint64{}
		for _, end := range []struct{ reported, counted hub.End }{
			{hub.End{Code: 1000, Reason: hub.ClientClosed}, hub.End{Code: 1000, Reason: hub.ClientClosed}},
			{hub.End{Code: 1001, Reason: hub.ClientClosed}, hub.End{Code: 1001, Reason: hub.ClientClosed}},
			{hub.End{Code: 1005, Reason: hub.ClientClosed}, hub.End{Code: 1005, Reason: hub.ClientClosed}},
			{hub.End{Code: 1004, Reason: hub.ClientClosed}, hub.End{Reason: hub.ClientClosed}},
			{hub.End{Code: 3999, Reason: hub.ClientClosed}, hub.End{Reason: hub.ClientClosed}},
			{hub.End{Code: 4100, Reason: hub.ClientClosed}, hub.End{Reason: hub.ClientClosed}},
			{hub.End{Code: 65535, Reason: hub.ClientClosed}, hub.End{Reason: hub.ClientClosed}},
			{hub.End{Code: 1006, Reason: hub.Disconnected}, hub.End{Code: 1006, Reason: hub.Disconnected}},
			{hub.End{Code: 1009, Reason: hub.TooLarge}, hub.End{Code: 1009, Reason: hub.TooLarge}},
			{hub.End{Code: 1007, Reason: hub.BadText}, hub.End{Code: 1007, Reason: hub.BadText}},
		} {
			c := r.connect()
			c.conn.Gone(end.reported)
			c.conn.Gone(end.reported)
			want[end.counted]++
		}
		closed := r.connect()
		closed.conn.Close(protocol.Fault{Code: 1003, Message: "no"}, hub.Unsupported)
		closed.conn.Gone(hub.End{Code: 1003, Reason: hub.ClientClosed}) // its answer
		closed.expectClosed(1003)
		want[hub.End{Code: 1003, Reason: hub.Unsupported}]++
		r.hub.CountClose(protocol.UnknownAppKey("x"), hub.Refused)
		want[hub.End{Code: 4001, Reason: hub.Refused}]++
		r.settle()
		if got := r.hub.Stats().Closes; !maps.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	})
}

// TestWhoTakesNothingIsEnded has a client that sends, and so is alive, but reads
// nothing of what waits for it.
func TestWhoTakesNothingIsEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		deaf, slow := r.connect(), r.connect()
		began := time.Now()
		for range 18 {
			time.Sleep(10 * time.Second)
			for _, c := range []*client{deaf, slow} {
				c.conn.Touch()
			}
			deaf.stallFor(time.Since(began))
			slow.stallFor(9 * time.Second)
		}
		deaf.expectClosed(protocol.CodePongMissing)
		if after := deaf.at.Sub(began); after < 160*time.Second || after > 180*time.Second {
			t.Errorf("closed after %v, want the liveness limit of 162 s", after)
		}
		slow.expectOpen()
		if n := r.hub.Stats().Closes[hub.End{Code: 4201, Reason: hub.Unread}]; n != 1 {
			t.Errorf("%d are counted", n)
		}
	})
}
