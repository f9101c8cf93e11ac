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

// createSession begins a session of an account whose password was checked; if
// it was changed since, that is errWrongPassword.
func (s *Store) createSession(ctx context.Context, a Account, lasts time.Duration) (token string, err error) {
	err = s.change(ctx, "begin a session", func(c *change) error {
		// The row's lock keeps a change of the password out until this is stored.
		same, err := c.exec("UPDATE users SET rev = rev WHERE id = ? AND password = ?", a.ID, a.password)
		if err != nil {
			return err
		}
		if same == 0 {
			return errWrongPassword
		}
		token, err = c.beginSession(a.ID, lasts)
		return err
	})
	return token, err
}

func (c *change) beginSession(user string, lasts time.Duration) (token string, err error) {
	token, hash := newToken()
	_, err = c.exec("INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
		hash, user, c.now, c.now+lasts.Microseconds())
	return token, err
}

// endSession ends one session, and all connections of the user: nobody knows
// which are this session's. One that is over already is no error.
func (s *Store) endSession(ctx context.Context, me Account, token string) error {
	return s.endSessionsWhere(ctx, me, "token_hash = ?", hashToken(token))
}

// endSessions ends all sessions and connections of the user.
func (s *Store) endSessions(ctx context.Context, me Account) error {
	return s.endSessionsWhere(ctx, me, "token_hash <> ?", "")
}

func (s *Store) endSessionsWhere(ctx context.Context, me Account, which, arg string) error {
	return s.change(ctx, "end a session", func(c *change) error {
		// The user's row is locked before sessions', as by every other change.
		if err := c.emitUser(me.ID, outTerminate, "", struct{}{}); err != nil {
			return err
		}
		ended, err := c.exec("DELETE FROM sessions WHERE user_id = ? AND "+which, me.ID, arg)
		if err == nil && ended == 0 {
			err = errUnchanged
		}
		return err
	})
}

// purge removes sessions and invites that are over. It is harmless to call at
// any time.
func (s *Store) purge(ctx context.Context) error {
	unlock, err := s.dialect.lock(ctx, s.write, "purge")
	if err != nil {
		return err
	}
	defer unlock()
	return s.change(ctx, "remove what is over", func(c *change) error {
		if _, err := c.exec("DELETE FROM sessions WHERE expires_at <= ?", c.now); err != nil {
			return err
		}
		_, err := c.exec("DELETE FROM invites WHERE expires_at <= ? OR uses_left = 0", c.now)
		return err
	})
}
