package chatapp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/pusher/pusher-http-go/v5"
)

// patience is how long a request waits for the database.
const patience = 8 * time.Second

// Server is the chat's HTTP side, and the relay that tells browsers of changes.
// All its methods may be called at once.
type Server struct {
	config    Config
	store     *Store
	log       *slog.Logger
	sdk       *pusher.Client
	relay     *relay
	hasher    *hasher
	names     *throttle
	addresses *throttle
	pages     *pages
	handler   http.Handler
}

// NewServer makes a server on a store that nobody else uses in this process.
// Changes are told only while Run runs.
func NewServer(c Config, store *Store, log *slog.Logger) (*Server, error) {
	sdk := newSDK(c.Pusher)
	pages, err := newPages(c)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, store: store, log: log, sdk: sdk, pages: pages,
		relay:     newRelay(store, &publisher{sdk: sdk, pusher: c.Pusher}, log),
		hasher:    newHasher(max(2, runtime.NumCPU()/2)),
		names:     newThrottle(burstOfName, refill),
		addresses: newThrottle(burstOfAddress, refill),
	}
	store.Silent = c.Transport == TransportPoll
	store.committed = s.relay.notify
	s.handler, err = s.guard(s.routes())
	return s, err
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// guard refuses what other sites make a browser send.
func (s *Server) guard(h http.Handler) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	if u := s.config.PublicURL; u != nil {
		if err := protection.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("public URL: %w", err)
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, s.log, errCrossOrigin)
	}))
	protected := protection.Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.pages.harden(w, r)
		protected.ServeHTTP(w, r)
	}), nil
}

// call is one request to the API.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	me    Account // of whoever is signed in, where that is asked for
	token string  // of their session
}

// ctx lasts as long as somebody waits for the answer.
func (c *call) ctx() context.Context { return c.r.Context() }

// decode reads the body.
func (c *call) decode(v any) error { return decodeJSON(c.w, c.r, v) }

// room is the id in the path.
func (c *call) room() string { return c.r.PathValue("room") }

// action answers a call.
type action func(*call) (answer, error)

// methods are the actions of one path.
type methods map[string]action

// routes maps paths to what they do.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, m := range map[string]methods{
		"/api/config":             {"GET": s.getConfig},
		"/api/signup":             {"POST": s.signUp},
		"/api/signin":             {"POST": s.signIn},
		"/api/signout":            {"POST": s.signedIn(s.signOut)},
		"/api/signout-everywhere": {"POST": s.signedIn(s.signOutEverywhere)},
		"/api/password":           {"POST": s.signedIn(s.changePassword)},
		"/api/me":                 {"GET": s.signedIn(s.getMe)},
		"/api/users":              {"GET": s.signedIn(s.getUsers)},

		"/api/invites":          {"GET": s.signedIn(s.getInvites), "POST": s.signedIn(s.postInvite)},
		"/api/invites/{invite}": {"DELETE": s.signedIn(s.deleteInvite)},

		"/api/rooms":                           {"GET": s.signedIn(s.getRooms), "POST": s.signedIn(s.postRoom)},
		"/api/direct":                          {"POST": s.signedIn(s.postDirect)},
		"/api/rooms/{room}":                    {"GET": s.signedIn(s.getRoom)},
		"/api/rooms/{room}/join":               {"POST": s.signedIn(s.join)},
		"/api/rooms/{room}/leave":              {"POST": s.signedIn(s.leave)},
		"/api/rooms/{room}/members":            {"POST": s.signedIn(s.postMembers)},
		"/api/rooms/{room}/messages":           {"GET": s.signedIn(s.getMessages), "POST": s.signedIn(s.postMessage)},
		"/api/rooms/{room}/changes":            {"GET": s.signedIn(s.getChanges)},
		"/api/rooms/{room}/messages/{message}": {"PATCH": s.signedIn(s.patchMessage), "DELETE": s.signedIn(s.deleteMessage)},
		"/api/rooms/{room}/read":               {"POST": s.signedIn(s.postRead)},

		"/api/pusher/auth":      {"POST": s.authorizeChannel},
		"/api/pusher/user-auth": {"POST": s.authenticateUser},

		"/healthz": {"GET": s.health},
	} {
		mux.Handle(path, s.dispatch(m))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) { refuse(w, r, s.log, errNotFound) })
	mux.Handle("/", s.dispatchPages())
	return mux
}

// dispatch carries out the action of a request's method.
func (s *Server) dispatch(m methods) http.Handler {
	var allowed []string
	for _, name := range []string{"GET", "HEAD", "POST", "PATCH", "DELETE"} {
		if m[name] != nil || name == "HEAD" && m["GET"] != nil {
			allowed = append(allowed, name)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == "HEAD" {
			method = "GET"
		}
		do := m[method]
		if do == nil {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			refuse(w, r, s.log, errMethod)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		a, err := do(&call{w: w, r: r.WithContext(ctx)})
		if err != nil {
			refuse(w, r, s.log, err)
			return
		}
		a.write(w)
	})
}

// signedIn lets only those through who have a session.
func (s *Server) signedIn(do action) action {
	return func(c *call) (answer, error) {
		if err := s.identify(c); err != nil {
			return answer{}, err
		}
		return do(c)
	}
}

// health tells whether the chat can work: 503 while its database is away.
func (s *Server) health(c *call) (answer, error) {
	return done(s.store.Ping(c.ctx()))
}
