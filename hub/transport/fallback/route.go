package fallback

import (
	"slices"
	"strings"
)

// Kind is what a request is for; its name ends the path.
type Kind string

// Kinds of requests.
const (
	Streaming Kind = "xhr_streaming" // brings messages for as long as it lasts
	Polling   Kind = "xhr"           // brings the messages that there are, or the next one
	Sending   Kind = "xhr_send"      // takes messages

	// Of SockJS clients only.
	EventSource Kind = "eventsource" // is Streaming in the form of an EventSource
	Info        Kind = "info"        // tells what there is
)

// streams says whether a request of the kind brings messages for as long as it
// lasts.
func (k Kind) streams() bool { return k == Streaming || k == EventSource }

// Route is what the path of a request says.
type Route struct {
	Key     string // of the app; "" = a SockJS client, whose first message names it
	Session string // two segments, which the client has chosen
	Kind    Kind
}

// prefix stands before the path with pusher-js's default settings.
const prefix = "/pusher"

// ParsePath reads [/pusher]/app/{key}/{server}/{session}/{kind}, and of SockJS
// clients /pusher/{server}/{session}/{kind} and /pusher/info.
func ParsePath(path string) (Route, bool) {
	below, prefixed := strings.CutPrefix(path, prefix)
	if !prefixed && !strings.HasPrefix(path, "/app/") {
		return Route{}, false // most requests are of the REST API
	}
	if prefixed && below == "/info" {
		return Route{Kind: Info}, true
	}
	part := strings.Split(below, "/")
	if part[0] != "" {
		return Route{}, false
	}
	switch part = part[1:]; {
	case len(part) == 5 && part[0] == "app" && part[1] != "":
		return newRoute(part[1], part[2:], Streaming, Polling, Sending)
	case len(part) == 3 && prefixed:
		return newRoute("", part, Streaming, Polling, Sending, EventSource)
	}
	return Route{}, false
}

// newRoute reads server, session and kind.
func newRoute(key string, part []string, kinds ...Kind) (Route, bool) {
	r := Route{Key: key, Session: part[0] + "/" + part[1], Kind: Kind(part[2])}
	if !isServer(part[0]) || !isSession(part[1]) || !slices.Contains(kinds, r.Kind) {
		return Route{}, false
	}
	return r, true
}

// Lengths of what clients choose. pusher-js has up to three digits and eight
// characters, so that a session is as hard to guess as 50 bits.
const (
	maxServer  = 16
	minSession = 8
	maxSession = 64
)

func isServer(s string) bool { return len(s) >= 1 && len(s) <= maxServer && isToken(s) }

func isSession(s string) bool {
	return len(s) >= minSession && len(s) <= maxSession && isToken(s)
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
