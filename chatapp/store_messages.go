package chatapp

import (
	"context"
	"math"
	"slices"
)

// Names of events that concern messages. They carry the Message.
const (
	eventNew     = "new-message"
	eventEdited  = "message-edited"
	eventDeleted = "message-deleted"
)

const messageSelect = `SELECT x.id, x.room_id, x.seq, x.rev, x.client_id, u.id, u.name, x.body,
	x.created_at, x.edited_at, x.deleted_at <> 0
	FROM messages x JOIN users u ON u.id = x.user_id `

func scanMessage(r scanner) (m Message, err error) {
	err = r.Scan(&m.ID, &m.Room, &m.Seq, &m.Rev, &m.ClientID, &m.User.ID, &m.User.Name, &m.Text,
		&m.CreatedAt, &m.EditedAt, &m.Deleted)
	return m, err
}

// post stores a message of a member. already tells that this client id was
// stored before by the same author: then the message is that one, as it is now,
// and nothing has changed.
func (s *Store) post(ctx context.Context, me Account, room, clientID, text string) (m Message, already bool, err error) {
	if err := checkClientID(clientID); err != nil {
		return Message{}, false, err
	}
	if text, err = cleanText(text); err != nil {
		return Message{}, false, err
	}
	err = s.change(ctx, "post a message", func(c *change) error {
		r, err := c.raiseAsMember(room, me.ID, raiseSeq)
		if err != nil {
			return err
		}
		m = Message{ID: newID(), Room: room, Seq: r.rev, Rev: r.rev, ClientID: clientID, User: me.User, Text: text, CreatedAt: c.now}
		added, err := c.exec(`INSERT INTO messages
			(id, room_id, seq, rev, user_id, client_id, body, created_at, edited_at, deleted_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT (room_id, client_id) DO NOTHING`,
			m.ID, room, m.Seq, m.Rev, me.ID, clientID, text, m.CreatedAt)
		if err != nil {
			return err
		}
		if added == 0 {
			if m, err = c.posted(room, me.ID, clientID); err != nil {
				return err
			}
			already = true
			return errUnchanged
		}
		if err := c.readOwn(m); err != nil {
			return err
		}
		if err := c.emitRoom(room, r.rev, eventNew, m.ID, m); err != nil {
			return err
		}
		return c.emitNews(m)
	})
	return m, already, err
}

// posted finds the message that has a client id already.
func (q querier) posted(room, author, clientID string) (Message, error) {
	m, err := one(q, errNoMessage, scanMessage, messageSelect+"WHERE x.room_id = ? AND x.client_id = ?", room, clientID)
	if err == nil && m.User.ID != author {
		return Message{}, errClientIDTaken
	}
	return m, err
}

// edit changes the text of a message of one's own. The same text changes
// nothing.
func (s *Store) edit(ctx context.Context, me Account, room, id, text string) (m Message, err error) {
	if text, err = cleanText(text); err != nil {
		return Message{}, err
	}
	err = s.change(ctx, "edit a message", func(c *change) error {
		var r roomState
		if r, m, err = c.raiseForMessage(room, id, me); err != nil {
			return err
		}
		switch {
		case m.User.ID != me.ID:
			return errNotAuthor
		case m.Deleted:
			return errDeleted
		case m.Text == text:
			return errUnchanged
		}
		m.Text, m.Rev, m.EditedAt = text, r.rev, c.now
		_, err := c.exec("UPDATE messages SET body = ?, rev = ?, edited_at = ? WHERE id = ?", m.Text, m.Rev, m.EditedAt, id)
		if err != nil {
			return err
		}
		return c.emitRoom(room, r.rev, eventEdited, id, m)
	})
	return m, err
}

// readOwn says that the author of a new message has read up to it.
func (c *change) readOwn(m Message) error {
	_, err := c.exec("UPDATE members SET read_seq = ?, read_rev = ? WHERE room_id = ? AND user_id = ? AND read_seq < ?",
		m.Seq, m.Rev, m.Room, m.User.ID, m.Seq)
	return err
}

