package chatapp

import (
	"context"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"
)

// The session's cookie, and how long a session lasts.
const (
	sessionCookie = "chat_session"
	sessionLasts  = 30 * 24 * time.Hour
)

// me is an account as its owner sees it.
type me struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Admin   bool   `json:"admin"`
	Channel string `json:"channel"`
}

// welcome is what the browser starts with.
type welcome struct {
	Me      me     `json:"me"`
	General string `json:"general"` // id of the room that everybody starts in
}

func welcomeOf(a Account) welcome {
	return welcome{me{a.ID, a.Name, a.Admin, userChannel(a.ID, a.epoch)}, generalRoom}
}

// userHeader says whom a page believes to be signed in. Another tab may have
// signed somebody else in since, with the one cookie that they share.
const userHeader = "X-Chat-User"

// identify finds out whose session a call comes with.
func (s *Server) identify(c *call) error {
	cookie, err := c.r.Cookie(sessionCookie)
	if err != nil || cookie.Value == "" {
		return errNotSignedIn
	}
	c.me, err = s.store.accountBySession(c.ctx(), cookie.Value)
	c.token = cookie.Value
	if said := c.r.Header.Get(userHeader); err == nil && said != "" && said != c.me.ID {
		err = errOtherUser
	}
	return err
}

// setCookie gives the browser its session; "" takes it away.
func (s *Server) setCookie(c *call, token string) {
	cookie := &http.Cookie{
		Name: sessionCookie, Value: token, Path: "/", MaxAge: int(sessionLasts.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.config.secure(),
	}
	if token == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(c.w, cookie)
}

// attempt takes one attempt of the caller's address and, unless that is "", of
// an account's name.
func (s *Server) attempt(c *call, name string) error {
	if !s.addresses.allow(clientAddress(c.r, s.config.PublicURL != nil)) {
		return errTooMany
	}
	if name != "" && !s.names.allow(hashToken(foldName(name))) { // of one size, whatever the name's is
		return errTooMany
	}
	return nil
}

func (s *Server) signUp(c *call) (answer, error) {
	var in struct{ Name, Password, Invite string }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	if err := s.attempt(c, ""); err != nil {
		return answer{}, err
	}
	account := newAccount{Name: in.Name, Policy: s.config.Signup, Invite: in.Invite, Session: sessionLasts}
	if err := s.store.checkSignUp(c.ctx(), account); err != nil {
		return answer{}, err
	}
	if err := checkPassword(in.Password); err != nil {
		return answer{}, err
	}
	var err error
	if account.Hash, err = s.hasher.hash(c.ctx(), in.Password); err != nil {
		return answer{}, err
	}
	a, token, err := s.store.signUp(c.ctx(), account)
	if err != nil {
		return answer{}, err
	}
	s.setCookie(c, token)
	return created(welcomeOf(a))
}

func (s *Server) signIn(c *call) (answer, error) {
	var in struct{ Name, Password string }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	if err := s.attempt(c, in.Name); err != nil {
		return answer{}, err
	}
	a, err := s.store.accountByName(c.ctx(), in.Name)
	if err != nil && !errors.Is(err, errNoUser) {
		return answer{}, err
	}
	if err := s.checkPassword(c, in.Password, a); err != nil {
		return answer{}, err
	}
	if a.ended {
		return answer{}, errDeactivated
	}
	token, err := s.store.createSession(c.ctx(), a, sessionLasts)
	if err != nil {
		return answer{}, err
	}
	s.setCookie(c, token)
	return ok(welcomeOf(a))
}

// checkPassword takes as long for an account that there is not.
func (s *Server) checkPassword(c *call, password string, a Account) error {
	if utf8.RuneCountInString(password) > MaxPassword {
		return errWrongPassword // nobody has one, and it would be dear to find out
	}
	same, err := s.hasher.same(c.ctx(), password, a.password)
	if err == nil && !same {
		err = errWrongPassword
	}
	return err
}

func (s *Server) signOut(c *call) (answer, error) {
	return s.end(c, func() error { return s.store.endSession(c.ctx(), c.me, c.token) })
}

func (s *Server) signOutEverywhere(c *call) (answer, error) {
	return s.end(c, func() error { return s.store.endSessions(c.ctx(), c.me) })
}

func (s *Server) end(c *call, end func() error) (answer, error) {
	if err := decodeNothing(c.w, c.r); err != nil {
		return answer{}, err
	}
	if err := end(); err != nil {
		return answer{}, err
	}
	s.setCookie(c, "")
	return done(nil)
}

func (s *Server) changePassword(c *call) (answer, error) {
	var in struct{ Old, New string }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	if err := s.attempt(c, c.me.Name); err != nil {
		return answer{}, err
	}
	if err := checkPassword(in.New); err != nil {
		return answer{}, err
	}
	if err := s.checkPassword(c, in.Old, c.me); err != nil {
		return answer{}, err
	}
	hash, err := s.hasher.hash(c.ctx(), in.New)
	if err != nil {
		return answer{}, err
	}
	return done(s.store.changePassword(c.ctx(), c.me, hash, c.token))
}

func (s *Server) getMe(c *call) (answer, error) { return ok(welcomeOf(c.me)) }

func (s *Server) getUsers(c *call) (answer, error) {
	users, err := s.store.usersByPrefix(c.ctx(), c.me, c.r.URL.Query().Get("query"))
	return answer{http.StatusOK, map[string]any{"users": users}}, err
}

func (s *Server) getConfig(c *call) (answer, error) {
	anybody, err := s.store.anyAccount(c.ctx())
	return answer{http.StatusOK, s.config.client(!anybody)}, err
}

func (s *Server) getOnline(*call) (answer, error) {
	return ok(map[string][]string{"online": s.online.list()})
}

// Deactivate ends an account: its sessions, its connections, and that it can
// sign in. What it wrote remains.
func Deactivate(ctx context.Context, store *Store, name string) error {
	return store.deactivate(ctx, name)
}

// Activate lets a deactivated account sign in again.
func Activate(ctx context.Context, store *Store, name string) error { return store.activate(ctx, name) }

// ResetPassword gives an account another password, and ends its sessions.
func ResetPassword(ctx context.Context, store *Store, name, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	hash, err := newHasher(1).hash(ctx, password)
	if err != nil {
		return err
	}
	return store.resetPassword(ctx, name, hash)
}
