package hub

import (
	"time"

	"channels/protocol"
)

const (
	// maxWatched is how many users a watchlist may name; more are left out.
	maxWatched = 100
	// newsWindow is how long news of a watchlist are gathered for one event.
	newsWindow = 100 * time.Millisecond
	// offlineGrace is how long a user may be gone without anybody being told,
	// which is what it takes to load another page.
	offlineGrace = 3 * time.Second
)

// watchlist is whom a connection watches. It belongs to the worker.
type watchlist struct {
	users   map[string]*watched
	missing int  // users whose state is not known yet
	queued  bool // stands in worker.news
}

// watched is one user of a watchlist.
type watched struct {
	sub    *subscription
	online bool      // as far as the node knows
	told   bool      // as far as the client knows
	due    time.Time // when the client is to be told
	seq    uint64    // of the last signal
}

// watch follows the status of the users, and tells the client of all of them at
// once when they are known.
func (w *worker) watch(c *Conn, ids []string) {
	list := &watchlist{users: make(map[string]*watched, min(len(ids), maxWatched))}
	c.user.watched = list
	for _, id := range ids {
		if list.users[id] != nil {
			continue
		}
		if len(list.users) == maxWatched {
			w.send(c, protocol.ErrorFrame(protocol.WatchlistLimit(maxWatched)))
			break
		}
		list.users[id] = &watched{}
	}
	list.missing = len(list.users)
	for id, u := range list.users {
		u.sub = &subscription{conn: c, answered: func(w *worker, joined Joined, err error) {
			w.watchedKnown(c, u, joined, err)
		}}
		w.registry.subscribe(w, u.sub, statusTopic(c.app, id))
	}
}

// watchedKnown is the State's answer about one user; after the last of them the
// client is told.
func (w *worker) watchedKnown(c *Conn, u *watched, joined Joined, err error) {
	if err != nil {
		w.close(c, protocol.OverCapacity(), Backend)
		return
	}
	u.sub.stage = settled
	if joined.Seq >= u.seq { // else a signal knows better
		u.seq, u.online = joined.Seq, len(joined.Members) > 0
	}
	list := c.user.watched
	list.missing--
	if list.missing > 0 {
		return
	}
	for _, u := range list.users {
		u.told = u.online
	}
	w.tellNews(c, func(*watched) bool { return true })
}

// watchedChanged notes that a user has come or gone.
func (w *worker) watchedChanged(sub *subscription, m Message) {
	c := sub.conn
	if c.user == nil || c.user.watched == nil {
		return
	}
	list := c.user.watched
	u := list.users[m.User]
	if u == nil || u.sub != sub || m.Seq <= u.seq {
		return
	}
	u.seq, u.online = m.Seq, m.Signal == Entered
	u.due = time.Now().Add(newsWindow)
	if !u.online {
		u.due = time.Now().Add(offlineGrace)
	}
	if list.missing == 0 && !list.queued {
		list.queued = true
		w.queueNews(c)
	}
}

// queueNews puts the connection among those that are looked at when the next
// window is over.
func (w *worker) queueNews(c *Conn) {
	w.news = append(w.news, c)
	if len(w.news) == 1 {
		w.lookForNews()
	}
}

func (w *worker) lookForNews() {
	time.AfterFunc(newsWindow, func() { w.put((*worker).spreadNews) })
}

// spreadNews tells clients what is due, and keeps those with more to come.
func (w *worker) spreadNews() {
	now := time.Now()
	waiting := w.news
	w.news = nil
	for _, c := range waiting {
		if c.closed || c.user == nil {
			continue
		}
		if w.tellDue(c, now) {
			w.news = append(w.news, c)
		} else {
			c.user.watched.queued = false
		}
	}
	if len(w.news) > 0 {
		w.lookForNews()
	}
}

// tellDue tells the client what is due and says whether there is more to come.
func (w *worker) tellDue(c *Conn, now time.Time) (more bool) {
	due := make(map[*watched]bool)
	for _, u := range c.user.watched.users {
		switch {
		case u.online == u.told: // came back, or left again, before it was told
		case now.Before(u.due):
			more = true
		default:
			due[u] = true
			u.told = u.online
		}
	}
	w.tellNews(c, func(u *watched) bool { return due[u] })
	return more
}

// tellNews sends one event about the chosen users.
func (w *worker) tellNews(c *Conn, chosen func(*watched) bool) {
	var online, offline []string
	for id, u := range c.user.watched.users {
		switch {
		case !chosen(u):
		case u.told:
			online = append(online, id)
		default:
			offline = append(offline, id)
		}
	}
	var events []protocol.WatchlistEvent
	if online != nil {
		events = append(events, protocol.WatchlistEvent{Name: "online", UserIDs: online})
	}
	if offline != nil {
		events = append(events, protocol.WatchlistEvent{Name: "offline", UserIDs: offline})
	}
	if events != nil {
		w.send(c, protocol.WatchlistFrame(events))
	}
}

// unwatch is part of signing out.
func (w *worker) unwatch(c *Conn) {
	if c.user.watched == nil {
		return
	}
	for _, u := range c.user.watched.users {
		w.registry.unsubscribe(w, u.sub)
	}
}
