package hub

import (
	"time"

	"channels/protocol"
)

// Liveness. A connection that has been silent for its activity timeout and a
// little more gets a WebSocket ping; one that has then been silent for
// pongTimeout is closed. The ping waits in the queue behind everything else, so
// while the client takes what is queued, pongTimeout starts over. One that takes
// nothing of what is queued for it for as long as both together is closed as well.
// One sweep over all connections takes the place of a timer for each. Times are
// since the hub's start, so that a step of the wall clock means nothing.
const (
	pongTimeout = 30 * time.Second
	// pingMargin leaves clients that probe by themselves the first word.
	pingMargin = 10 // per cent of the activity timeout
)

// now is the time since the hub's start.
func (h *Hub) now() time.Duration { return time.Since(h.began) }

// openedAt is when the connection was opened, with a monotonic reading.
func (c *Conn) openedAt() time.Time { return c.hub.began.Add(c.since) }

// sweepInterval is an eighth of the shortest of the apps' timeouts, within reason.
func sweepInterval(apps []App) time.Duration {
	shortest := 40 * time.Second
	for i := range apps {
		shortest = min(shortest, apps[i].ActivityTimeout)
		if apps[i].Resume > 0 {
			shortest = min(shortest, ResumeActivity)
		}
		if apps[i].AuthorizedConnections {
			shortest = min(shortest, apps[i].AuthorizedTimeout)
		}
	}
	return max(shortest/8, 100*time.Millisecond)
}

func (w *worker) sweep() {
	now := w.hub.now()
	for i := len(w.conns) - 1; i >= 0; i-- { // close moves the last one here
		w.probe(w.conns[i], now)
	}
	w.flush()
	w.piece = piece{}
	w.spare = nil // a burst may have needed many
}

func (w *worker) probe(c *Conn, now time.Duration) {
	if c.awaits && !c.authorized && now-c.since >= c.app().AuthorizedTimeout {
		w.close(c, protocol.ConnectionUnauthorized(), Unauthorized)
		return
	}
	if backlog := c.socket.Backlog(); backlog != Clear { // nothing may be sent to it any more
		w.fellBehind(c, backlog)
		if c.closed {
			return
		}
	}
	silent := now - time.Duration(c.seen.Load())
	quiet := c.activity() + c.activity()*pingMargin/100
	stalled := c.socket.Stalled()
	if r := c.resume; r != nil && r.isDeaf(now) && stalled == 0 {
		w.close(c, protocol.PongMissing(), Silent)
		return
	}
	switch {
	case stalled >= quiet+pongTimeout:
		w.close(c, protocol.PongMissing(), Unread)
	case silent < quiet:
		c.probed = 0
	case c.probed == 0:
		c.probed = now
		w.send(c, protocol.PingFrame())
	case stalled > 0 && stalled < pongTimeout: // it reads, and the ping may not have left yet
		c.probed = now
	case now-c.probed >= pongTimeout:
		w.close(c, protocol.PongMissing(), Silent)
	}
}
