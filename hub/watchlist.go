package hub

import (
	"time"

	"channels/protocol"
)

const (
	// maxWatched is how many users a watchlist may name; more are left out.
	maxWatched = 100
	// newsWindow is how long news of watched users are gathered for one event.
	newsWindow = 100 * time.Millisecond
	// offlineGrace is how long a user may be gone without anybody being told,
	// which is what it takes to load another page.
	offlineGrace = 3 * time.Second
)

// watchedUser is a user whom connections of one worker watch. They share it: its
// subscription to the user's status channel, and what is known of the user.
type watchedUser struct {
	worker   *worker
	key      watchedKey
	sub      subscription
	online   bool          // as far as the node knows
	seq      uint64        // of the last signal
	due      time.Duration // when the watchers hear of the last change
	watchers []watcher     // in no order
}

type watchedKey struct {
	app string // its id
	id  string
}

// watcher is a place in a watchlist: the list's number, and in the lowest eight
// bits the index of the entry.
type watcher uint32

const entryBits = 8 // for maxWatched

// watchlist is whom a connection watches.
type watchlist struct {
	conn    *Conn
	number  int     // index in watchedUsers.lists
	missing int     // users whose state is not known yet
	entries []entry // does not change, but for what the entries say
	news    []uint8 // indices of those to be told in the event that is being made
}

// entry is one user of a watchlist.
type entry struct {
	user *watchedUser
	at   uint32 // index in user.watchers
	told bool   // online, as far as the client knows
}

// watchedUsers are those of one worker. Only users that have changed are looked
// at, and their watchers: each change is noted once, in the order in which the
// watchers are to hear of it.
type watchedUsers struct {
	byKey map[watchedKey]*watchedUser
	lists []*watchlist // by number; nil = free
	free  []int        // numbers

	came, went []change // in the order of due
	timed      bool     // spreadNews will come
	visited    int      // entries that news were compared with; for tests
}

// change is a user who has come or gone, and when the watchers hear of it.
type change struct {
	user *watchedUser
	due  time.Duration
}

// watch follows the status of the users, and tells the client of all of them at
// once when they are known.
func (w *worker) watch(c *Conn, ids []string) {
	list := &watchlist{conn: c, entries: make([]entry, 0, min(len(ids), maxWatched))}
	c.user.list = list
	w.watched.enlist(list)
	for _, id := range ids {
		key := watchedKey{c.app().ID, id}
		u := w.watched.byKey[key]
		if u != nil && list.has(u) {
			continue
		}
		if len(list.entries) == maxWatched {
			w.refuse(c, AskedSignin, protocol.WatchlistLimit(maxWatched))
			break
		}
		if u == nil {
			u = w.watchUser(c, key)
		}
		at := len(list.entries)
		list.entries = append(list.entries, entry{user: u, at: uint32(len(u.watchers))})
		u.watchers = append(u.watchers, watcher(list.number<<entryBits|at))
		if u.sub.stage == pending {
			list.missing++
		}
	}
	if list.missing == 0 {
		w.tellAll(list)
	}
}

func (l *watchlist) has(u *watchedUser) bool {
	for i := range l.entries {
		if l.entries[i].user == u {
			return true
		}
	}
	return false
}

// enlist gives a list its number.
func (u *watchedUsers) enlist(list *watchlist) {
	if last := len(u.free) - 1; last >= 0 {
		list.number = u.free[last]
		u.free = u.free[:last]
		u.lists[list.number] = list
		return
	}
	list.number = len(u.lists)
	u.lists = append(u.lists, list)
}

// entry returns a watcher's list and its entry.
func (u *watchedUsers) entry(at watcher) (*watchlist, *entry) {
	list := u.lists[at>>entryBits]
	return list, &list.entries[at&(1<<entryBits-1)]
}

// watchUser begins to follow a user's status.
func (w *worker) watchUser(c *Conn, key watchedKey) *watchedUser {
	u := &watchedUser{worker: w, key: key}
	u.sub.watched = u
	if w.watched.byKey == nil {
		w.watched.byKey = make(map[watchedKey]*watchedUser)
	}
	w.watched.byKey[key] = u
	w.registry.subscribe(w, &u.sub, statusTopic(c.app(), key.id), c.usage)
	return u
}

// watchedKnown is the State's answer about a user. Those who were waiting for it
// last are told.
func (w *worker) watchedKnown(sub *subscription, answer Joined, err error) {
	u := sub.watched
	if err != nil {
		w.closeWatchers(u, protocol.OverCapacity(), Backend)
		return
	}
	w.stopWaiting(sub)
	sub.stage = settled
	if answer.Roster >= u.seq { // else a signal knows better
		u.seq, u.online = answer.Roster, len(answer.Members) > 0
	}
	for _, at := range u.watchers {
		list, _ := w.watched.entry(at)
		list.missing--
		if list.missing == 0 {
			w.tellAll(list)
		}
	}
}

// closeWatchers ends the connections of all who watch a user.
func (w *worker) closeWatchers(u *watchedUser, f protocol.Fault, reason CloseReason) {
	for len(u.watchers) > 0 {
		list, _ := w.watched.entry(u.watchers[0])
		w.close(list.conn, f, reason)
	}
}

