package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"channels/protocol"
)

// ErrOverloaded is what Trigger answers when the node has more to deliver than
// it may hold. Nothing was published.
var ErrOverloaded = errors.New("the node has more to deliver than it may hold")

// ErrUncertain is what Trigger answers when something may have been published:
// a part of the events was, or the bus has not answered.
var ErrUncertain = errors.New("published in part, or not known to be")

// publishPatience is how long a publish waits for room before it is refused.
const publishPatience = time.Second

// Event is what a publisher sends to channels of an app.
type Event struct {
	Name     string
	Data     []byte // a JSON string token, relayed byte for byte
	Channels []string
	Exclude  string // socket id that does not receive it; "" = none
	Once     *Once  // the request that it is a part of, if that is to be carried out once
}

// Trigger publishes an event; see TriggerBatch.
func (h *Hub) Trigger(ctx context.Context, app *App, e Event) error {
	return h.TriggerBatch(ctx, app, []Event{e})
}

// TriggerBatch publishes events and returns when the bus has them all, on every
// channel. They are admitted together, and one round trip to the bus carries
// them. ErrOverloaded and ErrUnavailable: nothing was published. An error that is
// ctx's: the publisher has gone; with ErrUncertain as well, the events were under
// way. Any other error is ErrUncertain.
func (h *Hub) TriggerBatch(ctx context.Context, app *App, events []Event) error {
	if err := h.works(app, events); err != nil {
		return err
	}
	if err := h.admit(ctx, app); err != nil {
		return err
	}
	n := 0
	for i := range events {
		n += len(events[i].Channels)
	}
	var answers answers
	answers.expect(n)
	part := 0
	for i := range events {
		h.publish(app, &events[i], part, answers.add)
		part += len(events[i].Channels)
	}
	return answers.wait(ctx)
}

// publish publishes an event, of which a part of the request with a number is the first.
func (h *Hub) publish(app *App, e *Event, part int, done func(error)) {
	for i, name := range e.Channels {
		msg := Message{
			Topic:   Topic{App: app.ID, Channel: name},
			Frame:   protocol.EventFrame(e.Name, name, e.Data, ""),
			Exclude: e.Exclude,
			Keep:    app.History.Of(name),
		}
		if protocol.KindOf(name).IsCache() {
			msg.CacheFor = app.CacheTTL
		}
		if e.Once != nil {
			msg.Once = &Part{Key: e.Once.Key, Index: part + i}
		}
		h.bus.Publish(msg, done)
	}
}

// works refuses a publish before it is sent anywhere, while the bus is down for
// any of its channels.
func (h *Hub) works(app *App, events []Event) error {
	for i := range events {
		for _, name := range events[i].Channels {
			if err := h.bus.TopicErr(Topic{App: app.ID, Channel: name}); err != nil {
				return err
			}
		}
	}
	return nil
}

// admit refuses a publish before it is sent anywhere, when the app has had no room
// for publishPatience.
func (h *Hub) admit(ctx context.Context, app *App) error {
	u := h.usageOf(app)
	if u == nil || h.ledger.admits(u) { // nil: it was removed meanwhile
		return nil
	}
	patience, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	err := h.ledger.await(patience, func() bool { return h.ledger.admits(u) })
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for room: %w", ctx.Err())
	}
	return ErrOverloaded
}

// answers collects those of a number of calls. A bus in memory has answered
// before wait is called, which then costs no channel.
type answers struct {
	mu          sync.Mutex
	expected    int
	missing     int
	unavailable int           // answers that say that nothing was done
	failure     error         // the first
	all         chan struct{} // closed when none is missing; nil until waited for
}

func (a *answers) expect(n int) { a.expected, a.missing = n, n }

func (a *answers) add(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.missing--
	if errors.Is(err, ErrUnavailable) {
		a.unavailable++
	}
	if a.failure == nil {
		a.failure = err
	}
	if a.missing == 0 && a.all != nil {
		close(a.all)
	}
}

func (a *answers) wait(ctx context.Context) error {
	a.mu.Lock()
	if a.missing == 0 {
		defer a.mu.Unlock()
		return a.err()
	}
	a.all = make(chan struct{})
	a.mu.Unlock()
	select {
	case <-a.all:
		return a.err()
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for the bus: %w", ErrUncertain, ctx.Err())
	}
}

// err says what all of the answers mean. It is not ErrUnavailable when a part was
// published.
func (a *answers) err() error {
	switch {
	case a.failure == nil:
		return nil
	case a.unavailable == a.expected:
		return a.failure
	}
	return fmt.Errorf("%w: %v", ErrUncertain, a.failure) //nolint:errorlint // see above
}

// Channels lists an app's occupied channels whose names start with prefix, but
// for those of single users.
func (h *Hub) Channels(ctx context.Context, app *App, prefix string) ([]ChannelInfo, error) {
	found, err := h.state.Channels(ctx, app.ID, prefix)
	return slices.DeleteFunc(found, func(ch ChannelInfo) bool {
		return strings.HasPrefix(ch.Name, "#")
	}), err
}

// Channel describes a channel; one without subscribers is vacant.
func (h *Hub) Channel(ctx context.Context, app *App, name string) (ChannelInfo, error) {
	infos, err := h.ChannelInfos(ctx, app, []string{name})
	if err != nil {
		return ChannelInfo{}, err
	}
	return infos[0], nil
}

// ChannelInfos describes channels, in the order of their names, with one round
// trip to the State.
func (h *Hub) ChannelInfos(ctx context.Context, app *App, names []string) ([]ChannelInfo, error) {
	return h.state.ChannelInfos(ctx, app.ID, names)
}

// Users lists the ids of a presence channel's users.
func (h *Hub) Users(ctx context.Context, app *App, name string) ([]string, error) {
	return h.state.Users(ctx, Topic{App: app.ID, Channel: name})
}

// Cached returns a cache channel's last event; false when it has none.
func (h *Hub) Cached(ctx context.Context, app *App, name string) (Cached, bool, error) {
	return h.state.Cached(ctx, Topic{App: app.ID, Channel: name})
}
