package chatapp

import (
	"context"
	"database/sql"
	"errors"
)

// Names of events that concern membership.
const (
	eventMembers     = "members-changed"
	eventRoomAdded   = "room-added"
	eventRoomRemoved = "room-removed"
)

const memberSelect = `SELECT u.id, u.name, m.role, m.active, m.read_seq, m.rev, m.read_rev
	FROM members m JOIN users u ON u.id = m.user_id `

func scanMember(r scanner) (m Member, err error) {
	err = r.Scan(&m.User.ID, &m.User.Name, &m.Role, &m.Active, &m.ReadSeq, &m.Rev, &m.ReadRev)
	return m, err
}

// members returns a room's members, in the order in which they joined.
func (q querier) members(room string) ([]Member, error) {
	return collect(q, scanMember, memberSelect+"WHERE m.room_id = ? AND m.active = 1 ORDER BY m.joined_at, u.id", room)
}

// role is "" for somebody who is no member.
func (q querier) role(room, user string) (string, error) {
	role, err := one(q, sql.ErrNoRows, scanString,
		"SELECT role FROM members WHERE room_id = ? AND user_id = ? AND active = 1", room, user)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return role, err
}

// join makes me a member of an open room. It changes nothing for a member.
func (s *Store) join(ctx context.Context, me Account, room string) (Room, error) {
	err := s.change(ctx, "join a room", func(c *change) error {
		r, err := c.lockRoom(room, me.ID, raiseRev)
		switch {
		case err != nil:
			return err
		case r.kind == KindDirect && r.role != "":
			return errDirect
		case r.role != "":
			return errUnchanged
		case r.kind != KindOpen:
			return errNoRoom
		}
		return c.add(r, me.User)
	})
	if err != nil {
		return Room{}, err
	}
	r, err := s.reading(ctx).room(me, room)
	return r, failed("read the room", err)
}

// addMember makes somebody a member of a room that me is in. It changes nothing
// for a member.
func (s *Store) addMember(ctx context.Context, me Account, room, user string) (Room, []Member, error) {
	err := s.change(ctx, "add a member", func(c *change) error {
		r, err := c.raiseAsMember(room, me.ID, raiseRev)
		if err != nil {
			return err
		}
		if r.kind == KindDirect {
			return errDirect
		}
		if !isID(user) {
			return errNoUser
		}
		role, err := c.role(room, user)
		if err != nil {
			return err
		}
		if role != "" {
			return errUnchanged
		}
		u, err := one(c.querier, errNoUser, scanUser, "SELECT id, name FROM users WHERE id = ?", user)
		if err != nil {
			return err
		}
		return c.add(r, u)
	})
	if err != nil {
		return Room{}, nil, err
	}
	return s.room(ctx, me, room)
}

// add is what join and addMember have in common.
func (c *change) add(r roomState, u User) error {
	if r.count >= MaxMembers {
		return errRoomFull
	}
	if err := c.enter(r, RoleMember, u); err != nil {
		return err
	}
	return c.emitAdded(r, u.ID)
}

// enter stores that these are members from this revision on, and tells the
// room. What was written before counts as read.
func (c *change) enter(r roomState, role string, users ...User) error {
	for _, u := range users {
		_, err := c.exec(`INSERT INTO members
			(room_id, user_id, role, active, rev, joined_at, read_seq, read_rev)
			VALUES (?, ?, ?, 1, ?, ?, ?, ?)
			ON CONFLICT (room_id, user_id) DO UPDATE SET role = excluded.role, active = 1, rev = excluded.rev,
			joined_at = excluded.joined_at, read_seq = excluded.read_seq, read_rev = excluded.read_rev`,
			r.id, u.ID, role, r.rev, c.now, r.lastSeq, r.rev)
		if err != nil {
			return err
		}
	}
	_, err := c.exec("UPDATE rooms SET member_count = member_count + ? WHERE id = ?", len(users), r.id)
	if err != nil {
		return err
	}
	return c.emitMembers(r, "")
}

// leave ends me's membership, in a closed room also whatever my clients have
// signatures for. It changes nothing for somebody who is no member of an open
// room.
func (s *Store) leave(ctx context.Context, me Account, room string) error {
	return s.change(ctx, "leave a room", func(c *change) error {
		r, err := c.lockRoom(room, me.ID, raiseRev)
		switch {
		case err != nil:
			return err
		case r.role == "" && r.kind == KindOpen:
			return errUnchanged
		case r.role == "":
			return errNoRoom
		}
		// Who leaves an open room may come back: nothing has to be revoked.
		return c.remove(r, me.ID, r.role, r.kind == KindClosed)
	})
}

