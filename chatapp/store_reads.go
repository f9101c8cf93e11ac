package chatapp

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Names of events that concern reading.
const (
	eventRead         = "read"          // to the room: how far some have read
	eventReadPosition = "read-position" // to a user's own tabs
)

// readPosition is what eventReadPosition carries.
type readPosition struct {
	Room    string `json:"room"`
	ReadSeq int64  `json:"readSeq"`
}

// readsEvent is what eventRead carries.
type readsEvent struct {
	Room  string `json:"room"`
	Rev   int64  `json:"rev"`
	Reads []Read `json:"reads"`
}

// unreadAfter counts up to 100 messages of others above a position.
func (s *Store) unreadAfter(ctx context.Context, me Account, room string, seq int64) (int64, error) {
	n, err := one(s.reading(ctx), nil, scanInt, `SELECT COUNT(*) FROM (SELECT 1 FROM messages n WHERE n.room_id = ? AND n.seq > ?
		AND n.user_id <> ? AND n.deleted_at = 0 ORDER BY n.seq LIMIT 100) AS unread`, room, seq, me.ID)
	return n, failed("count what is unread", err)
}

// storeReads stores how far people have read, by room and user, in one
// transaction. Each room gets one revision and one event. Positions never go
// back, nor beyond the newest message; those of people who left are dropped.
func (s *Store) storeReads(ctx context.Context, reads map[string]map[string]int64) error {
	return s.change(ctx, "store what was read", func(c *change) error {
		for _, room := range slices.Sorted(maps.Keys(reads)) {
			if err := c.storeReadsOf(room, reads[room]); err != nil && !errors.Is(err, errNoRoom) {
				return err
			}
		}
		return nil
	})
}

func (c *change) storeReadsOf(room string, reads map[string]int64) error {
	r, err := c.lockRoom(room, "", raiseNothing)
	if err != nil {
		return err
	}
	rev := r.rev + 1
	bySeq := map[int64][]string{} // most have read up to the same message
	for user, seq := range reads {
		seq = min(seq, r.lastSeq)
		bySeq[seq] = append(bySeq[seq], user)
	}
	e := readsEvent{Room: room, Rev: rev}
	for _, seq := range slices.Sorted(maps.Keys(bySeq)) {
		slices.Sort(bySeq[seq])
		for users := range chunks(bySeq[seq]) {
			moved, err := c.moveReads(room, rev, seq, users)
			if err != nil {
				return err
			}
			for _, user := range moved {
				e.Reads = append(e.Reads, Read{user, seq})
			}
			if len(moved) == 0 {
				continue
			}
			err = c.emit(roomStream(room), rev, outUsers, strings.Join(moved, ","), eventReadPosition, readPosition{room, seq})
			if err != nil {
				return err
			}
		}
	}
	if len(e.Reads) == 0 {
		return nil
	}
	if _, err := c.exec("UPDATE rooms SET rev = ? WHERE id = ?", rev, room); err != nil {
		return err
	}
	return c.emitRoom(room, rev, eventRead, "", e)
}

// moveReads moves those forward who have not read so far yet, and returns them.
func (c *change) moveReads(room string, rev, seq int64, users []string) ([]string, error) {
	moved, err := collect(c.querier, scanString, "UPDATE members SET read_seq = ?, read_rev = ? "+
		"WHERE room_id = ? AND active = 1 AND read_seq < ? AND user_id IN ("+places(len(users))+") RETURNING user_id",
		append([]any{seq, rev, room, seq}, anys(users)...)...)
	slices.Sort(moved)
	return moved, err
}