// deleteMessage removes the text of a message for good, also from events that
// wait to be published; its place remains. The
// author may, the room's owner and the administrator. Again changes nothing.
func (s *Store) deleteMessage(ctx context.Context, me Account, room, id string) (m Message, err error) {
	err = s.change(ctx, "delete a message", func(c *change) error {
		var r roomState
		if r, m, err = c.raiseForMessage(room, id, me); err != nil {
			return err
		}
		switch {
		case m.User.ID != me.ID && r.role != RoleOwner && !me.Admin:
			return errNotAllowed
		case m.Deleted:
			return errUnchanged
		}
		m.Text, m.Rev, m.Deleted = "", r.rev, true
		_, err := c.exec("UPDATE messages SET body = '', rev = ?, deleted_at = ? WHERE id = ?", m.Rev, c.now, id)
		if err != nil {
			return err
		}
		if err := c.clearPending(m); err != nil {
			return err
		}
		if err := c.emitRoom(room, r.rev, eventDeleted, id, m); err != nil {
			return err
		}
		return c.emitNews(m)
	})
	return m, err
}

// raiseForMessage locks a room for the change of one of its messages.
func (c *change) raiseForMessage(room, id string, me Account) (roomState, Message, error) {
	r, err := c.raiseAsMember(room, me.ID, raiseRev)
	if err != nil {
		return r, Message{}, err
	}
	if !isID(id) {
		return r, Message{}, errNoMessage
	}
	m, err := one(c.querier, errNoMessage, scanMessage, messageSelect+"WHERE x.id = ? AND x.room_id = ?", id, room)
	return r, m, err
}

// page returns up to limit (1 to 200) messages, the newest below seq before;
// 0 gives the newest of all.
func (s *Store) page(ctx context.Context, me Account, room string, before int64, limit int) (Page, error) {
	q := s.reading(ctx)
	// The revision is read first: what is read after it cannot be older.
	r, err := q.roomForMember(room, me.ID)
	if err != nil {
		return Page{}, failed("read messages", err)
	}
	if before == 0 {
		before = math.MaxInt64
	}
	all, err := collect(q, scanMessage, messageSelect+`WHERE x.room_id = ? AND x.seq < ?
		ORDER BY x.seq DESC LIMIT ?`, room, before, limit+1)
	if err != nil {
		return Page{}, failed("read messages", err)
	}
	more := len(all) > limit
	all = all[:min(len(all), limit)]
	slices.Reverse(all)
	return Page{Messages: all, More: more, Rev: r.rev}, nil
}

// changes returns what happened in a room after a revision, up to limit (1 to
// 200) messages.
func (s *Store) changes(ctx context.Context, me Account, room string, after int64, limit int) (Changes, error) {
	q := s.reading(ctx)
	// What is changed again between these statements moves above the revision
	// that is read first: it is left out here and comes with the next changes.
	r, err := q.roomForMember(room, me.ID)
	if err != nil {
		return Changes{}, failed("read changes", err)
	}
	ch := Changes{Rev: r.rev, Channel: roomChannel(room, r.epoch)}
	ch.Messages, err = collect(q, scanMessage, messageSelect+`WHERE x.room_id = ? AND x.rev > ? AND x.rev <= ?
		ORDER BY x.rev LIMIT ?`, room, after, r.rev, limit+1)
	if err != nil {
		return Changes{}, failed("read changes", err)
	}
	if len(ch.Messages) > limit {
		ch.Messages, ch.More = ch.Messages[:limit], true
		ch.Rev = ch.Messages[limit-1].Rev
	}
	// Two looks into indexes: a room of a thousand has few members that changed.
	ch.Members, err = collect(q, scanMember, memberSelect+`WHERE m.room_id = ? AND m.user_id IN (
		SELECT c.user_id FROM members c WHERE c.room_id = ? AND c.rev > ? AND c.rev <= ?
		UNION SELECT d.user_id FROM members d WHERE d.room_id = ? AND d.read_rev > ? AND d.read_rev <= ?) ORDER BY u.id`,
		room, room, after, ch.Rev, room, after, ch.Rev)
	return ch, failed("read changes", err)
}

// roomForMember returns a room as it is, without a lock, to its members only.
func (q querier) roomForMember(room, user string) (roomState, error) {
	if !isID(room) {
		return roomState{}, errNoRoom
	}
	scan := func(s scanner) (r roomState, err error) {
		err = s.Scan(&r.id, &r.kind, &r.rev, &r.epoch, &r.lastSeq, &r.count, &r.role, &r.readSeq)
		return r, err
	}
	r, err := one(q, errNoRoom, scan, `SELECT r.id, r.kind, r.rev, r.epoch, r.last_seq, r.member_count,
		COALESCE(m.role, ''), COALESCE(m.read_seq, 0)
		FROM rooms r LEFT JOIN members m ON m.room_id = r.id AND m.user_id = ? AND m.active = 1 WHERE r.id = ?`, user, room)
	if err == nil && r.role == "" {
		err = r.refusal()
	}
	return r, err
}
