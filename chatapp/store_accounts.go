package chatapp

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Who may sign up. The first account is made in any case, and is the
// administrator.
const (
	SignupOpen   = "open"
	SignupInvite = "invite"
	SignupClosed = "closed"
)

// generalRoom is the id of the room that everybody starts in.
const generalRoom = "general"

// newAccount is what signUp needs.
type newAccount struct {
	Name    string
	Hash    string        // of the password
	Policy  string        // SignupOpen, SignupInvite or SignupClosed
	Invite  string        // its token; used up only where Policy asks for one
	Session time.Duration // how long the first session lasts
}

// anyAccount tells whether anybody has signed up yet.
func (s *Store) anyAccount(ctx context.Context) (bool, error) {
	anybody, err := s.reading(ctx).anyAccount()
	return anybody, failed("count the accounts", err)
}

func (q querier) anyAccount() (bool, error) {
	return one(q, nil, scanBool, "SELECT EXISTS (SELECT 1 FROM users)")
}

// checkSignUp tells beforehand, without Hash, what signUp would refuse: hashing
// a password is dear.
func (s *Store) checkSignUp(ctx context.Context, n newAccount) error {
	name, err := cleanName(n.Name)
	if err != nil {
		return err
	}
	q := s.reading(ctx)
	if err := q.checkPolicy(n); err != nil {
		return failed("check the sign-up", err)
	}
	taken, err := one(q, nil, scanBool, "SELECT EXISTS (SELECT 1 FROM users WHERE name_key = ?)", foldName(name))
	if err == nil && taken {
		err = errNameTaken
	}
	return failed("check the sign-up", err)
}

// checkPolicy tells whether somebody may sign up now.
func (q querier) checkPolicy(n newAccount) error {
	anybody, err := q.anyAccount()
	switch {
	case err != nil:
		return err
	case !anybody || n.Policy == SignupOpen:
		return nil
	case n.Policy != SignupInvite:
		return errSignupClosed
	case n.Invite == "":
		return errInviteNeeded
	}
	valid, err := one(q, nil, scanBool, `SELECT EXISTS (SELECT 1 FROM invites
		WHERE token_hash = ? AND uses_left > 0 AND expires_at > ?)`, hashToken(n.Invite), now())
	if err == nil && !valid {
		err = errInviteInvalid
	}
	return err
}

// signUp makes an account, uses up its invite, makes it a member of #general
// unless that is full, and begins its first session. Sign-ups wait for each
// other, so that there is one first account.
func (s *Store) signUp(ctx context.Context, n newAccount) (a Account, token string, err error) {
	name, err := cleanName(n.Name)
	if err != nil {
		return Account{}, "", err
	}
	a = Account{User: User{ID: newID(), Name: name}, epoch: 1, password: n.Hash}
	err = s.change(ctx, "sign up", func(c *change) error {
		general, err := c.lockRoom(generalRoom, "", raiseNothing)
		if err != nil {
			return err
		}
		if err := c.admit(&a, n); err != nil {
			return err
		}
		added, err := c.exec(`INSERT INTO users (id, name, name_key, password, admin, rev, created_at)
			VALUES (?, ?, ?, ?, ?, 0, ?) ON CONFLICT (name_key) DO NOTHING`,
			a.ID, a.Name, foldName(a.Name), a.password, flag(a.Admin), c.now)
		if err != nil {
			return err
		}
		if added == 0 {
			return errNameTaken
		}
		if general.count < MaxMembers {
			if general, err = c.lockRoom(generalRoom, "", raiseRev); err != nil {
				return err
			}
			if err := c.enter(general, RoleMember, a.User); err != nil {
				return err
			}
		}
		token, err = c.insertSession(a.ID, n.Session)
		return err
	})
	return a, token, err
}

// admit applies the policy and uses up the invite.
func (c *change) admit(a *Account, n newAccount) error {
	if err := c.checkPolicy(n); err != nil {
		return err
	}
	anybody, err := c.anyAccount()
	if err != nil {
		return err
	}
	a.Admin = !anybody
	if !anybody || n.Policy != SignupInvite {
		return nil
	}
	used, err := c.exec(`UPDATE invites SET uses_left = uses_left - 1
		WHERE token_hash = ? AND uses_left > 0 AND expires_at > ?`, hashToken(n.Invite), c.now)
	if err == nil && used == 0 {
		err = errInviteInvalid
	}
	return err
}

