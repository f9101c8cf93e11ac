package chatapp

import (
	"bytes"
	"context"
	"encoding/json"
)

// Kinds of outbox rows: what is done with them.
const (
	outEvent     = "event"     // an event on the room's channel
	outMoved     = "moved"     // the last event on an old channel of the room: target
	outNews      = "news"      // an event on the own channels of the room's members, but of target's
	outUsers     = "user"      // an event on the own channels of users: target, their ids with commas between
	outTerminate = "terminate" // the end of all connections of a user: target
)

// maxPayload is how many bytes an event carries; what is larger is fetched.
const maxPayload = 8 << 10

// outRow is one thing to publish. The rows of a stream are published in the
// order of revision and part. A stream is "room:ID" or "user:ID"; its revisions
// are given under a lock that is held to the commit, so none appears below one
// that was already seen.
type outRow struct {
	Rev, Part int64
	Kind      string
	Target    string
	Event     string
	Payload   string // JSON
	CreatedAt int64  // microseconds since 1970
}

func roomStream(id string) string { return "room:" + id }
func userStream(id string) string { return "user:" + id }

// emit adds a row to a stream's revision.
func (c *change) emit(stream string, rev int64, kind, target, event string, payload any) error {
	if c.silent {
		return nil
	}
	data, err := encode(payload)
	if err != nil {
		return err
	}
	if _, seen := c.parts[stream]; !seen {
		c.streams = append(c.streams, stream)
	}
	part := c.parts[stream]
	c.parts[stream]++
	_, err = c.exec(`INSERT INTO outbox (stream, rev, part, kind, target, event, payload, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, stream, rev, part, kind, target, event, data, c.now)
	return err
}

// fetchNotice is what an event carries whose payload is too large.
type fetchNotice struct {
	Room  string `json:"room"`
	ID    string `json:"id,omitempty"`
	Rev   int64  `json:"rev"`
	Fetch bool   `json:"fetch"`
}

// emitRoom adds an event on a room's channel. id names what it is about, for a
// payload that is too large.
func (c *change) emitRoom(room string, rev int64, event, id string, payload any) error {
	if data, err := encode(payload); err == nil && len(data) > maxPayload {
		payload = fetchNotice{room, id, rev, true}
	}
	return c.emit(roomStream(room), rev, outEvent, "", event, payload)
}

// eventRoomNews is the event on members' own channels that says what happened in
// a room.
const eventRoomNews = "room-news"

// roomNews is what eventRoomNews carries: enough to count what is unread.
type roomNews struct {
	Room      string `json:"room"`
	Rev       int64  `json:"rev"`
	Seq       int64  `json:"seq"`
	By        User   `json:"by"`
	CreatedAt int64  `json:"createdAt"`
	Deleted   bool   `json:"deleted,omitempty"`
}

// emitNews adds the news of a message, for all members but its author.
func (c *change) emitNews(m Message) error {
	return c.emit(roomStream(m.Room), m.Rev, outNews, m.User.ID, eventRoomNews,
		roomNews{m.Room, m.Rev, m.Seq, m.User, m.CreatedAt, m.Deleted})
}

// clearPending takes a message's text out of the events that wait to be
// published: whoever gets one fetches the message as it is now.
func (c *change) clearPending(m Message) error {
	if c.silent {
		return nil
	}
	_, err := c.exec(`UPDATE outbox SET payload = '{"room":"' || ? || '","id":"' || ? || '","rev":' || rev || ',"fetch":true}'
		WHERE stream = ? AND kind = ? AND payload LIKE ?`,
		m.Room, m.ID, roomStream(m.Room), outEvent, `{"id":"`+m.ID+`",%`)
	return err
}

// encode gives JSON without the escapes that are for HTML only: payloads are
// small, and go through React's escaping.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// waitingStreams returns up to limit streams that have something to publish, in
// the order of their names. It steps from one stream's first row to the next's,
// whatever lies between.
func (s *Store) waitingStreams(ctx context.Context, limit int) ([]string, error) {
	all, err := collect(s.reading(ctx), scanString, `WITH RECURSIVE streams (stream) AS (
		SELECT MIN(stream) FROM outbox
		UNION ALL
		SELECT (SELECT MIN(o.stream) FROM outbox o WHERE o.stream > s.stream) FROM streams s WHERE s.stream IS NOT NULL
	) SELECT stream FROM streams WHERE stream IS NOT NULL LIMIT ?`, limit)
	return all, failed("look into the outbox", err)
}

// waiting returns the first rows of a stream.
func (s *Store) waiting(ctx context.Context, stream string, limit int) ([]outRow, error) {
	all, err := collect(s.reading(ctx), scanOutRow, `SELECT rev, part, kind, target, event, payload, created_at FROM outbox
		WHERE stream = ? ORDER BY rev, part LIMIT ?`, stream, limit)
	return all, failed("look into the outbox", err)
}

func scanOutRow(r scanner) (o outRow, err error) {
	err = r.Scan(&o.Rev, &o.Part, &o.Kind, &o.Target, &o.Event, &o.Payload, &o.CreatedAt)
	return o, err
}

// removePublished removes a stream's rows up to this one.
func (s *Store) removePublished(ctx context.Context, stream string, last outRow) error {
	return s.change(ctx, "empty the outbox", func(c *change) error {
		_, err := c.exec("DELETE FROM outbox WHERE stream = ? AND (rev < ? OR (rev = ? AND part <= ?))",
			stream, last.Rev, last.Rev, last.Part)
		return err
	})
}

// lockStream waits until no other process publishes this stream's rows.
func (s *Store) lockStream(ctx context.Context, stream string) (unlock func(), err error) {
	return s.dialect.lock(ctx, s.write, stream)
}
