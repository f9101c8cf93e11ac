package api

import (
	"net/http"
	"net/url"
	"strings"
)

// terminateUser closes every connection that is signed in as the user.
func (a *API) terminateUser(r *http.Request, c *call) ([]byte, error) {
	escaped := strings.Split(c.path, "/")[1]
	id, err := url.PathUnescape(escaped)
	if err != nil || id == "" {
		return nil, apiError(http.StatusBadRequest, "Invalid user id: "+escaped)
	}
	if err := a.hub.Terminate(r.Context(), c.app, id); err != nil {
		return nil, err
	}
	return empty, nil
}
