package chatapp

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// Names of channels. Each ends with an epoch, a number that is raised when
// somebody must hear no more: a signature cannot be called back, but nothing is
// published any more on the channel that it opens.
const (
	roomPrefix = "presence-chat-room-"
	userPrefix = "presence-user-"
)

// roomChannel names the channel of a room's events.
func roomChannel(id string, epoch int64) string { return roomPrefix + withEpoch(id, epoch) }

// userChannel names the channel that only this user may subscribe to.
func userChannel(id string, epoch int64) string { return userPrefix + withEpoch(id, epoch) }

func withEpoch(id string, epoch int64) string { return id + "-" + strconv.FormatInt(epoch, 10) }

// idIn returns whose channel a name is of, whatever its epoch; false for a name that
// is not of that kind.
func idIn(channel, prefix string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(channel, prefix)
	if !ok {
		return "", false
	}
	id, epoch, _ := strings.Cut(rest, "-")
	_, err := strconv.ParseInt(epoch, 10, 64)
	return id, err == nil && isID(id)
}

// maySubscribe returns the present name of a channel that a session's user may
// subscribe to, asked for by its present or an older name. Session, membership
// and epoch are read in one statement, so that none of them ends between the
// looks at the others. It is errForbidden for everything else.
func (s *Store) maySubscribe(ctx context.Context, token, channel string) (present string, err error) {
	q := s.reading(ctx)
	var epoch int64
	if room, ok := idIn(channel, roomPrefix); ok {
		epoch, err = one(q, errForbidden, scanInt, `SELECT r.epoch FROM sessions t
			JOIN members m ON m.user_id = t.user_id AND m.room_id = ? AND m.active = 1
			JOIN rooms r ON r.id = m.room_id
			WHERE t.token_hash = ? AND t.expires_at > ?`, room, hashToken(token), now())
		return roomChannel(room, epoch), failed("look up a channel", err)
	}
	user, ok := idIn(channel, userPrefix)
	if !ok {
		return "", errForbidden
	}
	epoch, err = one(q, errForbidden, scanInt, `SELECT u.epoch FROM sessions t JOIN users u ON u.id = t.user_id
		WHERE u.id = ? AND t.token_hash = ? AND t.expires_at > ?`, user, hashToken(token), now())
	return userChannel(user, epoch), failed("look up a channel", err)
}

// roomChannelNow returns the present name of a room's channel.
func (s *Store) roomChannelNow(ctx context.Context, room string) (string, error) {
	epoch, err := one(s.reading(ctx), errNoRoom, scanInt, "SELECT epoch FROM rooms WHERE id = ?", room)
	return roomChannel(room, epoch), failed("look up a channel", err)
}

// userChannels returns the present names of users' own channels, in the order of
// their ids. Users that there are not, or who were deactivated, have none.
func (s *Store) userChannels(ctx context.Context, users []string) ([]string, error) {
	all := []string{}
	for some := range chunks(users) {
		// Always as many places, so that the statement is one text and stays compiled.
		padding := slices.Repeat(some[:1], maxInList-len(some))
		got, err := collect(s.reading(ctx), scanUserChannel, "SELECT id, epoch FROM users WHERE deactivated_at = 0 AND id IN ("+
			places(maxInList)+") ORDER BY id", anys(append(padding, some...))...)
		if err != nil {
			return nil, failed("look up channels", err)
		}
		all = append(all, got...)
	}
	return all, nil
}

// memberChannels returns the own channels of a room's members but one.
func (s *Store) memberChannels(ctx context.Context, room, but string) ([]string, error) {
	all, err := collect(s.reading(ctx), scanUserChannel, `SELECT u.id, u.epoch FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.room_id = ? AND m.active = 1 AND m.user_id <> ? AND u.deactivated_at = 0 ORDER BY u.id`, room, but)
	return all, failed("list the members' channels", err)
}

func scanUserChannel(r scanner) (string, error) {
	var id string
	var epoch int64
	err := r.Scan(&id, &epoch)
	return userChannel(id, epoch), err
}

// rename gives a room's channel another name, in the revision of the change that
// has locked the room. The last event on the channel with the old name says so.
func (c *change) rename(r roomState) (from, to string, err error) {
	_, err = c.exec("UPDATE rooms SET epoch = epoch + 1 WHERE id = ?", r.id)
	return roomChannel(r.id, r.epoch), roomChannel(r.id, r.epoch+1), err
}

// revoke gives another name to every channel that these users may have
// signatures for: their rooms' and their own. It locks rooms in the order of
// their ids, then users, and closes the users' connections after the commit.
func (c *change) revoke(users ...string) error {
	rooms, err := collect(c.querier, scanString, "SELECT DISTINCT room_id FROM members WHERE active = 1 AND user_id IN ("+
		places(len(users))+")", anys(users)...)
	if err != nil {
		return err
	}
	slices.Sort(rooms) // as storeReads sorts, whatever the database's order is
	for _, id := range rooms {
		r, err := c.lockRoom(id, "", raiseRev)
		if err != nil {
			return err
		}
		from, to, err := c.rename(r)
		if err != nil {
			return err
		}
		if err := c.emitMoved(r, from, membersEvent{Room: r.id, Rev: r.rev, Members: []Member{}, Channel: to}); err != nil {
			return err
		}
	}
	for _, user := range users {
		if err := c.disconnect(user); err != nil {
			return err
		}
	}
	return nil
}

// disconnect gives a user's own channel another name, and closes the user's
// connections after the commit. It locks the user's row.
func (c *change) disconnect(user string) error {
	rev, err := scanInt(c.row("UPDATE users SET epoch = epoch + 1, rev = rev + 1 WHERE id = ? RETURNING rev", user))
	if err != nil {
		return err
	}
	return c.emit(userStream(user), rev, outTerminate, user, "", struct{}{})
}
