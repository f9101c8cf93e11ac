package chatapp

import (
	"context"
	"time"
)

// When a stream's backlog is collapsed: it is older and longer than this.
const (
	collapseAge  = 2 * time.Second
	collapseRows = 10
)

// eventCatchUp stands for all events of a room up to its revision: whoever gets it
// fetches what changed.
const eventCatchUp = "catch-up"

// stale tells whether the first rows of a stream show a backlog that nobody
// should get event by event: browsers have fetched most of it by themselves, and
// what is new would wait behind it.
func stale(rows []outRow, now int64) bool {
	return len(rows) > collapseRows && rows[0].CreatedAt < now-collapseAge.Microseconds()
}

// collapse puts one hint, and one in the news of the members, in the place of all
// events that wait in a room's stream. What must not be lost stays: that somebody
// was removed or added, that a channel has another name, that connections are to
// be closed. The caller holds the stream's lock.
func (s *Store) collapse(ctx context.Context, room string) error {
	return s.change(ctx, "collapse the outbox", func(c *change) error {
		const events = "stream = ? AND (kind = '" + outEvent + "' OR kind = '" + outNews + "' OR event = '" + eventReadPosition + "')"
		stream := roomStream(room)
		// Rows that are added meanwhile have greater revisions, and stay.
		rev, err := scanInt(c.row("SELECT COALESCE(MAX(rev), 0) FROM outbox WHERE "+events, stream))
		if err != nil || rev == 0 {
			return err
		}
		if _, err := c.exec("DELETE FROM outbox WHERE "+events+" AND rev <= ?", stream, rev); err != nil {
			return err
		}
		// The hints come after what else the revision has left in the outbox.
		part, err := scanInt(c.row("SELECT COALESCE(MAX(part) + 1, 0) FROM outbox WHERE stream = ? AND rev = ?", stream, rev))
		if err != nil {
			return err
		}
		c.parts[stream] = int(part)
		hint := fetchNotice{Room: room, Rev: rev, Fetch: true}
		if err := c.emit(stream, rev, outEvent, "", eventCatchUp, hint); err != nil {
			return err
		}
		return c.emit(stream, rev, outNews, "", eventRoomNews, hint)
	})
}
