package hub

import (
	"context"
	"errors"
	"fmt"

	"channels/protocol"
)

// ErrUncertain is what TriggerBatch answers when some of the events may have been
// published, and some may not.
var ErrUncertain = errors.New("the outcome is unknown")

// TriggerBatch publishes events and returns when the bus has answered for all.
func (h *Hub) TriggerBatch(ctx context.Context, app *App, events []Event) error {
	if err := h.admit(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	var answers answers
	for _, e := range events {
		answers.missing += len(e.Channels)
	}
	total := answers.missing
	for _, e := range events {
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
	}
	err := answers.wait(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrUncertain, ctx.Err())
	}
	for _, e := range answers.errs {
		if !errors.Is(e, ErrUnavailable) || len(answers.errs) < total {
			return fmt.Errorf("%w: %v", ErrUncertain, e)
		}
	}
	return err
}

// ChannelInfos describes channels, in the order of their names.
func (h *Hub) ChannelInfos(ctx context.Context, app *App, names []string) ([]ChannelInfo, error) {
	infos := make([]ChannelInfo, len(names))
	for i, name := range names {
		info, err := h.Channel(ctx, app, name)
		if err != nil {
			return nil, err
		}
		infos[i] = info
	}
	return infos, nil
}
