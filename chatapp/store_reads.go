package chatapp

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"
)

// Names of events that concern reading.
const (
	eventRead         = "read"          // to the room: how far some have read
	eventReadPosition = "read-position" // to a user's own tabs
)

// readsInterval is the least time between two bundles of a room's reads.
const readsInterval = time.Second

// readPosition is what eventReadPosition carries.
type readPosition struct {
	Room    string `json:"room"`
	ReadSeq int64  `json:"readSeq"`
	Unread  int64  `json:"unread"`
}

// markRead stores that me has read up to a message, and returns how far that is
// now and what is unread after it. It never goes back, nor beyond the newest
// message. The room is told later, by bundleReads.
func (s *Store) markRead(ctx context.Context, me Account, room string, seq int64) (readSeq, unread int64, err error) {
	var p readPosition
	err = s.change(ctx, "store what was read", func(c *change) error {
		if _, err := c.revForMember(room, me.ID); err != nil {
			return err
		}
		moved, err := c.exec(`UPDATE members SET read_dirty = 1,
			read_seq = (SELECT CASE WHEN r.last_seq < ? THEN r.last_seq ELSE ? END FROM rooms r WHERE r.id = members.room_id)
			WHERE room_id = ? AND user_id = ? AND active = 1 AND read_seq < ?
			AND read_seq < (SELECT r.last_seq FROM rooms r WHERE r.id = members.room_id)`,
			seq, seq, room, me.ID, seq)
		if err != nil {
			return err
		}
		if p, err = c.readPosition(me, room); err != nil {
			return err
		}
		if moved == 0 {
			return errUnchanged
		}
		return c.emitUser(me.ID, outUser, eventReadPosition, p)
	})
	return p.ReadSeq, p.Unread, err
}

func (q querier) readPosition(me Account, room string) (readPosition, error) {
	r, err := q.room(me, room)
	return readPosition{room, r.ReadSeq, r.Unread}, err
}

// roomsWithReads returns up to limit rooms whose reads wait for bundleReads.
func (s *Store) roomsWithReads(ctx context.Context, limit int) ([]string, error) {
	all, err := collect(s.reading(ctx), scanString,
		"SELECT DISTINCT room_id FROM members WHERE read_dirty = 1 LIMIT ?", limit)
	return all, failed("look for reads", err)
}

// readsEvent is what eventRead carries.
type readsEvent struct {
	Room  string `json:"room"`
	Rev   int64  `json:"rev"`
	Reads []Read `json:"reads"`
}

// bundleReads makes one revision and one event of all that has been read in a
// room since the last one. It does nothing if there is nothing, or if the last
// one was less than a second ago; it may be called at any time by any process,
// and another call a second after a read finds it.
func (s *Store) bundleReads(ctx context.Context, room string) error {
	return s.change(ctx, "tell what was read", func(c *change) error {
		// A time in the future is of a clock that was wrong, and must not hold up reads.
		rev, err := scanInt(c.row(`UPDATE rooms SET rev = rev + 1, reads_at = ?
			WHERE id = ? AND (reads_at <= ? OR reads_at > ?) RETURNING rev`,
			c.now, room, c.now-readsInterval.Microseconds(), c.now))
		if errors.Is(err, sql.ErrNoRows) {
			return errUnchanged
		}
		if err != nil {
			return err
		}
		reads, err := collect(c.querier, scanRead, `UPDATE members SET read_dirty = 0, read_rev = ?
			WHERE room_id = ? AND read_dirty = 1 RETURNING user_id, read_seq`, rev, room)
		if err != nil {
			return err
		}
		if len(reads) == 0 {
			return errUnchanged
		}
		slices.SortFunc(reads, func(a, b Read) int { return strings.Compare(a.User, b.User) })
		return c.emitRoom(room, rev, eventRead, "", "", readsEvent{room, rev, reads})
	})
}

func scanRead(r scanner) (v Read, err error) {
	err = r.Scan(&v.User, &v.Seq)
	return v, err
}
