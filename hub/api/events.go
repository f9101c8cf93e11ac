package api

import (
	"context"
	"errors"
	"net/http"

	"channels/hub"
	"channels/protocol"
)

// empty is the answer of a successful call without results.
var empty = []byte("{}")

func limits(app *hub.App) protocol.Limits {
	return protocol.Limits{
		EventBytes: app.MaxEventBytes,
		Channels:   app.MaxChannelsPerEvent,
		Batch:      app.MaxBatch,
	}
}

// postEvents publishes one event on one or more channels.
func (a *API) postEvents(r *http.Request, c *call) ([]byte, error) {
	t, err := protocol.DecodeTrigger(c.body, limits(c.app))
	if err != nil {
		return nil, err
	}
	key, err := onceKey(r, t.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return a.once(r.Context(), c, key, func(o *hub.Once) ([]byte, error) { return a.publishOne(r, c, t, o) })
}

func (a *API) publishOne(r *http.Request, c *call, t protocol.Trigger, o *hub.Once) ([]byte, error) {
	if err := a.checkEventRate(c.app, 1); err != nil {
		return nil, err
	}
	if err := a.publish(r.Context(), c.app, []hub.Event{eventOf(t, o)}); err != nil {
		return nil, err
	}
	if t.Info == 0 {
		return empty, nil
	}
	var infos lookup
	for _, name := range t.Channels {
		infos.want(name, t.Info)
	}
	a.lookUp(r.Context(), c.app, &infos)
	channels := make(map[string]attributes, len(t.Channels))
	for _, name := range t.Channels {
		channels[name] = infos.attributes(name, t.Info)
	}
	return encode(map[string]any{"channels": channels})
}

// postBatch publishes several events, each on one channel.
func (a *API) postBatch(r *http.Request, c *call) ([]byte, error) {
	batch, err := protocol.DecodeBatch(c.body, limits(c.app))
	if err != nil {
		return nil, err
	}
	key, err := onceKey(r, batch.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return a.once(r.Context(), c, key, func(o *hub.Once) ([]byte, error) { return a.publishAll(r, c, batch.Events, o) })
}

func (a *API) publishAll(r *http.Request, c *call, batch []protocol.Trigger, o *hub.Once) ([]byte, error) {
	if err := a.checkEventRate(c.app, len(batch)); err != nil {
		return nil, err
	}
	events := make([]hub.Event, len(batch))
	var infos lookup
	informed := false
	for i, t := range batch {
		events[i] = eventOf(t, o)
		infos.want(t.Channels[0], t.Info)
		informed = informed || t.Info != 0
	}
	if err := a.publish(r.Context(), c.app, events); err != nil {
		return nil, err
	}
	if !informed {
		return empty, nil
	}
	a.lookUp(r.Context(), c.app, &infos)
	answers := make([]attributes, len(batch))
	for i, t := range batch {
		answers[i] = infos.attributes(t.Channels[0], t.Info)
	}
	return encode(map[string]any{"batch": answers})
}

func eventOf(t protocol.Trigger, o *hub.Once) hub.Event {
	return hub.Event{Name: t.Name, Data: t.Data, Channels: t.Channels, Exclude: t.SocketID, Once: o}
}

// publish publishes the events together. Its error is the answer: it says "Not
// published" only if no event reached anybody.
func (a *API) publish(ctx context.Context, app *hub.App, events []hub.Event) error {
	if len(events) == 0 {
		return nil
	}
	err := a.hub.TriggerBatch(ctx, app, events)
	if err == nil {
		return nil
	}
	why, answer := refusalOf(ctx, err, len(events))
	a.countRefused(app, why, len(events))
	return answer
}

func refusalOf(ctx context.Context, err error, events int) (Refusal, error) {
	switch {
	case ctx.Err() != nil && errors.Is(err, hub.ErrUncertain):
		return RefusedCanceled, apiError(statusClosedRequest, "The client closed the request: the outcome is unknown")
	case ctx.Err() != nil:
		return RefusedCanceled, apiError(statusClosedRequest, "Not published: the client closed the request")
	case errors.Is(err, hub.ErrOverloaded):
		return RefusedOverload, apiError(http.StatusServiceUnavailable, "Not published: "+err.Error())
	case errors.Is(err, hub.ErrUnavailable):
		return RefusedUnavailable, apiError(http.StatusServiceUnavailable, "Not published: "+err.Error())
	case events > 1:
		return RefusedUnknown, apiError(http.StatusServiceUnavailable,
			"The outcome is unknown: some events of the batch may have reached subscribers, who get them twice if you publish the batch again")
	}
	return RefusedUnknown, apiError(http.StatusServiceUnavailable,
		"The outcome is unknown: the event may have reached some subscribers, who get it twice if you publish it again")
}
