package fallback

import "strings"

// Kind is what a request is for; its name ends the path.
type Kind string

// Kinds of requests.
const (
	Streaming Kind = "xhr_streaming" // brings messages for as long as it lasts
	Polling   Kind = "xhr"           // brings the messages that there are, or the next one
	Sending   Kind = "xhr_send"      // takes messages
)

// Route is what the path of a request says.
type Route struct {
	Key     string // of the app
	Session string // two segments, which the client has chosen
	Kind    Kind
}

// prefix stands before the path with pusher-js's default settings.
const prefix = "/pusher"

// ParsePath reads [/pusher]/app/{key}/{server}/{session}/{kind}.
func ParsePath(path string) (Route, bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(path, prefix), "/app/")
	if !ok {
		return Route{}, false
	}
	part := strings.Split(rest, "/")
	if len(part) != 4 || part[0] == "" {
		return Route{}, false
	}
	r := Route{Key: part[0], Session: part[1] + "/" + part[2], Kind: Kind(part[3])}
	switch r.Kind {
	case Streaming, Polling, Sending:
		return r, isServer(part[1]) && isSession(part[2])
	}
	return Route{}, false
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
