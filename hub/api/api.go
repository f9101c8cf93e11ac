package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"channels/hub"
	"channels/protocol"
)

// Options configure an API. Zero values take the defaults named.
type Options struct {
	Hub *hub.Hub
	Log *slog.Logger

	MaxRequestBytes   int // bound of a request's body; 0 = what the app's limits allow at most
	RequestsPerSecond int // requests of an app; 0 = no limit
}

// API answers the signed requests below /apps/.
type API struct {
	hub     *hub.Hub
	log     *slog.Logger
	maxBody int
	buffers *buffers

	requestsPerSecond int

	traffic   map[*hub.App]*appTraffic
	responses responses
}

var _ http.Handler = (*API)(nil)

// New returns an API for a running hub.
func New(o Options) *API {
	a := &API{
		hub:               o.Hub,
		log:               o.Log,
		maxBody:           o.MaxRequestBytes,
		buffers:           newBuffers(),
		requestsPerSecond: o.RequestsPerSecond,
		traffic:           newTraffic(o.Hub.Apps(), o.RequestsPerSecond),
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
	path   string // below /apps/{id}, without a leading slash
	params protocol.Params
	body   []byte
}

// apiError is an answer that is not a success. Its text is shown by every SDK.
func apiError(status int, text string) error {
	return protocol.RequestError{Status: status, Text: text}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf := a.buffers.get()
	defer a.buffers.put(buf)
	answer, err := a.answer(w, r, buf)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	a.responses.count(http.StatusOK)
	w.Header()["Content-Type"] = contentTypeJSON
	_, _ = w.Write(answer)
}

var contentTypeJSON = []string{"application/json"}

// answer returns the JSON of a successful call.
func (a *API) answer(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) ([]byte, error) {
	id, path := splitPath(r.URL.EscapedPath())
	req := protocol.Request{
		Method: r.Method, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery,
	}
	app := a.hub.AppByKey(req.AuthKey())
	if err := readBody(w, r, buf, a.bodyLimit(app)); err != nil {
		return nil, err
	}
	req.Body = buf.Bytes()
	if err := a.authenticate(&req, app, id); err != nil {
		return nil, err
	}
	if err := a.checkRequestRate(app); err != nil {
		return nil, err
	}
	c := &call{app: app, method: r.Method, path: path, params: req.Params(), body: req.Body}
	answer, err := a.dispatch(r, c)
	a.traffic[app].count(len(req.Body), len(answer))
	return answer, err
}

func (t *appTraffic) count(received, sent int) {
	t.calls.Add(1)
	t.received.Add(uint64(received))
	t.sent.Add(uint64(sent))
}

// splitPath returns the app's id and what is below it. pusher-http-python leaves
// /apps/{id} out when it terminates a user's connections: then the key alone
// says which app is meant, and the id is empty.
func splitPath(path string) (id, below string) {
	if rest, ok := strings.CutPrefix(path, "/apps/"); ok {
		id, below, _ = strings.Cut(rest, "/")
		return id, below
	}
	return "", strings.TrimPrefix(path, "/")
}

// authenticate checks in the order in which the hosted service's answers imply.
func (a *API) authenticate(req *protocol.Request, app *hub.App, id string) error {
	switch key := req.AuthKey(); {
	case key == "":
		return apiError(http.StatusUnauthorized, "Missing parameter: auth_key")
	case app == nil:
		return apiError(http.StatusUnauthorized, "Unknown auth_key")
	}
	if err := req.Verify(app.Secret, time.Now()); err != nil {
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

// dispatch finds the endpoint.
func (a *API) dispatch(r *http.Request, c *call) ([]byte, error) {
	parts := strings.Split(c.path, "/")
	switch {
	case c.path == "events":
		return a.only(http.MethodPost, a.postEvents)(r, c)
	case c.path == "batch_events":
		return a.only(http.MethodPost, a.postBatch)(r, c)
	case c.path == "channels":
		return a.only(http.MethodGet, a.getChannels)(r, c)
	case len(parts) == 2 && parts[0] == "channels":
		return a.only(http.MethodGet, a.getChannel)(r, c)
	case len(parts) == 3 && parts[0] == "channels" && parts[2] == "users":
		return a.only(http.MethodGet, a.getUsers)(r, c)
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

// bodyLimit is the largest body read, in bytes: a full batch of the largest
// events, every character of them escaped.
func (a *API) bodyLimit(app *hub.App) int64 {
	if a.maxBody > 0 {
		return int64(a.maxBody)
	}
	if app == nil {
		return 64 << 10
	}
	perEvent := 6*app.MaxEventBytes + 8<<10
	return int64(max(app.MaxBatch*perEvent, perEvent+app.MaxChannelsPerEvent*256))
}

func readBody(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer, limit int64) error {
	if r.ContentLength == 0 {
		return nil
	}
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return apiError(http.StatusRequestEntityTooLarge,
			"The request body exceeds the allowed maximum ("+strconv.FormatInt(limit, 10)+" bytes)")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return apiError(http.StatusBadRequest, "The request body could not be read")
	}
	return nil
}

// refuse answers with plain text, which SDKs show as it is.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusInternalServerError, "Internal error"
	if re := (protocol.RequestError{}); errors.As(err, &re) {
		status, text = re.Status, re.Text
	} else if unavailable(err) {
		status, text = http.StatusServiceUnavailable, "Not published: "+err.Error()
		w.Header().Set("Retry-After", "1")
	} else {
		a.log.Error("api request", "path", r.URL.Path, "error", err)
	}
	a.responses.count(status)
	http.Error(w, text, status)
}

func unavailable(err error) bool {
	return errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrOverloaded)
}

func encode(v any) ([]byte, error) { return json.Marshal(v) }
