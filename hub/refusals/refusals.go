// Package refusals tells the operator what clients and publishers asked for and did
// not get: in the log, and as counts.
package refusals

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Kind is what was asked for.
type Kind string

// Kinds of what is refused.
const (
	Handshake   Kind = "handshake"    // to connect
	Subscribe   Kind = "subscribe"    // a channel
	Signin      Kind = "signin"       // a user
	ClientEvent Kind = "client_event" // to publish on a socket
	Message     Kind = "message"      // any other message of a client, or one that cannot be read
	Request     Kind = "request"      // a call of the REST API
)

// Kinds are all of them.
var Kinds = [...]Kind{Handshake, Subscribe, Signin, ClientEvent, Message, Request}

// Refusal is one thing that was not granted. What is unknown is empty.
type Refusal struct {
	Kind    Kind
	App     string // the app's id
	Code    int    // of the protocol, or an HTTP status; 0 = the answer has none
	Text    string // what the client was told, with what was to be signed where a signature is wrong
	Socket  string // the socket's id
	Address string // of the client, as trusted proxies tell it
	Call    string // method and path of a request
}

// attributes are the refusal's part of a log line.
func (r Refusal) attributes() []slog.Attr {
	all := []slog.Attr{slog.String("kind", string(r.Kind))}
	for _, each := range []slog.Attr{
		slog.String("app", r.App), slog.String("socket", r.Socket),
		slog.String("client", r.Address), slog.String("call", r.Call),
	} {
		if each.Value.String() != "" {
			all = append(all, each)
		}
	}
	if r.Code != 0 {
		all = append(all, slog.Int("code", r.Code))
	}
	return append(all, slog.String("told", r.Text))
}

// window is how long, after a refusal was logged at info, others of its kind and app
// are logged at debug only.
const window = time.Minute

// maxKeys bounds how many counts there are: ids come from the settings, but those may
// change while the server runs.
const maxKeys = 10_000

// Log logs refusals and counts them. Its methods may be called from any goroutine.
type Log struct {
	log *slog.Logger

	mu      sync.Mutex
	counts  map[Key]uint64
	windows map[source]*quiet
}

// Key is what refusals are counted by.
type Key struct {
	App  string
	Kind Kind
	Code int
}

// source is whose refusals share a window.
type source struct {
	app  string
	kind Kind
}

// quiet is a window.
type quiet struct {
	since  time.Time
	hidden int // refusals that were not logged at info
}

// New returns a Log that writes to log.
func New(log *slog.Logger) *Log {
	return &Log{log: log, counts: make(map[Key]uint64), windows: make(map[source]*quiet)}
}

// Tell logs a refusal, at info if it is the first of its kind and app in a minute,
// with how many there were since the last such line; else at debug.
func (l *Log) Tell(r Refusal) {
	loud, before := l.note(r)
	level := slog.LevelDebug
	if loud {
		level = slog.LevelInfo
	}
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	attributes := r.attributes()
	if before > 0 {
		attributes = append(attributes, slog.Int("others_since", before))
	}
	l.log.LogAttrs(ctx, level, "refused", attributes...)
}

// note counts a refusal, and says whether it is to be seen at info, and how many were
// not.
func (l *Log) note(r Refusal) (loud bool, before int) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	key := Key{r.App, r.Kind, r.Code}
	if _, known := l.counts[key]; !known && len(l.counts) >= maxKeys {
		key.App = ""
	}
	l.counts[key]++
	of := source{key.App, r.Kind}
	w := l.windows[of]
	if w != nil && now.Sub(w.since) < window {
		w.hidden++
		return false, 0
	}
	if w != nil {
		before = w.hidden
	}
	l.windows[of] = &quiet{since: now}
	return true, before
}

// Counts returns how many refusals there were since the start.
func (l *Log) Counts() map[Key]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make(map[Key]uint64, len(l.counts))
	for key, n := range l.counts {
		counts[key] = n
	}
	return counts
}
