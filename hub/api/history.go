package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"channels/hub"
	"channels/protocol"
)

const (
	// defaultPast and mostPast are how many events of a history an answer has, without and
	// with a limit.
	defaultPast = 100
	mostPast    = 1000
)

// pastEvent is an event of a channel's history.
type pastEvent struct {
	ID     string          `json:"id"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
	TimeMS uint64          `json:"time_ms"`
	UserID string          `json:"user_id,omitempty"`
}

// history serves channels/{name}/events and channels/{name}/events/{id}.
func (a *API) history(r *http.Request, c *call) ([]byte, error) {
	name, err := channelName(c.path)
	if err != nil {
		return nil, err
	}
	if c.app.History.Of(name) == nil {
		return nil, apiError(http.StatusBadRequest, "This channel has no history: the app's settings history.events and history.prefix say which channels have one")
	}
	parts := strings.Split(c.path, "/")
	switch {
	case len(parts) == 3 && c.method == http.MethodGet:
		return a.getPast(r, c, name)
	case len(parts) == 3 && c.method == http.MethodDelete:
		return a.erase(r, c, name, 0)
	case len(parts) == 4 && c.method == http.MethodDelete:
		id, err := eventID(parts[3])
		if err != nil {
			return nil, err
		}
		return a.erase(r, c, name, id)
	case len(parts) == 3:
		return nil, apiError(http.StatusMethodNotAllowed, "Only GET and DELETE are supported here")
	}
	return nil, apiError(http.StatusMethodNotAllowed, "Only DELETE is supported here")
}

// getPast lists a part of a channel's history.
func (a *API) getPast(r *http.Request, c *call, name string) ([]byte, error) {
	span, err := spanOf(c.params)
	if err != nil {
		return nil, err
	}
	past, err := a.hub.Past(r.Context(), c.app, name, span)
	if err != nil {
		return nil, err
	}
	events := make([]pastEvent, len(past.Events))
	for i, e := range past.Events {
		if events[i], err = pastEventOf(e); err != nil {
			return nil, err
		}
	}
	return encode(map[string]any{"events": events, "more": past.More, "complete": past.Whole(span.After)})
}

// spanOf reads the parameters after, limit and order.
func spanOf(params protocol.Params) (hub.Span, error) {
	span := hub.Span{Most: defaultPast}
	var err error
	if after := params.Get("after"); after != "" {
		if span.After, err = eventID(after); err != nil {
			return hub.Span{}, err
		}
	}
	if limit := params.Get("limit"); limit != "" {
		if span.Most, err = strconv.Atoi(limit); err != nil || span.Most < 1 || span.Most > mostPast {
			return hub.Span{}, apiError(http.StatusBadRequest, "limit must be a number from 1 to "+strconv.Itoa(mostPast))
		}
	}
	switch params.Get("order") {
	case "", "asc":
	case "desc":
		span.Newest = true
	default:
		return hub.Span{}, apiError(http.StatusBadRequest, "order must be asc, oldest first, or desc, newest first")
	}
	return span, nil
}

// eventID reads the id of an event.
func eventID(escaped string) (uint64, error) {
	id, err := url.PathUnescape(escaped)
	if err != nil {
		id = escaped
	}
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil || n == 0 {
		return 0, apiError(http.StatusBadRequest, "Invalid event id "+strconv.Quote(id)+": it is the id of an event of the channel's history")
	}
	return n, nil
}

var errNoEvent = errors.New("an entry of a history is no event")

func pastEventOf(e hub.PastEvent) (pastEvent, error) {
	payload := protocol.PayloadOf(e.Frame)
	if payload == nil {
		return pastEvent{}, errNoEvent
	}
	parsed, err := protocol.ParseEvent(payload)
	if err != nil {
		return pastEvent{}, errors.Join(errNoEvent, err)
	}
	return pastEvent{
		ID: strconv.FormatUint(e.Seq, 10), Event: parsed.Event, Data: parsed.Data,
		TimeMS: e.Seq / 1000, UserID: parsed.UserID,
	}, nil
}

// erase removes an event, or all, from a channel's history.
func (a *API) erase(r *http.Request, c *call, name string, id uint64) ([]byte, error) {
	n, err := a.hub.Erase(r.Context(), c.app, name, id)
	if err != nil {
		return nil, err
	}
	if id > 0 && n == 0 {
		return nil, apiError(http.StatusNotFound, "The channel's history has no such event")
	}
	return encode(map[string]any{"deleted": n})
}