const accountColumns = "u.id, u.name, u.admin, u.epoch, u.deactivated_at <> 0, u.password"

func scanAccount(r scanner) (a Account, err error) {
	err = r.Scan(&a.ID, &a.Name, &a.Admin, &a.epoch, &a.ended, &a.password)
	return a, err
}

// accountByName finds an account by its name, whatever its case.
func (s *Store) accountByName(ctx context.Context, name string) (Account, error) {
	name, err := cleanName(name)
	if err != nil {
		return Account{}, errNoUser
	}
	a, err := one(s.reading(ctx), errNoUser, scanAccount,
		"SELECT "+accountColumns+" FROM users u WHERE u.name_key = ?", foldName(name))
	return a, failed("find an account", err)
}

// usersByPrefix returns at most 20 users, without oneself, whose name begins
// so, whatever its case; "" begins every name.
func (s *Store) usersByPrefix(ctx context.Context, me Account, prefix string) ([]User, error) {
	if !utf8.ValidString(prefix) || strings.ContainsRune(prefix, 0) {
		return []User{}, nil
	}
	key := foldName(strings.TrimSpace(prefix))
	all, err := collect(s.reading(ctx), scanUser, `SELECT id, name FROM users
		WHERE id <> ? AND deactivated_at = 0 AND substr(name_key, 1, ?) = ? ORDER BY name_key LIMIT 20`,
		me.ID, utf8.RuneCountInString(key), key)
	return all, failed("find users", err)
}

func scanUser(r scanner) (u User, err error) {
	err = r.Scan(&u.ID, &u.Name)
	return u, err
}

// changePassword puts a new hash in the place of me's, and ends me's other
// sessions and all connections. Another password than me's meanwhile is
// errWrongPassword.
func (s *Store) changePassword(ctx context.Context, me Account, hash, keepToken string) error {
	return s.change(ctx, "change the password", func(c *change) error {
		return c.setPassword(me, hash, hashToken(keepToken))
	})
}

// resetPassword puts a new hash in the place of an account's, and ends its
// sessions and connections.
func (s *Store) resetPassword(ctx context.Context, name, hash string) error {
	a, err := s.accountByName(ctx, name)
	if err != nil {
		return err
	}
	return s.change(ctx, "reset the password", func(c *change) error {
		return c.setPassword(a, hash, "")
	})
}

// setPassword ends the sessions first, as rooms are locked before users; if the
// password is another one by now, all of it is undone.
func (c *change) setPassword(a Account, hash, keepHash string) error {
	if err := c.endSessions(a.ID, keepHash); err != nil {
		return err
	}
	done, err := c.exec("UPDATE users SET password = ? WHERE id = ? AND password = ?", hash, a.ID, a.password)
	if err == nil && done == 0 {
		err = errWrongPassword
	}
	return err
}

// deactivate ends an account's sessions and connections, and keeps it from
// signing in. What it wrote and its memberships remain. Again changes nothing.
func (s *Store) deactivate(ctx context.Context, name string) error {
	a, err := s.accountByName(ctx, name)
	if err != nil {
		return err
	}
	return s.change(ctx, "deactivate an account", func(c *change) error {
		if err := c.endSessions(a.ID, ""); err != nil {
			return err
		}
		done, err := c.exec("UPDATE users SET deactivated_at = ? WHERE id = ? AND deactivated_at = 0", c.now, a.ID)
		if err == nil && done == 0 {
			err = errUnchanged
		}
		return err
	})
}

// activate lets a deactivated account sign in again.
func (s *Store) activate(ctx context.Context, name string) error {
	a, err := s.accountByName(ctx, name)
	if err != nil {
		return err
	}
	return s.change(ctx, "activate an account", func(c *change) error {
		_, err := c.exec("UPDATE users SET deactivated_at = 0 WHERE id = ?", a.ID)
		return err
	})
}

// flag is how a truth is stored.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func scanBool(r scanner) (v bool, err error) {
	err = r.Scan(&v)
	return v, err
}

// String keeps the hash out of whatever prints an account.
func (a Account) String() string { return fmt.Sprintf("account %s (%s)", a.ID, a.Name) }
