package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"channels/protocol"
)

// Event is what a publisher sends to channels of an app.
type Event struct {
	Name     string
	Data     []byte // a JSON string token, relayed byte for byte
	Channels []string
	Exclude  string // socket id that does not receive it; "" = none
}

// Trigger publishes an event and returns when the bus has it, on every channel.
// ErrOverloaded and ErrUnavailable: it reaches nobody. Any other error: it may
// have reached some.
func (h *Hub) Trigger(ctx context.Context, app *App, e Event) error {
	if err := h.admit(ctx); err != nil {
		return err
	}
	var answers answers
	answers.expect(len(e.Channels))
	for _, name := range e.Channels {
		msg := Message{
			Topic:   Topic{App: app.ID, Channel: name},
			Frame:   protocol.EventFrame(e.Name, name, e.Data, ""),
			Exclude: e.Exclude,
		}
		if protocol.KindOf(name).IsCache() {
			msg.CacheFor = app.CacheTTL
		}
		h.bus.Publish(msg, answers.add)
	}
	return answers.wait(ctx)
}

// admit refuses a publish before it is sent anywhere: while the bus is down, or
// when a worker has been over its bound for publishPatience.
func (h *Hub) admit(ctx context.Context) error {
	if err := h.bus.Err(); err != nil {
		return err
	}
	for _, w := range h.workers {
		if w.mailbox.full() == nil {
			continue
		}
		patience, cancel := context.WithTimeout(ctx, publishPatience)
		err := w.mailbox.waitForRoom(patience)
		cancel()
		if err != nil {
			return ErrOverloaded
		}
	}
	return nil
}

// answers collects those of a number of calls. A bus in memory has answered
// before wait is called, which then costs no channel.
type answers struct {
	mu      sync.Mutex
	missing int
	errs    []error
	all     chan struct{} // closed when none is missing; nil until waited for
}

func (a *answers) expect(n int) { a.missing = n }

func (a *answers) add(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.missing--
	if err != nil {
		a.errs = append(a.errs, err)
	}
	if a.missing == 0 && a.all != nil {
		close(a.all)
	}
}

func (a *answers) wait(ctx context.Context) error {
	a.mu.Lock()
	if a.missing == 0 {
		defer a.mu.Unlock()
		return errors.Join(a.errs...)
	}
	a.all = make(chan struct{})
	a.mu.Unlock()
	select {
	case <-a.all:
		return errors.Join(a.errs...)
	case <-ctx.Done():
		return fmt.Errorf("waiting for the bus: %w", ctx.Err())
	}
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
	return h.state.Channel(ctx, Topic{App: app.ID, Channel: name})
}

// Users lists the ids of a presence channel's users.
func (h *Hub) Users(ctx context.Context, app *App, name string) ([]string, error) {
	return h.state.Users(ctx, Topic{App: app.ID, Channel: name})
}

// Cached returns a cache channel's last event; false when it has none.
func (h *Hub) Cached(ctx context.Context, app *App, name string) (Cached, bool, error) {
	return h.state.Cached(ctx, Topic{App: app.ID, Channel: name})
}
