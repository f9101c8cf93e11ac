package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"channels/hub"
	"channels/protocol"
)

// bodyLimit is the size of the largest body that the app can need, in bytes: a full
// batch of the largest events, every character of them escaped.
func (a *API) bodyLimit(app *hub.App) int64 {
	if a.maxBody > 0 {
		return int64(a.maxBody)
	}
	perEvent := 6*app.MaxEventBytes + 8<<10
	return int64(max(app.MaxBatch*perEvent, perEvent+app.MaxChannelsPerEvent*256))
}

// readBody reads the body of a request whose signature is right, and compares it
// with the digest that was signed.
func (a *API) readBody(w http.ResponseWriter, r *http.Request, req *protocol.Request, app *hub.App, buf *bytes.Buffer) ([]byte, error) {
	limit := a.bodyLimit(app)
	if r.ContentLength > limit {
		return nil, bodyTooLarge(limit)
	}
	body := http.MaxBytesReader(w, r.Body, limit)
	if !req.CoversBody() {
		body = io.NopCloser(io.LimitReader(body, 1)) // the first byte is enough to refuse it
	}
	_, err := buf.ReadFrom(body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, bodyTooLarge(limit)
	}
	if err != nil {
		return nil, apiError(http.StatusBadRequest, "The request body could not be read")
	}
	return buf.Bytes(), req.CheckBody(buf.Bytes())
}

func bodyTooLarge(limit int64) error {
	return apiError(http.StatusRequestEntityTooLarge,
		"The request body exceeds the allowed maximum ("+strconv.FormatInt(limit, 10)+" bytes)")
}

// unreadTimeout is how long a client may go on sending a body that nobody reads,
// once its request has been refused.
const unreadTimeout = 5 * time.Second

// abandonBody has the answer sent at once and the connection closed after it. Without
// that, net/http first reads a good part of the body, as slowly as the client sends
// it.
func abandonBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	w.Header().Set("Connection", "close")
	// An error says that this writer has no connection, as in tests.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadTimeout))
}
