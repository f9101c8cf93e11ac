package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"channels/hub"
	"channels/hub/refusals"
	"channels/protocol"
)

// Options configure an API. Zero values take the defaults named.
type Options struct {
	Hub *hub.Hub
	Log *slog.Logger // nil = no log

	Refusals *refusals.Log // told which requests are refused; nil = nobody is

	MaxRequestBytes   int // bound of a request's body; 0 = what the app's limits allow at most
	RequestsPerSecond int // requests of an app; 0 = no limit
}

// API answers the signed requests below /apps/. Its methods may be called from any
// goroutine.
type API struct {
	hub      *hub.Hub
	log      *slog.Logger
	refusals *refusals.Log
	maxBody  int
	buffers  *buffers

	requestsPerSecond int

	twins     twins
	traffic   sync.Map // *appTraffic by the app's id
	responses responses
}

var _ http.Handler = (*API)(nil)

// New returns an API for a running hub.
func New(o Options) *API {
	a := &API{
		hub:               o.Hub,
		log:               o.Log,
		refusals:          o.Refusals,
		maxBody:           o.MaxRequestBytes,
		buffers:           newBuffers(),
		requestsPerSecond: o.RequestsPerSecond,
		responses:         newResponses(),
	}
	if a.refusals == nil {
		a.refusals = refusals.New(slog.New(slog.DiscardHandler))
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a
}

// call is one request to the REST API, read and authenticated.
type call struct {
	app    *hub.App
	method string
	path   string // below /apps/{id}, escaped, without a leading slash
	params protocol.Params
	body   []byte
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf := a.buffers.get()
	defer a.buffers.put(buf)
	answer, err := a.answer(w, r, buf)
	if err != nil {
		a.answerError(w, r, err)
		return
	}
	a.responses.count(http.StatusOK)
	w.Header()["Content-Type"] = contentTypeJSON
	_, _ = w.Write(answer)
}

var contentTypeJSON = []string{"application/json"}

// answer returns the JSON of a successful call. It reads the body into buf, and only
// when the head of the request has passed all checks.
func (a *API) answer(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) ([]byte, error) {
	id, path := splitPath(r.URL.EscapedPath())
	req := protocol.Request{
		Method: r.Method, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery,
	}
	app := a.hub.AppByKey(req.AuthKey())
	if err := a.authenticate(&req, app, id); err != nil {
		return nil, err
	}
	if err := a.checkRequestRate(app); err != nil {
		return nil, err
	}
	body, err := a.readBody(w, r, &req, app, buf)
	if err != nil {
		return nil, err
	}
	c := &call{app: app, method: r.Method, path: path, params: req.Params(), body: body}
	answer, err := a.dispatch(r, c)
	a.trafficOf(app).count(len(body), len(answer))
	return answer, err
}

// splitPath returns the app's id, decoded, and the rest of the path, as it is.
// pusher-http-python leaves /apps/{id} out when it terminates a user's connections:
// then the id is empty, and the key alone names the app.
func splitPath(escaped string) (id, below string) {
	rest, ok := strings.CutPrefix(escaped, "/apps/")
	if !ok {
		return "", strings.TrimPrefix(escaped, "/")
	}
	id, below, _ = strings.Cut(rest, "/")
	if decoded, err := url.PathUnescape(id); err == nil {
		id = decoded
	}
	return id, below
}

// authenticate checks in the order that the hosted service's answers imply.
func (a *API) authenticate(req *protocol.Request, app *hub.App, id string) error {
	switch key := req.AuthKey(); {
	case key == "":
		return apiError(http.StatusUnauthorized, "Missing parameter: auth_key")
	case app == nil:
		return apiError(http.StatusUnauthorized, "Unknown auth_key")
	}
	now := time.Now()
	if err := app.CheckSecrets(func(secret string) error { return req.Verify(secret, now) }); err != nil {
		return err
	}
	keyOnly := strings.HasPrefix(req.Path, "/users/")
	switch other := a.hub.AppByID(id); {
	case keyOnly && !app.Disabled:
	case other == nil && !keyOnly:
		return apiError(http.StatusNotFound, "Unknown app id "+strconv.Quote(id))
	case other != app && !keyOnly:
		return apiError(http.StatusUnauthorized, "The auth_key does not belong to this app id")
	case app.Disabled:
		return apiError(http.StatusForbidden, "Application disabled")
	}
	return nil
}

// dispatch calls the endpoint that the path names.
func (a *API) dispatch(r *http.Request, c *call) ([]byte, error) {
	switch c.path {
	case "events":
		return a.only(http.MethodPost, a.postEvents)(r, c)
	case "batch_events":
		return a.only(http.MethodPost, a.postBatch)(r, c)
	case "channels":
		return a.only(http.MethodGet, a.getChannels)(r, c)
	}
	switch parts := strings.Split(c.path, "/"); {
	case len(parts) == 2 && parts[0] == "channels":
		return a.only(http.MethodGet, a.getChannel)(r, c)
	case len(parts) == 3 && parts[0] == "channels" && parts[2] == "users":
		return a.only(http.MethodGet, a.getUsers)(r, c)
	case (len(parts) == 3 || len(parts) == 4) && parts[0] == "channels" && parts[2] == "events":
		return a.history(r, c)
	case len(parts) == 3 && parts[0] == "users" && parts[2] == "terminate_connections":
		return a.only(http.MethodPost, a.terminateUser)(r, c)
	}
	return nil, apiError(http.StatusNotFound, "Not found: "+r.URL.Path)
}

type endpoint func(*http.Request, *call) ([]byte, error)

func (a *API) only(method string, e endpoint) endpoint {
	return func(r *http.Request, c *call) ([]byte, error) {
		if c.method != method {
			return nil, apiError(http.StatusMethodNotAllowed, "Only "+method+" is supported here")
		}
		return e(r, c)
	}
}

func encode(v any) ([]byte, error) { return json.Marshal(v) }
