package hub

import (
	"context"
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

// signin is what a signed-in connection knows of its user. It belongs to the
// worker.
type signin struct {
	id       string
	status   *subscription
	accepted bool // the client has been told
	watched  *watchlist
}

// receiveSignin checks a signin on the transport's goroutine.
func (c *Conn) receiveSignin(cmd protocol.Command) {
	userData := string(cmd.UserData)
	user, err := c.identify(cmd, userData)
	if err != nil {
		c.Fail(err)
		return
	}
	c.identity = &user
	c.worker.put(func(w *worker) { w.signIn(c, user, userData) })
}

func (c *Conn) identify(cmd protocol.Command, userData string) (protocol.User, error) {
	if len(cmd.Auth) == 0 {
		return protocol.User{}, protocol.MissingField("pusher:signin", "auth")
	}
	err := protocol.CheckUserAuth(c.app.Key, c.app.Secret, string(cmd.Auth), c.id, userData)
	if err != nil {
		return protocol.User{}, err
	}
	user, err := protocol.ParseUserData([]byte(userData))
	if err != nil {
		return protocol.User{}, err
	}
	if c.identity != nil && c.identity.ID != user.ID {
		return protocol.User{}, protocol.OtherUser()
	}
	return user, nil
}

// signIn joins the user's status channel; the client is told when the State has
// answered. Signing in again as the same user is confirmed again.
func (w *worker) signIn(c *Conn, user protocol.User, userData string) {
	if c.closed {
		return
	}
	success := protocol.SigninSuccessFrame([]byte(userData))
	if c.user != nil {
		if c.user.accepted {
			w.send(c, success)
		}
		return
	}
	c.user = &signin{id: user.ID}
	c.user.status = &subscription{
		conn:   c,
		member: &protocol.Member{ID: user.ID},
		answered: func(w *worker, _ Joined, err error) {
			w.signedIn(c, user, success, err)
		},
	}
	w.registry.subscribe(w, c.user.status, statusTopic(c.app, user.ID))
}

// signedIn tells the client that it is signed in, then who of its watchlist is
// there.
func (w *worker) signedIn(c *Conn, user protocol.User, success []byte, err error) {
	if err != nil {
		w.close(c, protocol.OverCapacity(), Backend)
		return
	}
	c.user.status.stage = settled
	c.user.accepted = true
	w.send(c, success)
	w.authorize(c)
	if !c.closed && c.app.Watchlists {
		w.watch(c, user.Watchlist)
	}
}

// signOut is part of detaching a connection.
func (w *worker) signOut(c *Conn) {
	if c.user == nil {
		return
	}
	w.unwatch(c)
	w.registry.unsubscribe(w, c.user.status)
	c.user = nil
}

// authorize notes that the connection has shown who it is, which may make it
// one too many of the app's.
func (w *worker) authorize(c *Conn) {
	if c.authorized {
		return
	}
	c.authorized = true
	if c.app.AuthorizedConnections {
		c.usage.quota.take(func(err error) {
			if err != nil {
				w.put(func(w *worker) { w.overQuota(c, asFault(err)) })
			}
		})
	}
}

// overQuota closes a connection that was not counted.
func (w *worker) overQuota(c *Conn, f protocol.Fault) {
	if c.closed { // and so given back
		return
	}
	reason := Quota
	if f.Code != protocol.CodeOverQuota {
		reason = Backend
	}
	w.close(c, f, reason)
}

// userSignal is told what happens on a user's status channel.
func (w *worker) userSignal(ch *channel, m Message) {
	for _, sub := range ch.local[w.index].all() {
		switch {
		case m.Signal == Terminate && sub.member != nil:
			w.close(sub.conn, protocol.Terminated(), Terminated)
		case m.Signal == Entered || m.Signal == Left:
			w.watchedChanged(sub, m)
		}
	}
}

// Terminate closes every connection that is signed in as the user, on every
// node, and returns when the order is on its way.
func (h *Hub) Terminate(ctx context.Context, app *App, userID string) error {
	if err := h.bus.Err(); err != nil {
		return err
	}
	var answers answers
	answers.expect(1)
	h.bus.Publish(Message{Topic: statusTopic(app, userID), Signal: Terminate, User: userID}, answers.add)
	return answers.wait(ctx)
}
