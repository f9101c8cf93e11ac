package chatapp

import (
	"context"
	"database/sql"
	"errors"
)

// roomSelect reads rooms as one user sees them, who is its parameter. Messages
// of one's own are never unread. Counting in order lets the database stop at the
// hundredth; without it, PostgreSQL looks at all that are unread first.
const roomSelect = `SELECT r.id, r.kind, r.name, r.epoch, r.rev, r.last_seq, r.member_count,
		m.role, COALESCE(m.read_seq, 0),
		(SELECT COUNT(*) FROM (SELECT 1 FROM messages n WHERE n.room_id = r.id AND n.seq > m.read_seq
			AND n.user_id <> m.user_id AND n.deleted_at = 0 ORDER BY n.seq LIMIT 100) AS unread),
		w.id, w.name, l.id, l.seq, l.rev, l.client_id, a.id, a.name, l.body, l.created_at, l.edited_at, l.deleted_at
	FROM rooms r
	LEFT JOIN members m ON m.room_id = r.id AND m.user_id = ? AND m.active = 1
	LEFT JOIN users w ON w.id = CASE WHEN r.kind = 'direct' AND m.active = 1 THEN
		(SELECT o.user_id FROM members o WHERE o.room_id = r.id AND o.user_id <> m.user_id) END
	LEFT JOIN messages l ON l.room_id = m.room_id AND l.seq = r.last_seq
	LEFT JOIN users a ON a.id = l.user_id `

func scanRoom(row scanner) (r Room, err error) {
	var role, withID, withName, id, clientID, author, authorName, text sql.NullString
	var seq, rev, created, edited, deleted sql.NullInt64
	var epoch int64
	err = row.Scan(&r.ID, &r.Kind, &r.Name, &epoch, &r.Rev, &r.LastSeq, &r.MemberCount, &role, &r.ReadSeq, &r.Unread,
		&withID, &withName, &id, &seq, &rev, &clientID, &author, &authorName, &text, &created, &edited, &deleted)
	r.Channel, r.Member, r.Role = roomChannel(r.ID, epoch), role.Valid, role.String
	if withID.Valid {
		r.Name, r.With = withName.String, &User{withID.String, withName.String}
	}
	if id.Valid {
		r.Last = &Message{id.String, r.ID, seq.Int64, rev.Int64, clientID.String, User{author.String, authorName.String},
			text.String, created.Int64, edited.Int64, deleted.Int64 != 0}
	}
	return r, err
}

// rooms returns me's rooms, the one with the newest message first, and up to 100
// open ones that me could join, by name.
func (s *Store) rooms(ctx context.Context, me Account) (mine, others []Room, err error) {
	q := s.reading(ctx)
	mine, err = collect(q, scanRoom, roomSelect+`WHERE m.active = 1
		ORDER BY COALESCE(l.created_at, r.created_at) DESC, r.id`, me.ID)
	if err != nil {
		return nil, nil, failed("list the rooms", err)
	}
	others, err = collect(q, scanRoom, roomSelect+`WHERE m.active IS NULL AND r.kind = 'open'
		ORDER BY r.name_key, r.id LIMIT 100`, me.ID)
	return mine, others, failed("list the rooms", err)
}

// room returns a room as me sees it, and its members if me is one.
func (s *Store) room(ctx context.Context, me Account, id string) (Room, []Member, error) {
	q := s.reading(ctx)
	r, err := q.room(me, id)
	if err != nil || !r.Member {
		return r, []Member{}, failed("read the room", err)
	}
	members, err := q.members(id)
	return r, members, failed("read the room's members", err)
}

// room is errNoRoom for closed and direct rooms that me is not in.
func (q querier) room(me Account, id string) (Room, error) {
	if !isID(id) {
		return Room{}, errNoRoom
	}
	r, err := one(q, errNoRoom, scanRoom, roomSelect+"WHERE r.id = ?", me.ID, id)
	if err == nil && !r.Member && r.Kind != KindOpen {
		return Room{}, errNoRoom
	}
	return r, err
}

