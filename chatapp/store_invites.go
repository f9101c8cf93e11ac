package chatapp

import (
	"context"
	"time"
)

// invites returns those still valid, the newest first. Only the administrator
// may see them.
func (s *Store) invites(ctx context.Context, me Account) ([]Invite, error) {
	if !me.Admin {
		return nil, errNotAllowed
	}
	scan := func(r scanner) (i Invite, err error) {
		err = r.Scan(&i.ID, &i.CreatedAt, &i.ExpiresAt, &i.UsesLeft)
		return i, err
	}
	all, err := collect(s.reading(ctx), scan, `SELECT id, created_at, expires_at, uses_left FROM invites
		WHERE expires_at > ? AND uses_left > 0 ORDER BY created_at DESC, id`, now())
	return all, failed("list the invites", err)
}

// createInvite makes an invite for so many people. The token is known only now.
func (s *Store) createInvite(ctx context.Context, me Account, uses int64, lasts time.Duration) (i Invite, token string, err error) {
	if !me.Admin {
		return Invite{}, "", errNotAllowed
	}
	token, hash := newToken()
	err = s.change(ctx, "make an invite", func(c *change) error {
		i = Invite{ID: newID(), CreatedAt: c.now, ExpiresAt: c.now + lasts.Microseconds(), UsesLeft: uses}
		_, err := c.exec(`INSERT INTO invites (id, token_hash, created_by, created_at, expires_at, uses_left)
			VALUES (?, ?, ?, ?, ?, ?)`, i.ID, hash, me.ID, i.CreatedAt, i.ExpiresAt, i.UsesLeft)
		return err
	})
	return i, token, err
}

// deleteInvite makes an invite invalid.
func (s *Store) deleteInvite(ctx context.Context, me Account, id string) error {
	if !me.Admin {
		return errNotAllowed
	}
	if !isID(id) {
		return errNoInvite
	}
	return s.change(ctx, "delete an invite", func(c *change) error {
		gone, err := c.exec("DELETE FROM invites WHERE id = ?", id)
		if err == nil && gone == 0 {
			err = errNoInvite
		}
		return err
	})
}
