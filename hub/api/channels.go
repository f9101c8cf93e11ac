package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"channels/hub"
	"channels/protocol"
)

// getChannels lists occupied channels.
func (a *API) getChannels(r *http.Request, c *call) ([]byte, error) {
	prefix := c.params.Get("filter_by_prefix")
	info, err := protocol.ParseInfo(c.params.Get("info"))
	if err != nil {
		return nil, err
	}
	if info&protocol.UserCount != 0 && !strings.HasPrefix(prefix, "presence-") {
		return nil, apiError(http.StatusBadRequest, "user_count may only be requested for presence channels - please supply filter_by_prefix beginning with presence-")
	}
	if info&protocol.CacheInfo != 0 {
		return nil, apiError(http.StatusBadRequest, "cache may only be requested for a single channel")
	}
	found, err := a.hub.Channels(r.Context(), c.app, prefix)
	if err != nil {
		return nil, err
	}
	channels := make(map[string]attributes, len(found))
	for _, ch := range found {
		channels[ch.Name] = attributesOf(ch, ch.Name, info)
	}
	return encode(map[string]any{"channels": channels})
}

// getChannel describes one channel, also a vacant one.
func (a *API) getChannel(r *http.Request, c *call) ([]byte, error) {
	name, err := channelName(c.path)
	if err != nil {
		return nil, err
	}
	info, err := checkInfo(name, c.params.Get("info"))
	if err != nil {
		return nil, err
	}
	ch, err := a.hub.Channel(r.Context(), c.app, name)
	if err != nil {
		return nil, err
	}
	attrs := attributesOf(ch, name, info)
	if info&protocol.CacheInfo != 0 {
		if attrs.Cache, err = a.cached(r.Context(), c.app, name); err != nil {
			return nil, err
		}
	}
	occupied := ch.Subscribers > 0
	attrs.Occupied = &occupied
	return encode(attrs)
}

// checkInfo reads info and refuses attributes that the channel cannot have.
func checkInfo(name, list string) (protocol.Info, error) {
	info, err := protocol.ParseInfo(list)
	if err != nil {
		return 0, err
	}
	kind := protocol.KindOf(name)
	switch {
	case info&protocol.UserCount != 0 && !kind.IsPresence():
		return 0, apiError(http.StatusBadRequest, "Cannot retrieve the user count unless the channel is a presence channel")
	case info&protocol.CacheInfo != 0 && !kind.IsCache():
		return 0, apiError(http.StatusBadRequest, "Cannot retrieve the cache unless the channel is a cache channel")
	}
	return info, nil
}

// channelName returns the name in channels/{name} and what is below it.
func channelName(path string) (string, error) {
	escaped := strings.Split(path, "/")[1]
	name, err := url.PathUnescape(escaped)
	if err != nil || !protocol.ValidChannel(name) || strings.HasPrefix(name, "#") {
		return "", apiError(http.StatusBadRequest, "Invalid channel name: "+escaped)
	}
	return name, nil
}

type user struct {
	ID string `json:"id"`
}

// getUsers lists the users of a presence channel.
func (a *API) getUsers(r *http.Request, c *call) ([]byte, error) {
	name, err := channelName(c.path)
	if err != nil {
		return nil, err
	}
	if !protocol.KindOf(name).IsPresence() {
		return nil, apiError(http.StatusBadRequest, "Cannot retrieve the users unless the channel is a presence channel")
	}
	if extra := c.params.Extraneous(); len(extra) > 0 {
		return nil, apiError(http.StatusBadRequest, "The following query string parameters are extraneous: "+strings.Join(extra, ", "))
	}
	ids, err := a.hub.Users(r.Context(), c.app, name)
	if err != nil {
		return nil, err
	}
	users := make([]user, len(ids))
	for i, id := range ids {
		users[i] = user{ID: id}
	}
	return encode(map[string]any{"users": users})
}

// cached is the cache attribute of a channel.
type cached struct {
	Data string `json:"data"`
	TTL  int    `json:"ttl"` // seconds
}

// null is a JSON null that omitempty does not omit.
var null any = (*cached)(nil)

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
