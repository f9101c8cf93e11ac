package redisbus

import (
	"slices"
	"strconv"

	"channels/hub"
)

// request is a script's arguments, by name. The order in which args gives them is
// that of the script's form.
type request interface {
	script(s *scripts) *script
	args() []any
}

// publishCall is lua/publish.lua.
type publishCall struct {
	events     []publication
	cacheBytes int // that an app's cached events may have in a partition
}

// publication is a message for a channel: one event, or several as a bundle.
type publication struct {
	topic   hub.Topic
	body    string
	count   int   // of events in the body
	cacheMS int64 // 0 = not cached
	frameAt int   // where in the body the frame starts
	occurs  []*hub.Occurrence
	keep    *hub.History // how it is kept in the channel's history; nil = it is not
	op      *op          // whose event it is, if it is kept
	once    *hub.Part    // it is published only if it was not before; nil = in any case
}

// counts are how many events there are, whether they are kept, whether they are published
// once, and how many occurrences follow.
func (p publication) counts() any {
	if len(p.occurs) == 0 && p.keep == nil && p.once == nil {
		return p.count
	}
	text := strconv.Itoa(p.count)
	if p.keep != nil {
		text += "h"
	}
	if p.once != nil {
		text += "o"
	}
	if len(p.occurs) > 0 {
		text += "+" + strconv.Itoa(len(p.occurs))
	}
	return text
}

// script is the one that can keep events, where one is to be kept.
func (c publishCall) script(s *scripts) *script {
	if slices.ContainsFunc(c.events, func(e publication) bool { return e.keep != nil }) {
		return &s.keeping
	}
	return &s.publish
}

func (c publishCall) args() []any {
	args := make([]any, 0, 2+6*len(c.events))
	args = append(args, len(c.events), c.cacheBytes)
	for _, e := range c.events {
		args = append(args, appKey(e.topic.App), e.topic.Channel, e.body, e.counts(), e.cacheMS, e.frameAt)
		if k := e.keep; k != nil {
			args = append(args, k.Events, k.Age.Microseconds(), k.Bytes, max(k.Total/HistoryShare, 1))
		}
		if e.once != nil {
			args = append(args, partKey(e.once), hub.OnceKept.Milliseconds())
		}
		for _, o := range e.occurs {
			args = append(args, o.User, o.Event, o.Data, o.SocketID)
		}
	}
	return args
}

// stateCall is lua/state.lua.
type stateCall struct {
	channels []*telling
	knows    func(hub.Topic) bool // whether the node knows the roster
}

func (stateCall) script(s *scripts) *script { return &s.state }

func (c stateCall) args() []any {
	goes := true
	args := make([]any, 2, 2+6*len(c.channels))
	for _, t := range c.channels {
		goes = goes && t.onlyGoes()
		args = append(args, appKey(t.of.topic.App), t.of.topic.Channel, t.flags(c.knows(t.of.topic)), t.subscribers, t.most, len(t.moves))
		if t.hooks > 0 {
			args = append(args, int(t.hooks), t.cause())
		}
		for _, m := range t.moves {
			args = append(args, m.sign(t.restating), m.user, m.info, m.most)
		}
	}
	args[0], args[1] = len(c.channels), flag(goes)
	return args
}

// enterCall is lua/enter.lua.
type enterCall struct {
	comes         bool
	old           string
	lost          bool
	epoch         uint64
	known         uint64 // the highest number
	logged, heard logged // the last event in a log: of those published, and of those that came
}

func (enterCall) script(s *scripts) *script { return &s.enter }

func (c enterCall) args() []any {
	return []any{flag(c.comes), c.old, flag(c.lost), c.epoch, c.known, c.logged.seq, c.logged.app, c.heard.seq, c.heard.app, settling.Microseconds()}
}

// settleCall is lua/settle.lua.
type settleCall struct {
	done bool
	olds []string
}

func (settleCall) script(s *scripts) *script { return &s.settle }

func (c settleCall) args() []any {
	args := []any{flag(c.done)}
	for _, old := range c.olds {
		args = append(args, old)
	}
	return args
}

// buryCall is lua/bury.lua.
type buryCall struct{ prefix string }

func (buryCall) script(s *scripts) *script { return &s.bury }

func (c buryCall) args() []any { return []any{c.prefix} }

// clearStep is about how many users and channels of the dead are removed by one
// script, so that Redis is not held up.
const clearStep = 500

// clearCall is lua/clear.lua.
type clearCall struct{ graced string }

func (clearCall) script(s *scripts) *script { return &s.clear }
func (c clearCall) args() []any             { return []any{clearStep, c.graced} }

// sweepCall is lua/sweep.lua.
type sweepCall struct{}

func (sweepCall) script(s *scripts) *script { return &s.sweep }
func (sweepCall) args() []any               { return nil }

// eraseCall is lua/erase.lua.
type eraseCall struct {
	topic hub.Topic
	seq   uint64 // 0 = all events
}

func (eraseCall) script(s *scripts) *script { return &s.erase }

func (c eraseCall) args() []any {
	which := ""
	if c.seq > 0 {
		which = strconv.FormatUint(c.seq, 10)
	}
	return []any{appKey(c.topic.App), c.topic.Channel, which}
}

// version is that of the messages and scripts' arguments that a node understands.
// New behaviour is switched on when the oldest node that lives knows it.
const version = 1

// beatCall is lua/beat.lua.
type beatCall struct {
	beat, heard int
	isNew       bool
}

func (beatCall) script(s *scripts) *script { return &s.beat }

func (c beatCall) args() []any {
	return []any{c.beat, c.heard, lease.Microseconds(), flag(c.isNew), version, lateAfter.Microseconds()}
}

// canaryCall is lua/canary.lua.
type canaryCall struct{ channel string }

func (canaryCall) script(s *scripts) *script { return &s.canary }
func (c canaryCall) args() []any             { return []any{c.channel} }

// compareCall is lua/compare.lua.
type compareCall struct{ topics []hub.Topic }

func (compareCall) script(s *scripts) *script { return &s.compare }

func (c compareCall) args() []any {
	args := make([]any, 0, 2*len(c.topics))
	for _, t := range c.topics {
		args = append(args, appKey(t.App), t.Channel)
	}
	return args
}

// rosterCall is lua/roster.lua.
type rosterCall struct{ topic hub.Topic }

func (rosterCall) script(s *scripts) *script { return &s.roster }
func (c rosterCall) args() []any             { return []any{appKey(c.topic.App), c.topic.Channel} }

// deliverCall is lua/deliver.lua.
type deliverCall struct{ app string }

func (deliverCall) script(s *scripts) *script { return &s.deliver }
func (c deliverCall) args() []any             { return []any{appKey(c.app), lease.Milliseconds()} }

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
