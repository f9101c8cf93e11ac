package api

import (
	"errors"
	"net/http"

	"channels/hub"
	"channels/hub/refusals"
	"channels/protocol"
)

// statusClosedRequest says that the client hung up before the answer; nobody is
// likely to read it. The number is nginx's.
const statusClosedRequest = 499

// retryAfter is what a refused publisher should wait, in seconds.
const retryAfter = "1"

// apiError is an answer that is not a success. Every SDK shows its text.
func apiError(status int, text string) error {
	return protocol.RequestError{Status: status, Text: text}
}

// answerError answers with plain text, which SDKs show as it is.
func (a *API) answerError(w http.ResponseWriter, r *http.Request, err error) {
	answer := a.errorAnswer(r, err)
	switch answer.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", retryAfter)
	case http.StatusUnauthorized, http.StatusRequestEntityTooLarge:
		abandonBody(w, r)
	}
	a.responses.count(answer.Status)
	a.tellRefused(r, answer)
	http.Error(w, answer.Text, answer.Status)
}

// tellRefused notes an answer that is not a success, with the app that the key names.
func (a *API) tellRefused(r *http.Request, answer protocol.RequestError) {
	refused := refusals.Refusal{
		Kind: refusals.Request, Code: answer.Status, Text: answer.Text,
		Address: r.RemoteAddr, Call: r.Method + " " + r.URL.Path,
	}
	req := protocol.Request{RawQuery: r.URL.RawQuery}
	if app := a.hub.AppByKey(req.AuthKey()); app != nil {
		refused.App = app.ID
	}
	a.refusals.Tell(refused)
}

// errorAnswer returns the answer for any error.
func (a *API) errorAnswer(r *http.Request, err error) protocol.RequestError {
	answer := protocol.RequestError{Status: http.StatusInternalServerError, Text: "Internal error"}
	switch {
	case errors.As(err, &answer):
	case r.Context().Err() != nil:
		answer = protocol.RequestError{Status: statusClosedRequest, Text: "The client closed the request"}
	case errors.Is(err, hub.ErrUnavailable):
		answer = protocol.RequestError{Status: http.StatusServiceUnavailable, Text: "Try again later: " + err.Error()}
	default:
		a.log.Error("api request", "path", r.URL.Path, "error", err)
	}
	return answer
}
