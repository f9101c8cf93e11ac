package redisbus

import (
	"strings"
	"time"

	"channels/hub"
)

// Members of presence channels whose app has a grace are not taken off the roster when their
// node dies: a living node adopts them, and takes them off when the grace is over, unless
// they have come back by then.

// adoption is the time for which a member is kept.
type adoption struct{ timer *time.Timer }

// SetGraces puts other times in place of those for which members are kept whose node has
// died, by the app's id; 0 and apps that are missing: not at all. Any goroutine may call it;
// the map must not change afterwards.
func (b *Bus) SetGraces(graces map[string]time.Duration) { b.graces.Store(&graces) }

// graced are the apps that have a grace, as they stand in keys, each between spaces.
func (b *Bus) graced() string {
	graces := *b.graces.Load()
	if len(graces) == 0 {
		return ""
	}
	var apps strings.Builder
	apps.WriteByte(' ')
	for app := range graces {
		apps.WriteString(appKey(app) + " ")
	}
	return apps.String()
}

// adopter is the node's name in a partition, as that of one who adopts; "" where no app has
// a grace.
func (b *Bus) adopter(partition int) string {
	if len(*b.graces.Load()) == 0 {
		return ""
	}
	name, _ := b.out[partition].identity()
	return name
}

// adopt takes over the members that a script has given to this node: topic, user and user
// info of each.
func (b *Bus) adopt(partition int, words []string) {
	o := b.out[partition]
	for ; len(words) >= 3; words = words[3:] {
		app, channel, _ := strings.Cut(words[0], ":")
		for id, grace := range *b.graces.Load() {
			if appKey(id) == app {
				o.adopt(hub.Topic{App: id, Channel: channel}, words[1], words[2], grace)
			}
		}
	}
}

func (o *outgoing) adopt(t hub.Topic, user, info string, grace time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.held[t]
	if h == nil {
		h = &holding{topic: t}
		o.held[t] = h
	}
	if _, here := h.users[user]; here {
		return
	}
	if h.users == nil {
		h.users = make(map[string]string)
	}
	if h.adopted == nil {
		h.adopted = make(map[string]*adoption)
	}
	h.users[user] = info
	a := new(adoption)
	a.timer = time.AfterFunc(grace, func() { o.disown(t, user, a) })
	h.adopted[user] = a
}

// disown takes an adopted member off the roster, unless he has come back.
func (o *outgoing) disown(t hub.Topic, user string, a *adoption) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.held[t]
	if h == nil || h.adopted[user] != a {
		return
	}
	h.unadopt(user)
	delete(h.users, user)
	h.moves = append(h.moves, move{user: user})
	o.queue(h)
	o.list()
}

// unadopt is for an adopted member who has come back, or has left by himself.
func (h *holding) unadopt(user string) {
	if a := h.adopted[user]; a != nil {
		a.timer.Stop()
		delete(h.adopted, user)
	}
}
