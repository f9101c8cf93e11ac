package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"channels/protocol"
)

// Every signed-in user has a status channel, which clients never see. The user's
// connections join it as its one member; whoever watches the user joins it as
// nobody. So the State counts a user's connections on all nodes, and announces
// the first and the last, by the means that presence has.

// statusPrefix starts the names of status channels. No channel of a client can
// have such a name.
const statusPrefix = "#user-"

func isStatus(channel string) bool { return strings.HasPrefix(channel, statusPrefix) }

func statusTopic(app *App, userID string) Topic {
	return Topic{App: app.ID, Channel: statusPrefix + userID}
}

// identity is what a connection keeps of the user that it is signed in as: what
// it needs to make the user the member of a presence channel.
type identity struct {
	id       string
	info     []byte // nil when there is none, or it is too large for a member
	tooLarge bool
}

func newIdentity(app *App, user protocol.User) *identity {
	if len(user.ID)+len(user.Info) > app.MaxPresenceMemberBytes {
		return &identity{id: user.ID, tooLarge: true}
	}
	return &identity{id: user.ID, info: user.Info}
}

// signin is a signed-in connection's part in its user's status. It belongs to the
// worker.
type signin struct {
	status subscription
	list   *watchlist // nil when nobody is watched
}

// accepted says whether the client has been told that it is signed in.
func (s *signin) accepted() bool { return s.status.stage != pending }

// receiveSignin checks a signin on the transport's goroutine.
func (c *Conn) receiveSignin(cmd protocol.Command) {
	userData := string(cmd.UserData)
	user, err := c.identify(cmd, userData)
	if err != nil {
		c.refuse(AskedSignin, err)
		return
	}
	c.identity = newIdentity(c.app(), user)
	c.worker.post(&signIn{ofConn{c}, user.ID, user.Watchlist, protocol.SigninSuccessFrame(cmd.UserData)})
}

func (c *Conn) identify(cmd protocol.Command, userData string) (protocol.User, error) {
	if len(cmd.Auth) == 0 {
		return protocol.User{}, protocol.MissingField("pusher:signin", "auth")
	}
	app := c.app()
	err := app.CheckSecrets(func(secret string) error {
		return protocol.CheckUserAuth(app.Key, secret, string(cmd.Auth), c.id, userData)
	})
	if err != nil {
		return protocol.User{}, err
	}
	user, err := protocol.ParseUserData(cmd.UserData)
	if err != nil {
		return protocol.User{}, err
	}
	if c.identity != nil && c.identity.id != user.ID {
		return protocol.User{}, protocol.OtherUser()
	}
	return user, nil
}

// signIn joins the user's status channel; the client is told when the State has
// answered. Signing in again as the same user is confirmed again.
func (w *worker) signIn(cmd *signIn) {
	c := cmd.conn
	if c.closed || w.claimFirst(c, cmd) {
		return
	}
	if c.user != nil {
		if c.user.accepted() {
			w.send(c, cmd.success)
		}
		return
	}
	if w.hub.now()-c.since >= TerminateKept {
		// A Terminate of the time may be forgotten. A signature is for one
		// connection, so the client has to get another one.
		w.close(c, protocol.Reconnect(), Stale)
		return
	}
	c.user = &signin{status: subscription{conn: c, member: &protocol.Member{ID: cmd.id}}}
	status := &c.user.status
	w.registry.subscribe(w, status, statusTopic(c.app(), cmd.id), c.usage)
	cost := cmd.cost()
	status.waiting.signIn, status.waiting.bytes = cmd, cost
	c.waiting += cost
	w.hub.ledger.charge(c.usage, cost)
}

// signedIn tells the client that it is signed in, then who of its watchlist is
// there.
func (w *worker) signedIn(sub *subscription, err error) {
	c := sub.conn
	switch {
	case errors.Is(err, ErrRevoked):
		w.hub.tellRefused(AskedSignin, c.app(), c.id, c.socket, protocol.Terminated())
		w.close(c, protocol.Terminated(), Terminated)
		return
	case err != nil:
		w.close(c, protocol.OverCapacity(), Backend)
		return
	}
	cmd := sub.waiting.signIn
	w.stopWaiting(sub)
	sub.stage = settled
	w.send(c, cmd.success)
	w.authorize(c)
	if !c.closed && c.app().Watchlists && len(cmd.watchlist) > 0 {
		w.watch(c, cmd.watchlist)
	}
}

// signOut is part of detaching a connection.
func (w *worker) signOut(c *Conn) {
	if c.user == nil {
		return
	}
	w.unwatch(c.user.list)
	w.stopWaiting(&c.user.status)
	w.registry.unsubscribe(w, &c.user.status, false)
	c.user = nil
}

// authorize notes that the connection has shown who it is, which may make it
// one too many of the app's.
func (w *worker) authorize(c *Conn) {
	if c.authorized {
		return
	}
	c.authorized = true
	if c.awaits {
		c.usage.quota.take(func(err error) {
			if refusal := (Refusal{}); errors.As(err, &refusal) {
				w.post(&closing{ofConn{c}, refusal.Fault, refusal.Reason})
			}
		})
	}
}

// userSignal is told what happens on a user's status channel.
func (w *worker) userSignal(cmd *userSignal) {
	for _, sub := range cmd.channel.subscribersOf(w) {
		switch {
		case cmd.signal == Terminate && sub.conn != nil:
			w.close(sub.conn, protocol.Terminated(), Terminated)
		case cmd.signal != Terminate && sub.watched != nil:
			w.watchedChanged(sub.watched, cmd)
		}
	}
}

// Terminate closes every connection that is signed in as the user, on every
// node, and returns when the order is on its way. A connection that is open now
// and signs in as the user later, with a signature made before, is closed then.
func (h *Hub) Terminate(ctx context.Context, app *App, userID string) error {
	if err := h.bus.TopicErr(statusTopic(app, userID)); err != nil {
		return err
	}
	var answers answers
	answers.expect(1)
	h.bus.Publish(Message{Topic: statusTopic(app, userID), Signal: Terminate, User: userID}, answers.add)
	if err := answers.wait(ctx); err != nil {
		return fmt.Errorf("terminate connections: %w", err)
	}
	return nil
}
