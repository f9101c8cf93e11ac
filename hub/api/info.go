package api

import (
	"context"
	"time"

	"channels/hub"
	"channels/protocol"
)

// infoTimeout bounds the lookup of attributes after a publish: SDKs give a request
// about five seconds, and the event has been published already.
const infoTimeout = 2 * time.Second

// attributes describe a channel in an answer. Those that were not asked for, that do
// not apply to the channel or that are not known are nil.
type attributes struct {
	Occupied          *bool `json:"occupied,omitempty"`
	UserCount         *int  `json:"user_count,omitempty"`
	SubscriptionCount *int  `json:"subscription_count,omitempty"`
	Cache             any   `json:"cache,omitempty"`
}

// attributesOf returns the attributes in info that apply to the channel.
func attributesOf(ch hub.ChannelInfo, name string, info protocol.Info) attributes {
	var attrs attributes
	if info&protocol.UserCount != 0 && protocol.KindOf(name).IsPresence() {
		attrs.UserCount = &ch.Users
	}
	if info&protocol.SubscriptionCount != 0 {
		attrs.SubscriptionCount = &ch.Subscribers
	}
	return attrs
}

// lookup gathers the channels whose attributes a publisher wants, so that they can
// be looked up together. The zero value wants nothing.
type lookup struct {
	names []string
	index map[string]int // of a name in names, and of its channel in found
	found []hub.ChannelInfo
}

// want adds the channel if one of the attributes applies to it.
func (l *lookup) want(name string, info protocol.Info) {
	applies := info&protocol.SubscriptionCount != 0 ||
		info&protocol.UserCount != 0 && protocol.KindOf(name).IsPresence()
	if _, wanted := l.index[name]; wanted || !applies {
		return
	}
	if l.index == nil {
		l.index = make(map[string]int)
	}
	l.index[name] = len(l.names)
	l.names = append(l.names, name)
}

// attributes returns what was found of the channel, nothing if the lookup failed.
func (l *lookup) attributes(name string, info protocol.Info) attributes {
	if i, wanted := l.index[name]; wanted && l.found != nil {
		return attributesOf(l.found[i], name, info)
	}
	return attributes{}
}

// lookUp fills l after a publish. A failure is counted and leaves l empty: the event
// has been published, so the answer must not be an error.
func (a *API) lookUp(ctx context.Context, app *hub.App, l *lookup) {
	if len(l.names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	found, err := a.hub.ChannelInfos(ctx, app, l.names)
	if err != nil {
		a.trafficOf(app).failedInfos.Add(1)
		return
	}
	l.found = found
}
