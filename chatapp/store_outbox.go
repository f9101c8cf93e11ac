package chatapp

import (
	"bytes"
	"context"
	"encoding/json"
)

// Kinds of outbox rows: what is to be done with them.
const (
	outEvent     = "event"     // an event on the room's channel
	outUser      = "user"      // an event to one user, target
	outTerminate = "terminate" // the end of all connections of a user, target
)

// maxPayload is how many bytes an event carries; what is larger is fetched.
const maxPayload = 8 << 10

// outRow is one thing to be told. The rows of a stream are told in the order of
// revision and part. A stream is "room:ID" or "user:ID"; its revisions are given
// under a lock that is held to the commit, so none appears below one that was
// already seen.
type outRow struct {
	Rev, Part int64
	Kind      string
	Target    string // user: whom it is for, or who caused an event
	Event     string
	Payload   string // JSON
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

// emitUser adds a row to the stream of one user, whose revision it raises.
func (c *change) emitUser(user, kind, event string, payload any) error {
	if c.silent {
		return nil
	}
	rev, err := scanInt(c.row("UPDATE users SET rev = rev + 1 WHERE id = ? RETURNING rev", user))
	if err != nil {
		return err
	}
	return c.emit(userStream(user), rev, kind, user, event, payload)
}

// fetchNotice is what an event carries whose payload is too large.
type fetchNotice struct {
	Room  string `json:"room"`
	ID    string `json:"id,omitempty"`
	Rev   int64  `json:"rev"`
	Fetch bool   `json:"fetch"`
}

// emitRoom adds an event on a room's channel. id names what it is about, for a
// payload that is too large; by is who caused it.
func (c *change) emitRoom(room string, rev int64, event, id, by string, payload any) error {
	if data, err := encode(payload); err == nil && len(data) > maxPayload {
		payload = fetchNotice{room, id, rev, true}
	}
	return c.emit(roomStream(room), rev, outEvent, by, event, payload)
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

// waitingStreams returns up to limit streams that have something to tell.
func (s *Store) waitingStreams(ctx context.Context, limit int) ([]string, error) {
	all, err := collect(s.reading(ctx), scanString, "SELECT DISTINCT stream FROM outbox LIMIT ?", limit)
	return all, failed("look into the outbox", err)
}

// waiting returns the first rows of a stream.
func (s *Store) waiting(ctx context.Context, stream string, limit int) ([]outRow, error) {
	scan := func(r scanner) (o outRow, err error) {
		err = r.Scan(&o.Rev, &o.Part, &o.Kind, &o.Target, &o.Event, &o.Payload)
		return o, err
	}
	all, err := collect(s.reading(ctx), scan, `SELECT rev, part, kind, target, event, payload FROM outbox
		WHERE stream = ? ORDER BY rev, part LIMIT ?`, stream, limit)
	return all, failed("look into the outbox", err)
}

// told removes a stream's rows up to this one.
func (s *Store) told(ctx context.Context, stream string, last outRow) error {
	return s.change(ctx, "empty the outbox", func(c *change) error {
		_, err := c.exec("DELETE FROM outbox WHERE stream = ? AND (rev < ? OR (rev = ? AND part <= ?))",
			stream, last.Rev, last.Rev, last.Part)
		return err
	})
}

// lockStream waits until no other process tells this stream's rows.
func (s *Store) lockStream(ctx context.Context, stream string) (unlock func(), err error) {
	return s.dialect.lock(ctx, s.write, stream)
}