// removeMember ends somebody's membership, gives the room's channel another name,
// and closes their connections. The room's owner and the administrator
// may, and everybody for oneself. It changes nothing for somebody who is no
// member.
func (s *Store) removeMember(ctx context.Context, me Account, room, user string) (Room, []Member, error) {
	if user == me.ID {
		if err := s.leave(ctx, me, room); err != nil {
			return Room{}, nil, err
		}
		r, members, err := s.room(ctx, me, room)
		if errors.Is(err, errNoRoom) { // closed, and left
			return Room{ID: room, Kind: KindClosed}, []Member{}, nil
		}
		return r, members, err
	}
	err := s.change(ctx, "remove a member", func(c *change) error {
		r, err := c.raiseAsMember(room, me.ID, raiseRev)
		if err != nil {
			return err
		}
		if r.role != RoleOwner && !me.Admin {
			return errNotAllowed
		}
		if !isID(user) {
			return errNoUser
		}
		role, err := c.role(room, user)
		if err != nil {
			return err
		}
		if role == "" {
			return errUnchanged
		}
		return c.remove(r, user, role, true)
	})
	if err != nil {
		return Room{}, nil, err
	}
	return s.room(ctx, me, room)
}

// remove ends a membership; revoke is for one who must hear nothing more. What
// concerns the one who goes is in the room's stream: whatever happens in the room
// later is published after their connections were closed.
func (c *change) remove(r roomState, user, role string, revoke bool) error {
	if r.kind == KindDirect {
		return errDirect
	}
	_, err := c.exec("UPDATE members SET active = 0, role = ?, rev = ? WHERE room_id = ? AND user_id = ?",
		RoleMember, r.rev, r.id, user)
	if err != nil {
		return err
	}
	if _, err := c.exec("UPDATE rooms SET member_count = member_count - 1 WHERE id = ?", r.id); err != nil {
		return err
	}
	if r.count == 1 && r.kind == KindClosed {
		// Nobody can see it any more, so that its name is free.
		if _, err := c.exec("UPDATE rooms SET name_key = ? WHERE id = ?", "left:"+r.id, r.id); err != nil {
			return err
		}
	}
	if role == RoleOwner {
		if err := c.passOn(r); err != nil {
			return err
		}
	}
	moved := ""
	if revoke {
		var err error
		if moved, _, err = c.rename(r); err != nil {
			return err
		}
	}
	if err := c.emitMembers(r, moved); err != nil {
		return err
	}
	if err := c.emit(roomStream(r.id), r.rev, outUsers, user, eventRoomRemoved, roomNotice{r.id}); err != nil || !revoke {
		return err
	}
	return c.emit(roomStream(r.id), r.rev, outTerminate, user, "", struct{}{})
}

// passOn makes the one an owner who has been a member for longest.
func (c *change) passOn(r roomState) error {
	_, err := c.exec(`UPDATE members SET role = ?, rev = ? WHERE room_id = ? AND active = 1 AND user_id =
		(SELECT o.user_id FROM members o JOIN users u ON u.id = o.user_id WHERE o.room_id = ? AND o.active = 1
			ORDER BY CASE WHEN u.deactivated_at = 0 THEN 0 ELSE 1 END, o.joined_at, o.user_id LIMIT 1)`,
		RoleOwner, r.rev, r.id, r.id)
	return err
}

// roomNotice says only which room.
type roomNotice struct {
	Room string `json:"room"`
}

// membersEvent is what eventMembers carries.
type membersEvent struct {
	Room    string   `json:"room"`
	Rev     int64    `json:"rev"`
	Members []Member `json:"members"`
	Channel string   `json:"channel,omitempty"` // the room's new one; this event is the last on the old one
}

// emitMembers tells the room whose membership this revision has changed. moved is
// the old name of the channel, "" if it keeps its name.
func (c *change) emitMembers(r roomState, moved string) error {
	if c.silent {
		return nil
	}
	changed, err := collect(c.querier, scanMember, memberSelect+"WHERE m.room_id = ? AND m.rev = ? ORDER BY u.id", r.id, r.rev)
	if err != nil {
		return err
	}
	e := membersEvent{Room: r.id, Rev: r.rev, Members: changed}
	if moved == "" {
		return c.emitRoom(r.id, r.rev, eventMembers, "", e)
	}
	e.Channel = roomChannel(r.id, r.epoch+1)
	return c.emitMoved(r, moved, e)
}

// emitMoved adds the last event on the channel with the old name.
func (c *change) emitMoved(r roomState, from string, e membersEvent) error {
	return c.emit(roomStream(r.id), r.rev, outMoved, from, eventMembers, e)
}

// emitAdded tells a user's tabs of a room; in the room's stream, so that it
// never comes after a later removal.
func (c *change) emitAdded(r roomState, user string) error {
	return c.emit(roomStream(r.id), r.rev, outUsers, user, eventRoomAdded, roomNotice{r.id})
}