// watchedChanged notes that a user has come or gone.
func (w *worker) watchedChanged(u *watchedUser, cmd *userSignal) {
	if cmd.seq <= u.seq {
		return
	}
	u.seq, u.online = cmd.seq, cmd.signal == Entered
	if u.sub.stage == pending {
		return
	}
	if u.online {
		u.due = w.hub.now() + newsWindow
		w.watched.came = append(w.watched.came, change{u, u.due})
	} else {
		u.due = w.hub.now() + offlineGrace
		w.watched.went = append(w.watched.went, change{u, u.due})
	}
	w.lookForNews()
}

// lookForNews has spreadNews come a window after the first change, so that it
// finds those that follow it closely as well.
func (w *worker) lookForNews() {
	u := &w.watched
	if u.timed || len(u.came)+len(u.went) == 0 {
		return
	}
	u.timed = true
	wait := newsWindow
	if len(u.came) == 0 {
		wait += max(u.went[0].due-w.hub.now(), 0)
	}
	time.AfterFunc(wait, func() { w.post(&spreadNews{ofHub{w.hub}}) })
}

// spreadNews tells clients what is due.
func (w *worker) spreadNews() {
	w.watched.timed = false
	now := w.hub.now()
	var touched []*watchlist
	// Those who came are told of at the end of the window, all together.
	for _, ch := range w.watched.came {
		touched = w.gatherNews(ch, touched)
	}
	clear(w.watched.came)
	w.watched.came = w.watched.came[:0]
	n := 0
	for ; n < len(w.watched.went) && w.watched.went[n].due <= now; n++ {
		touched = w.gatherNews(w.watched.went[n], touched)
		w.watched.went[n] = change{}
	}
	w.watched.went = w.watched.went[n:]
	if len(w.watched.went) == 0 {
		w.watched.went = nil
	}
	w.tell(touched)
	w.lookForNews()
}

// gatherNews notes the change in the lists of all watchers who do not know of it,
// and adds those to the touched ones.
func (w *worker) gatherNews(ch change, touched []*watchlist) []*watchlist {
	u := ch.user
	if ch.due != u.due { // it has changed again since
		return touched
	}
	for _, at := range u.watchers {
		list, e := w.watched.entry(at)
		w.watched.visited++
		if list.missing > 0 || e.told == u.online {
			continue // hears of it later, or knows it
		}
		e.told = u.online
		if len(list.news) == 0 {
			touched = append(touched, list)
		}
		list.news = append(list.news, uint8(at))
	}
	return touched
}

// tell sends the gathered news. Most who are told at once are told the same, of
// one user, and share the frame.
func (w *worker) tell(lists []*watchlist) {
	var of *watchedUser
	var shared []byte
	for _, list := range lists {
		frame := shared
		if first := list.entries[list.news[0]].user; len(list.news) > 1 || first != of {
			frame = list.newsFrame(list.news)
			if len(list.news) == 1 {
				of, shared = first, frame
			}
		}
		w.send(list.conn, frame)
		list.news = nil
	}
}

// tellAll tells the client of its whole list, for the first time.
func (w *worker) tellAll(list *watchlist) {
	if len(list.entries) == 0 {
		return
	}
	all := make([]uint8, len(list.entries))
	for i := range list.entries {
		all[i] = uint8(i)
		list.entries[i].told = list.entries[i].user.online
	}
	w.send(list.conn, list.newsFrame(all))
}

// newsFrame is one event about the users at the indices.
func (l *watchlist) newsFrame(indices []uint8) []byte {
	var online, offline []string
	for _, i := range indices {
		u := l.entries[i].user
		if l.entries[i].told {
			online = append(online, u.key.id)
		} else {
			offline = append(offline, u.key.id)
		}
	}
	var events []protocol.WatchlistEvent
	if online != nil {
		events = append(events, protocol.WatchlistEvent{Name: "online", UserIDs: online})
	}
	if offline != nil {
		events = append(events, protocol.WatchlistEvent{Name: "offline", UserIDs: offline})
	}
	return protocol.WatchlistFrame(events)
}

// unwatch is part of signing out.
func (w *worker) unwatch(list *watchlist) {
	if list == nil {
		return
	}
	for i := range list.entries {
		e := &list.entries[i]
		u := e.user
		last := len(u.watchers) - 1
		moved := u.watchers[last]
		_, movedEntry := w.watched.entry(moved)
		u.watchers[e.at], movedEntry.at = moved, e.at
		u.watchers = u.watchers[:last]
		if last == 0 {
			w.unwatchUser(u)
		}
	}
	w.watched.lists[list.number] = nil
	w.watched.free = append(w.watched.free, list.number)
}

// unwatchUser forgets a user whom nobody watches any more.
func (w *worker) unwatchUser(u *watchedUser) {
	delete(w.watched.byKey, u.key)
	u.due = 0 // changes that wait are over
	w.stopWaiting(&u.sub)
	w.registry.unsubscribe(w, &u.sub, false)
}
