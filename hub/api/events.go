package api

import (
	"context"
	"errors"
	"net/http"

	"channels/hub"
	"channels/protocol"
)

// empty is the answer of calls that have nothing to tell.
var empty = []byte("{}")

func (a *API) limits(app *hub.App) protocol.Limits {
	return protocol.Limits{
		EventBytes: app.MaxEventBytes,
		Channels:   app.MaxChannelsPerEvent,
		Batch:      app.MaxBatch,
	}
}

// postEvents publishes one event on some channels.
func (a *API) postEvents(r *http.Request, c *call) ([]byte, error) {
	t, err := protocol.DecodeTrigger(c.body, a.limits(c.app))
	if err != nil {
		return nil, err
	}
	if err := a.checkEventRate(c.app, 1); err != nil {
		return nil, err
	}
	if err := a.trigger(r.Context(), c.app, t); err != nil {
		return nil, err
	}
	if t.Info == 0 {
		return empty, nil
	}
	channels := make(map[string]attributes, len(t.Channels))
	for _, name := range t.Channels {
		if channels[name], err = a.attributes(r.Context(), c.app, name, t.Info); err != nil {
			return nil, err
		}
	}
	return encode(map[string]any{"channels": channels})
}

func (a *API) trigger(ctx context.Context, app *hub.App, t protocol.Trigger) error {
	err := a.hub.Trigger(ctx, app, hub.Event{
		Name: t.Name, Data: t.Data, Channels: t.Channels, Exclude: t.SocketID,
	})
	switch {
	case errors.Is(err, hub.ErrOverloaded):
		a.refused(app, RefusedOverload, 1)
	case err != nil:
		a.refused(app, RefusedUnavailable, 1)
	}
	return err
}

// postBatch publishes some events on a channel each.
func (a *API) postBatch(r *http.Request, c *call) ([]byte, error) {
	batch, err := protocol.DecodeBatch(c.body, a.limits(c.app))
	if err != nil {
		return nil, err
	}
	if err := a.checkEventRate(c.app, len(batch)); err != nil {
		return nil, err
	}
	informed := false
	for _, t := range batch {
		if err := a.trigger(r.Context(), c.app, t); err != nil {
			return nil, err
		}
		informed = informed || t.Info != 0
	}
	if !informed {
		return empty, nil
	}
	infos := make([]attributes, len(batch))
	for i, t := range batch {
		if infos[i], err = a.attributes(r.Context(), c.app, t.Channels[0], t.Info); err != nil {
			return nil, err
		}
	}
	return encode(map[string]any{"batch": infos})
}

// attributes are what an answer tells of a channel; nil ones were not asked for
// or do not apply.
type attributes struct {
	Occupied          *bool `json:"occupied,omitempty"`
	UserCount         *int  `json:"user_count,omitempty"`
	SubscriptionCount *int  `json:"subscription_count,omitempty"`
	Cache             any   `json:"cache,omitempty"`
}

// attributes answers those of info that apply to the channel.
func (a *API) attributes(ctx context.Context, app *hub.App, name string, info protocol.Info) (attributes, error) {
	var attrs attributes
	kind := protocol.KindOf(name)
	users := info&protocol.UserCount != 0 && kind.IsPresence()
	subscriptions := info&protocol.SubscriptionCount != 0 && !kind.IsPresence()
	if !users && !subscriptions {
		return attrs, nil
	}
	ch, err := a.hub.Channel(ctx, app, name)
	if err != nil {
		return attrs, err
	}
	if users {
		attrs.UserCount = &ch.Users
	}
	if subscriptions {
		attrs.SubscriptionCount = &ch.Subscribers
	}
	return attrs, nil
}

// cached is the cache attribute of a channel.
type cached struct {
	Data string `json:"data"`
	TTL  int    `json:"ttl"` // seconds
}

func (a *API) cached(ctx context.Context, app *hub.App, name string) (any, error) {
	event, ok, err := a.hub.Cached(ctx, app, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return null, nil
	}
	parsed, err := protocol.ParseEvent(protocol.PayloadOf(event.Frame))
	if err != nil {
		return nil, err
	}
	data, err := protocol.Unquote(parsed.Data)
	if err != nil {
		return nil, err
	}
	return cached{Data: string(data), TTL: int(event.TTL.Seconds())}, nil
}

// null is a JSON null that omitempty does not omit.
var null any = (*cached)(nil)
