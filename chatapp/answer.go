package chatapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// maxBody is how many bytes a request may have.
const maxBody = 64 << 10

// Faults of requests as such.
var (
	errTooLarge    = Fault{http.StatusRequestEntityTooLarge, "too_large", "The request is larger than 64 KiB."}
	errNotJSON     = Fault{http.StatusUnsupportedMediaType, "not_json", "Send JSON, with Content-Type: application/json."}
	errBadJSON     = badRequest("bad_json", "The request is not the JSON that is expected here.")
	errUTF8        = badRequest("invalid_utf8", "The request is not valid UTF-8.")
	errBadForm     = badRequest("bad_form", "The request is not the form that is expected here.")
	errMethod      = Fault{http.StatusMethodNotAllowed, "method_not_allowed", "This address does not take that method."}
	errNotFound    = notFound("not_found", "There is nothing at this address.")
	errCrossOrigin = forbidden("cross_origin", "This request comes from another site.")
	errInternal    = Fault{http.StatusInternalServerError, "internal", "Something went wrong here; it is in the log."}
	errStoreAway   = Fault{http.StatusServiceUnavailable, "store_unavailable", "The database is away just now; try again in a moment."}
)

// answer is what a request gets when nothing went wrong.
type answer struct {
	status int
	body   any
}

func ok(body any) (answer, error)      { return answer{http.StatusOK, body}, nil }
func created(body any) (answer, error) { return answer{http.StatusCreated, body}, nil }

// done is the answer that says nothing more.
func done(err error) (answer, error) { return answer{http.StatusOK, struct{}{}}, err }

// write sends an answer as JSON. What goes wrong now is the client's going away.
func (a answer) write(w http.ResponseWriter) {
	data, err := encode(a.body)
	if err != nil {
		a.status, data = http.StatusInternalServerError, `{"error":"","code":"internal"}`
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, data)
}

// faultBody is what every refusal carries.
type faultBody struct {
	Error string `json:"error"`
	Code  string `json:"code"`
}

// refuse answers with an error, and logs what is not the caller's fault.
func refuse(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	var fault Fault
	switch {
	case errors.As(err, &fault):
	case errors.Is(err, errStore):
		fault = errStoreAway
		if r.Context().Err() == nil {
			log.Warn("the store failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
	default:
		fault = errInternal
		log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	switch fault.Status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(int(refill.Seconds())))
	}
	answer{fault.Status, faultBody{fault.Text, fault.Code}}.write(w)
}

// readBody returns a request's body.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case err != nil: // cut off: nobody waits for this answer
		return nil, errBadJSON
	}
	return body, nil
}

// isMediaType tells whether a request's body says that it is of this type.
func isMediaType(r *http.Request, want string) bool {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && got == want
}

// decodeJSON reads a request's body into v.
func decodeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if !isMediaType(r, "application/json") {
		return errNotJSON
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	return decodeBody(body, v)
}

func decodeBody(body []byte, v any) error {
	if !utf8.Valid(body) { // the decoder would store replacement characters
		return errUTF8
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, v) != nil {
		return errBadJSON
	}
	return nil
}

// decodeNothing reads the body of a request that needs none: no body, or an
// object in JSON.
func decodeNothing(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r)
	if err != nil || len(body) == 0 {
		return err
	}
	if !isMediaType(r, "application/json") {
		return errNotJSON
	}
	return decodeBody(body, &struct{}{})
}
