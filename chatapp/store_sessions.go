package chatapp

import (
	"context"
	"time"
)

// accountBySession finds whose session this is: errNotSignedIn if it is nobody's
// or is over.
func (s *Store) accountBySession(ctx context.Context, token string) (Account, error) {
	a, err := one(s.reading(ctx), errNotSignedIn, scanAccount, "SELECT "+accountColumns+` FROM sessions t
		JOIN users u ON u.id = t.user_id WHERE t.token_hash = ? AND t.expires_at > ?`, hashToken(token), now())
	return a, failed("find the session", err)
}

// createSession makes a session of an account whose password was checked; if it
// was changed since, or the account deactivated, that is errWrongPassword.
func (s *Store) createSession(ctx context.Context, a Account, lasts time.Duration) (token string, err error) {
	err = s.change(ctx, "create a session", func(c *change) error {
		// The row's lock keeps a change of the password out until this is stored.
		same, err := c.exec("UPDATE users SET rev = rev WHERE id = ? AND password = ? AND deactivated_at = 0", a.ID, a.password)
		if err != nil {
			return err
		}
		if same == 0 {
			return errWrongPassword
		}
		token, err = c.insertSession(a.ID, lasts)
		return err
	})
	return token, err
}

func (c *change) insertSession(user string, lasts time.Duration) (token string, err error) {
	token, hash := newToken()
	_, err = c.exec("INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
		hash, user, c.now, c.now+lasts.Microseconds())
	return token, err
}

// endSession ends one session, as its user wants, and closes all connections of
// the user: nobody knows which are this session's. One that is over already is
// no error.
func (s *Store) endSession(ctx context.Context, me Account, token string) error {
	return s.change(ctx, "end a session", func(c *change) error {
		// The user's row is locked before sessions', as by every other change.
		if err := c.disconnect(me.ID); err != nil {
			return err
		}
		ended, err := c.exec("DELETE FROM sessions WHERE user_id = ? AND token_hash = ?", me.ID, hashToken(token))
		if err == nil && ended == 0 {
			err = errUnchanged
		}
		return err
	})
}

// endSessions ends all sessions and connections of the user, and revokes what
// their clients have signatures for.
func (s *Store) endSessions(ctx context.Context, me Account) error {
	return s.change(ctx, "end all sessions", func(c *change) error { return c.endSessions(me.ID, "") })
}

// endSessions ends all sessions of a user but one.
func (c *change) endSessions(user, keepHash string) error {
	if err := c.revoke(user); err != nil {
		return err
	}
	_, err := c.exec("DELETE FROM sessions WHERE user_id = ? AND token_hash <> ?", user, keepHash)
	return err
}

// expireSessions ends sessions whose time is over as endSessions does. It looks
// first without a lock, and is harmless to call at any time by any process.
func (s *Store) expireSessions(ctx context.Context) error {
	users, err := collect(s.reading(ctx), scanString,
		"SELECT DISTINCT user_id FROM sessions WHERE expires_at <= ? ORDER BY user_id LIMIT ?", now(), maxInList)
	if err != nil || len(users) == 0 {
		return failed("look for sessions that are over", err)
	}
	return s.change(ctx, "expire sessions", func(c *change) error {
		if err := c.revoke(users...); err != nil {
			return err
		}
		ended, err := c.exec("DELETE FROM sessions WHERE expires_at <= ? AND user_id IN ("+places(len(users))+")",
			append([]any{c.now}, anys(users)...)...)
		if err == nil && ended == 0 { // another process was faster
			err = errUnchanged
		}
		return err
	})
}

// purgeInvites removes invites that are used up or too old.
func (s *Store) purgeInvites(ctx context.Context) error {
	return s.change(ctx, "remove old invites", func(c *change) error {
		_, err := c.exec("DELETE FROM invites WHERE expires_at <= ? OR uses_left = 0", c.now)
		return err
	})
}
