package hub

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"channels/protocol"
)

// apps are those that a hub has. The maps do not change; SetApps puts others in their
// place. What an app uses of the node stays with its id.
type apps struct {
	byKey map[string]*usage
	byID  map[string]*usage
}

// AppChanges are the ids of apps that SetApps has changed something about, sorted.
type AppChanges struct {
	Added, Changed, Removed []string
}

// SetApps puts these apps in place of those that the hub has. Connections stay, and what is
// done from now on obeys the new settings, but for those of apps that are disabled or that
// are not among them any more: their connections are closed, with 4003 or 4001. An app is
// the same as long as it has the same id. Any goroutine may call it; the caller must not
// change the apps afterwards.
func (h *Hub) SetApps(list []App) AppChanges {
	h.setting.Lock()
	defer h.setting.Unlock()
	var changes AppChanges
	before := h.apps.Load()
	next := &apps{byKey: make(map[string]*usage), byID: make(map[string]*usage)}
	var away []*usage
	for i := range list {
		app := &list[i]
		u := before.byID[app.ID]
		switch {
		case u == nil:
			u = h.usageFor(app)
			changes.Added = append(changes.Added, app.ID)
		case !reflect.DeepEqual(u.app(), app):
			u.change(app)
			changes.Changed = append(changes.Changed, app.ID)
			if app.Disabled {
				away = append(away, u)
			}
		}
		next.byKey[app.Key], next.byID[app.ID] = u, u
		h.followNode(app)
	}
	for id, u := range before.byID {
		if next.byID[id] == nil {
			u.removed.Store(true)
			h.removed[id] = u
			changes.Removed = append(changes.Removed, id)
			away = append(away, u)
		}
	}
	h.sweepEvery.Store(int64(sweepInterval(list)))
	h.ledger.share(slices.Collect(maps.Values(next.byID)))
	h.apps.Store(next)
	for _, u := range away {
		for _, w := range h.workers {
			w.post(&turnAway{ofHub{h}, u})
		}
	}
	slices.Sort(changes.Added)
	slices.Sort(changes.Changed)
	slices.Sort(changes.Removed)
	return changes
}

// usageFor returns what an app uses that is added. One that was there before still has the
// connections that are not closed yet.
func (h *Hub) usageFor(app *App) *usage {
	if u := h.removed[app.ID]; u != nil {
		delete(h.removed, app.ID)
		u.change(app)
		u.removed.Store(false)
		return u
	}
	u := &usage{sent: make([]sent, len(h.workers))}
	u.quota = &quota{usage: u, state: h.state}
	u.settings.Store(app)
	return u
}

// Apps returns the apps, in no order.
func (h *Hub) Apps() []*App {
	var all []*App
	for _, u := range h.apps.Load().byID {
		all = append(all, u.app())
	}
	return all
}

// AppByKey returns the app with a public key, nil when there is none. Its settings are
// those of now, which do not change.
func (h *Hub) AppByKey(key string) *App { return h.apps.Load().byKey[key].app() }

// AppByID returns the app with an id, nil when there is none.
func (h *Hub) AppByID(id string) *App { return h.apps.Load().byID[id].app() }

// usageOf returns what an app uses; nil when it has been removed.
func (h *Hub) usageOf(app *App) *usage { return h.apps.Load().byID[app.ID] }

// app returns the app's settings of now.
func (u *usage) app() *App {
	if u == nil {
		return nil
	}
	return u.settings.Load()
}

// app returns the settings of the connection's app.
func (c *Conn) app() *App { return c.usage.app() }

// change gives an app other settings.
func (u *usage) change(app *App) {
	before := u.settings.Swap(app)
	u.quota.changed(before.MaxConnections, app.MaxConnections)
}

// closedTo says whether the app's connections have to end, and how.
func (u *usage) closedTo() (f protocol.Fault, reason CloseReason, closed bool) {
	switch app := u.app(); {
	case u.removed.Load():
		return protocol.UnknownAppKey(app.Key), AppRemoved, true
	case app.Disabled:
		return protocol.AppDisabled(), AppDisabled, true
	}
	return protocol.Fault{}, "", false
}

// sweepInterval is how often a worker looks after its connections.
func (h *Hub) sweepInterval() time.Duration { return time.Duration(h.sweepEvery.Load()) }

// turnAwayAtOnce is how many connections are closed before others have their turn.
const turnAwayAtOnce = 256

// turnAway closes the connections of an app that is disabled or removed, unless it is back
// by now.
func (w *worker) turnAway(u *usage) {
	f, reason, closed := u.closedTo()
	if !closed {
		return
	}
	ended := 0
	for i := len(w.conns) - 1; i >= 0; i-- { // close moves the last one here
		if i >= len(w.conns) || w.conns[i].usage != u {
			continue
		}
		if ended == turnAwayAtOnce {
			w.post(&turnAway{ofHub{w.hub}, u})
			return
		}
		w.close(w.conns[i], f, reason)
		ended++
	}
}
