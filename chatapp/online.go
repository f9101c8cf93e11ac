package chatapp

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// How it is found out who is online.
const (
	onlineInterval = 2 * time.Second // between two questions to the server
	onlineGrace    = 3               // so many answers without somebody, and they are offline: a reload is not published
	maxOnlineIDs   = 200             // in one event; with more, browsers fetch the list
)

// eventOnline is the event on users' own channels that says who came and went.
const eventOnline = "online"

// onlineEvent is what eventOnline carries.
type onlineEvent struct {
	Online  []string `json:"online"`
	Offline []string `json:"offline"`
}

// onlineFetch is what it carries instead of very many.
type onlineFetch struct {
	Fetch bool `json:"fetch"`
}

// online knows who has the chat open: whose own channel is occupied. One question
// to the server answers for everybody, newcomers too, and costs the same for a
// team of ten and of a thousand, where presence among all would cost an event for
// each pair.
type online struct {
	occupied func(ctx context.Context) (users map[string]string, err error)             // own channels by user id
	publish  func(ctx context.Context, channels []string, event string, data any) error // on each of the channels
	log      *slog.Logger

	mu        sync.Mutex
	grace     map[string]int  // by user id: how many answers more without them; who is in here is online
	announced map[string]bool // who is online as far as it was published
}

func newOnline(occupied func(context.Context) (map[string]string, error),
	publish func(context.Context, []string, string, any) error, log *slog.Logger) *online {
	return &online{occupied: occupied, publish: publish, log: log, grace: map[string]int{}, announced: map[string]bool{}}
}

// list returns the ids of those who are online, sorted.
func (o *online) list() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(o.grace))))
}

// look asks the server once, and tells those who are online what has changed. It
// is called by one goroutine.
func (o *online) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	channels, err := o.occupied(ctx)
	if err != nil { // nobody knows: what was known stays
		o.log.Debug("ask who is online", "error", err)
		return
	}
	came, went := o.update(channels)
	if len(came)+len(went) == 0 {
		return
	}
	var data any = onlineEvent{came, went}
	if len(came)+len(went) > maxOnlineIDs {
		data = onlineFetch{true}
	}
	if err := o.publish(ctx, slices.Sorted(maps.Values(channels)), eventOnline, data); err != nil {
		o.log.Debug("tell who is online", "error", err)
		return // the next look tells it
	}
	o.confirm(came, went)
}

// update takes an answer of the server, and returns the difference to what was
// published.
func (o *online) update(channels map[string]string) (came, went []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for user := range o.grace {
		if o.grace[user]--; o.grace[user] == 0 {
			delete(o.grace, user)
		}
	}
	for user := range channels {
		o.grace[user] = onlineGrace
	}
	came, went = []string{}, []string{}
	for user := range o.grace {
		if !o.announced[user] {
			came = append(came, user)
		}
	}
	for user := range o.announced {
		if o.grace[user] == 0 {
			went = append(went, user)
		}
	}
	slices.Sort(came)
	slices.Sort(went)
	return came, went
}

func (o *online) confirm(came, went []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, user := range came {
		o.announced[user] = true
	}
	for _, user := range went {
		delete(o.announced, user)
	}
}
