package chatapp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/pusher/pusher-http-go/v5"
)

// patience is how long a request waits for the database.
const patience = 8 * time.Second

// Server is the chat's HTTP side, and what runs behind it: the relay that publishes
// changes, the reads that wait to be stored, and who is online.
// All its methods may be called at once.
type Server struct {
	config    Config
	store     *Store
	log       *slog.Logger
	sdk       *pusher.Client
	relay     *relay
	reads     *reads
	online    *online
	hasher    *hasher
	names     *throttle
	addresses *throttle
	pages     *pages
	handler   http.Handler
}

// NewServer makes a server on a store that nobody else uses in this process.
// Changes are published only while Run runs.
func NewServer(c Config, store *Store, log *slog.Logger) (*Server, error) {
	sdk := newSDK(c.Pusher)
	pages, err := newPages(c)
	if err != nil {
		return nil, err
	}
	publisher := &publisher{sdk: sdk, pusher: c.Pusher, store: store}
	s := &Server{
		config: c, store: store, log: log, sdk: sdk, pages: pages,
		relay:     newRelay(store, publisher, log),
		reads:     newReads(store, log),
		online:    newOnline(publisher.occupied, publisher.publishOn, log),
		hasher:    newHasher(max(2, runtime.NumCPU()/2)),
		names:     newThrottle(burstOfName, refill),
		addresses: newThrottle(burstOfAddress, refill),
	}
	store.Silent = c.Transport == TransportPoll
	store.committed = s.relay.scheduler.add
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

// routes maps requests to what they do.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	anybody := func(pattern string, do action) { mux.Handle(pattern, s.answering(do)) }
	account := func(pattern string, do action) { mux.Handle(pattern, s.answering(s.signedIn(do))) }

	anybody("GET /healthz", s.health)
	anybody("GET /api/config", s.getConfig)
	anybody("POST /api/signup", s.signUp)
	anybody("POST /api/signin", s.signIn)
	account("POST /api/signout", s.signOut)
	account("POST /api/signout-everywhere", s.signOutEverywhere)
	account("POST /api/password", s.changePassword)
	account("GET /api/me", s.getMe)
	account("GET /api/users", s.getUsers)
	account("GET /api/online", s.getOnline)

	account("GET /api/invites", s.getInvites)
	account("POST /api/invites", s.postInvite)
	account("DELETE /api/invites/{invite}", s.deleteInvite)

	account("GET /api/rooms", s.getRooms)
	account("POST /api/rooms", s.postRoom)
	account("POST /api/direct", s.postDirect)
	account("GET /api/rooms/{room}", s.getRoom)
	account("POST /api/rooms/{room}/join", s.join)
	account("POST /api/rooms/{room}/leave", s.leave)
	account("POST /api/rooms/{room}/members", s.postMembers)
	account("GET /api/rooms/{room}/messages", s.getMessages)
	account("POST /api/rooms/{room}/messages", s.postMessage)
	account("PATCH /api/rooms/{room}/messages/{message}", s.patchMessage)
	account("DELETE /api/rooms/{room}/messages/{message}", s.deleteMessage)
	account("GET /api/rooms/{room}/changes", s.getChanges)
	account("POST /api/rooms/{room}/read", s.postRead)

	anybody("POST /api/pusher/auth", s.authorizeChannel) // these refuse in their own words
	anybody("POST /api/pusher/user-auth", s.authenticateUser)

	mux.HandleFunc("GET /", s.getPage)
	return s.refusingOthers(mux)
}

// answering carries out an action, and writes its answer.
func (s *Server) answering(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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

// refusingOthers says in our words that a path does not take a method. The mux
// knows which ones it does.
func (s *Server) refusingOthers(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(headerOnly{w}, r)
		refuse(w, r, s.log, errMethod)
	})
}

// headerOnly takes the header of an answer, and nothing else.
type headerOnly struct{ http.ResponseWriter }

func (headerOnly) WriteHeader(int)             {}
func (headerOnly) Write(p []byte) (int, error) { return len(p), nil }

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