// createRoom makes an open or closed room, whose owner me is.
func (s *Store) createRoom(ctx context.Context, me Account, kind, name string) (r Room, err error) {
	if kind != KindOpen && kind != KindClosed {
		return Room{}, badRequest("bad_room_kind", "A room is open or closed.")
	}
	if name, err = cleanName(name); err != nil {
		return Room{}, err
	}
	err = s.change(ctx, "create a room", func(c *change) error {
		room, err := c.insertRoom(kind, name, "name:"+foldName(name))
		if errors.Is(err, errUnchanged) {
			return errRoomNameTaken
		}
		if err != nil {
			return err
		}
		if err := c.enter(room, RoleOwner, me.User); err != nil {
			return err
		}
		if err := c.emitAdded(room, me.ID); err != nil {
			return err
		}
		r, err = c.room(me, room.id)
		return err
	})
	return r, err
}

// directRoom returns the room of two; created tells whether it is new. There is
// one for each pair, whoever asks and however often.
func (s *Store) directRoom(ctx context.Context, me Account, other string) (r Room, created bool, err error) {
	if other == me.ID {
		return Room{}, false, badRequest("bad_parameter", "A direct conversation is with somebody else.")
	}
	if !isID(other) {
		return Room{}, false, errNoUser
	}
	key := "direct:" + min(me.ID, other) + ":" + max(me.ID, other)
	err = s.change(ctx, "open a direct conversation", func(c *change) error {
		with, err := one(c.querier, errNoUser, scanUser, "SELECT id, name FROM users WHERE id = ?", other)
		if err != nil {
			return err
		}
		room, err := c.insertRoom(KindDirect, "", key)
		if err != nil {
			return err
		}
		created = true
		if err := c.enter(room, RoleMember, me.User, with); err != nil {
			return err
		}
		for _, id := range []string{me.ID, with.ID} {
			if err := c.emitAdded(room, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Room{}, false, err
	}
	q := s.reading(ctx)
	r, err = one(q, errNoRoom, scanRoom, roomSelect+"WHERE r.name_key = ?", me.ID, key)
	return r, created, failed("read the direct conversation", err)
}

// insertRoom makes a room without members, at its first revision, which is
// that of its first members. It is errUnchanged if there is one of that key.
func (c *change) insertRoom(kind, name, key string) (roomState, error) {
	r := roomState{id: newID(), kind: kind, rev: 1, epoch: 1}
	added, err := c.exec(`INSERT INTO rooms (id, kind, name, name_key, rev, last_seq, member_count, created_at)
		VALUES (?, ?, ?, ?, ?, 0, 0, ?) ON CONFLICT (name_key) DO NOTHING`, r.id, kind, name, key, r.rev, c.now)
	if err == nil && added == 0 {
		err = errUnchanged
	}
	return r, err
}

// roomState is what a change needs to know of a room. One that lockRoom returns
// is locked: no other transaction changes the room until the end of this one.
type roomState struct {
	id, kind string
	rev      int64 // the change's own
	epoch    int64 // of its channel's name, before the change
	lastSeq  int64
	count    int64  // of members
	role     string // of who does it, "" if no member
	readSeq  int64  // how far they have read; set by roomForMember only
}

// How lockRoom raises.
const (
	raiseNothing = "rev = rev"
	raiseRev     = "rev = rev + 1"
	raiseSeq     = "rev = rev + 1, last_seq = rev + 1"
)

// lockRoom is a change's first statement: it raises the room's revision, which
// also makes all others that change the room wait for the end of this one.
// Membership is read after that, by a statement of its own, so that it is what
// the one before has left.
func (c *change) lockRoom(id, user, raise string) (roomState, error) {
	if !isID(id) {
		return roomState{}, errNoRoom
	}
	r := roomState{id: id}
	err := c.row("UPDATE rooms SET "+raise+" WHERE id = ? RETURNING kind, rev, epoch, last_seq, member_count", id).
		Scan(&r.kind, &r.rev, &r.epoch, &r.lastSeq, &r.count)
	if errors.Is(err, sql.ErrNoRows) {
		return r, errNoRoom
	}
	if err != nil || user == "" {
		return r, err
	}
	r.role, err = c.role(id, user)
	return r, err
}

// raiseAsMember is lockRoom for what only members may do.
func (c *change) raiseAsMember(id, user, raise string) (roomState, error) {
	r, err := c.lockRoom(id, user, raise)
	if err == nil && r.role == "" {
		err = r.refusal()
	}
	return r, err
}

// refusal is what somebody is told who is no member.
func (r roomState) refusal() error {
	if r.kind == KindOpen {
		return errNotMember
	}
	return errNoRoom
}
