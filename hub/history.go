package hub

import (
	"context"
	"strings"
	"time"
)

// History says which events of an app are kept, so that they can be read again. The zero
// value keeps none.
type History struct {
	Events int           // of a channel, the newest; 0 = no channel has a history
	Age    time.Duration // of an event
	Bytes  int           // of a channel; the newest event is kept in any case
	Total  int           // bytes of all channels of the app; over that its events are refused
	Prefix string        // of the channels that have a history
}

// Of returns the settings for a channel, nil when it has no history.
func (h *History) Of(channel string) *History {
	if h.Events == 0 || !strings.HasPrefix(channel, h.Prefix) {
		return nil
	}
	return h
}

// HistorySlack is for how long after an event has become too old it is still known that
// there was one.
const HistorySlack = time.Minute

// ErrHistoryFull is what a Publish is answered when the app's histories take as much as
// they may. It is an ErrUnavailable: the event reaches nobody.
var ErrHistoryFull error = historyFull{}

type historyFull struct{}

// Error implements error.
func (historyFull) Error() string { return "the app's histories take as many bytes as they may" }

// Is says that the event reaches nobody.
func (historyFull) Is(target error) bool { return target == ErrUnavailable }

// PastEvent is an event of a channel's history.
type PastEvent struct {
	Seq     uint64 // its number in the topic: when it was published, in µs since 1970, by the State's clock
	Frame   []byte // as it was sent; nobody changes it
	Exclude string // socket id that did not get it; "" = none
}

// Span asks for a part of a channel's history.
type Span struct {
	After  uint64 // the events behind this number; 0 = all
	Most   int    // how many at most
	Newest bool   // the newest of them, newest first; else the oldest, oldest first
}

// Past is a part of a channel's history.
type Past struct {
	Events []PastEvent
	More   bool // there are more than were asked for
	// Gone is the last number that is not there any more, of those that the channel ever had,
	// as far as is known. Whoever has come so far can be given all that has come since.
	Gone uint64
}

// Whole says whether no event is missing behind a number.
func (p *Past) Whole(after uint64) bool { return after >= p.Gone }

// Past reads a channel's history.
func (h *Hub) Past(ctx context.Context, app *App, channel string, span Span) (Past, error) {
	return h.state.Past(ctx, Topic{App: app.ID, Channel: channel}, app.History.Age, span)
}

// Erase removes one event from a channel's history, or all of them, and returns how many
// it has removed. Whoever has not got them by then has missed them.
func (h *Hub) Erase(ctx context.Context, app *App, channel string, seq uint64) (int, error) {
	return h.state.Erase(ctx, Topic{App: app.ID, Channel: channel}, seq)
}
