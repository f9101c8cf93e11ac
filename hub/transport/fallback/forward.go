package fallback

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"channels/hub"
	"channels/protocol"
)

// forwardSilence is how long nothing may come from the owner of a session. It sends
// heartbeats when there is nothing else, and answers messages in messageTimeout and
// answerTimeout.
const forwardSilence = 45 * time.Second

// Errors that end a session at a node which does not have it.
var (
	errGone  = errors.New("the owner does not have the session")
	errLeave = errors.New("this node shuts down")
)

// forward has the owner of a session answer a request. A session whose owner does
// not answer, or does not have it any more, ends.
func (t *Transport) forward(w http.ResponseWriter, r *http.Request, route Route, owner string, client Client) {
	control := http.NewResponseController(w)
	if err := t.buffer(r, control, route); err != nil {
		return // the client has gone, or has sent no body in time
	}
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	y := &relay{t: t, route: route, client: client, ctx: ctx, end: end}
	if route.Kind != Sending {
		if !t.relays.add(y) {
			t.sendAway(w, route.Kind)
			return
		}
		defer t.relays.remove(y)
	}
	t.forwarded.Add(1)
	var err error
	if y.to, err = url.Parse(owner); err != nil {
		t.orphan(w, route, err)
		return
	}
	y.serve(timedWriter{w, control}, r.WithContext(ctx))
}

// buffer reads the messages of a request, so that the owner does not wait for a slow
// client, and they can be sent anew on another connection. Of a body that is too
// large the owner gets enough to see that.
func (t *Transport) buffer(r *http.Request, control *http.ResponseController, route Route) error {
	var body []byte
	if route.Kind == Sending {
		limit := int64(bodyLimit(t.readLimit(route))) + 1
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, limit)); err != nil {
			return err
		}
		_ = control.SetReadDeadline(time.Now().Add(forwardSilence + answerTimeout)) // it had one before
	}
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	r.GetBody = func() (io.ReadCloser, error) {
		if len(body) == 0 {
			return http.NoBody, nil
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	r.Body, _ = r.GetBody() // never fails
	return nil
}

// readLimit is the largest message of a client, in bytes: that of any app when the
// client has not named one.
func (t *Transport) readLimit(route Route) int {
	if route.Key != "" {
		return readLimit(t.appOf(route))
	}
	most := 0
	for _, app := range t.hub.Apps() {
		most = max(most, readLimit(app))
	}
	return most
}

// relay is a request that this node has forwarded.
type relay struct {
	t      *Transport
	route  Route
	to     *url.URL
	client Client
	ctx    context.Context // the request's own
	end    context.CancelCauseFunc

	silence *time.Timer // ends the request
	own     http.Header // those that the owner sends as well would be there twice
}

func (y *relay) serve(w http.ResponseWriter, r *http.Request) {
	y.silence = time.AfterFunc(forwardSilence, func() { y.end(errGone) })
	defer y.silence.Stop()
	y.own = w.Header().Clone()
	clear(w.Header())
	if last, ok := y.own["Connection"]; ok {
		w.Header()["Connection"] = last
	}
	proxy := httputil.ReverseProxy{
		Transport:      y.t.peerTransport,
		FlushInterval:  -1, // at once
		BufferPool:     relayBuffers{},
		ErrorLog:       noLog,
		Rewrite:        y.rewrite,
		ModifyResponse: y.modify,
		ErrorHandler:   y.fail,
	}
	proxy.ServeHTTP(w, r)
}

func (y *relay) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host = y.to.Scheme, y.to.Host
	p.Out.Host = p.In.Host
	y.t.sign(p.Out, y.client)
}

// modify looks at an answer before it is passed on. Nodes that do not share a key
// cannot share sessions either.
func (y *relay) modify(res *http.Response) error {
	switch res.StatusCode {
	case http.StatusGone, http.StatusForbidden:
		return errGone
	case http.StatusOK:
		res.Body = &forwardedBody{ReadCloser: res.Body, relay: y, whole: true}
	}
	return nil
}

// fail answers when the owner does not.
func (y *relay) fail(w http.ResponseWriter, _ *http.Request, err error) {
	if y.clientGone() {
		return
	}
	for name, values := range y.own {
		w.Header()[name] = values
	}
	y.t.orphan(w, y.route, err)
}

// clientGone says whether it was not the owner by which the request has ended.
func (y *relay) clientGone() bool { return errors.Is(context.Cause(y.ctx), context.Canceled) }

// orphan ends a session whose owner does not answer.
func (t *Transport) orphan(w http.ResponseWriter, route Route, err error) {
	t.log.Debug("an HTTP session has lost its node", "error", err)
	if route.Kind == Sending {
		t.orphaned.Add(1)
		unknown(w)
		return
	}
	t.countOrphan()
	_, _ = w.Write(lastLine(route.Kind)) // nothing is left to do
}

func (t *Transport) countOrphan() {
	t.orphaned.Add(1)
	t.hub.CountClose(protocol.Reconnect(), hub.Disconnected)
}

// lastLine closes a session that has lost its node.
func lastLine(kind Kind) []byte {
	f := protocol.Reconnect()
	o := response{kind: kind}
	return o.append(nil, protocol.AppendHTTPClose(nil, f.Code, f.Message))
}

// forwardedBody is an answer that ends with a close frame when the node that gives
// it dies, unless that is in the middle of a line.
type forwardedBody struct {
	io.ReadCloser
	relay *relay
	whole bool   // the last byte that was read ends a line
	dead  bool   // the owner is
	last  []byte // the close frame, as far as it is not read
}

// Read implements io.Reader.
func (f *forwardedBody) Read(b []byte) (int, error) {
	if f.dead {
		n := copy(b, f.last)
		if f.last = f.last[n:]; n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	n, err := f.ReadCloser.Read(b)
	if n > 0 {
		f.relay.silence.Reset(forwardSilence)
		f.whole = b[n-1] == '\n'
	}
	if err != nil && err != io.EOF && f.whole && !f.relay.clientGone() { //nolint:errorlint // readers return it as it is
		f.relay.t.countOrphan()
		f.dead, f.last, err = true, lastLine(f.relay.route.Kind), nil
	}
	return n, err
}

// timedWriter limits how long the client may take for each write.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// WriteHeader implements http.ResponseWriter.
func (w timedWriter) WriteHeader(status int) {
	w.limit()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w timedWriter) Write(b []byte) (int, error) {
	w.limit()
	return w.ResponseWriter.Write(b)
}

func (w timedWriter) limit() {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where there are none, writes do not block
}

// Unwrap is for http.ResponseController.
func (w timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// relayBuffers are small, since each stream keeps one for as long as it lasts.
type relayBuffers struct{}

const relayBufferSize = 4 << 10

var relayPool = sync.Pool{New: func() any { return new([relayBufferSize]byte) }}

// Get implements httputil.BufferPool.
func (relayBuffers) Get() []byte { return relayPool.Get().(*[relayBufferSize]byte)[:] }

// Put implements httputil.BufferPool.
func (relayBuffers) Put(b []byte) { relayPool.Put((*[relayBufferSize]byte)(b)) }

// noLog is for a library that would tell on its own what we tell better.
var noLog = log.New(io.Discard, "", 0)
