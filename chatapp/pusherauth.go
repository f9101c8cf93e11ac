package chatapp

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"unicode/utf8"
)

// socketIDForm is what a server gives out as the id of a socket. Anything else
// must not be signed: with a colon in it, a signature would fit other things.
var socketIDForm = regexp.MustCompile(`^[0-9]{1,20}\.[0-9]{1,20}$`)

// errForbidden is the one refusal of these endpoints: it does not tell whether
// there is such a room.
var errForbidden = forbidden("forbidden", "You may not do that.")

// channelChanged is the answer to who asks for a channel by an old name.
type channelChanged struct {
	faultBody
	Channel string `json:"channel"`
}

// authorizeChannel signs a subscription. All channels are presence channels that
// are signed without saying who it is, so that the server takes the user that the
// connection has signed in as: whoever closes this user's connections ends all
// that they are subscribed to.
func (s *Server) authorizeChannel(c *call) (answer, error) {
	form, err := socketForm(c, "channel_name")
	if err != nil {
		return answer{}, err
	}
	if err := s.identifyForSocket(c); err != nil {
		return answer{}, err
	}
	channel, err := s.store.maySubscribe(c.ctx(), c.token, form.Get("channel_name"))
	if err != nil {
		return answer{}, err
	}
	if channel != form.Get("channel_name") {
		return answer{http.StatusConflict, channelChanged{faultBody{"The channel has another name by now.", "channel_changed"}, channel}}, nil
	}
	signed, err := s.sdk.AuthorizePrivateChannel([]byte(form.Encode()))
	return answer{http.StatusOK, json.RawMessage(signed)}, err
}

// authenticateUser signs a connection in as a user.
func (s *Server) authenticateUser(c *call) (answer, error) {
	form, err := socketForm(c)
	if err != nil {
		return answer{}, err
	}
	if err := s.identifyForSocket(c); err != nil {
		return answer{}, err
	}
	signed, err := s.sdk.AuthenticateUser([]byte(form.Encode()), map[string]any{
		"id":        c.me.ID,
		"user_info": map[string]string{"name": c.me.Name},
	})
	return answer{http.StatusOK, json.RawMessage(signed)}, err
}

func (s *Server) identifyForSocket(c *call) error {
	err := s.identify(c)
	if errors.Is(err, errNotSignedIn) {
		return errForbidden
	}
	return err
}

// socketForm reads a form with the id of a socket and further fields, each
// exactly once. It returns these fields alone.
func socketForm(c *call, further ...string) (url.Values, error) {
	if !isMediaType(c.r, "application/x-www-form-urlencoded") {
		return nil, errBadForm
	}
	body, err := readBody(c.w, c.r)
	if errors.Is(err, errTooLarge) {
		return nil, err
	}
	all, parseErr := url.ParseQuery(string(body))
	if err != nil || parseErr != nil {
		return nil, errBadForm
	}
	form := url.Values{}
	for _, name := range append(further, "socket_id") {
		if len(all[name]) != 1 || !utf8.ValidString(all.Get(name)) {
			if name == "socket_id" && len(all[name]) == 0 {
				return nil, errBadSocket
			}
			return nil, errBadForm
		}
		form.Set(name, all.Get(name))
	}
	if !socketIDForm.MatchString(form.Get("socket_id")) {
		return nil, errBadSocket
	}
	return form, nil
}

var errBadSocket = badRequest("bad_socket_id", "socket_id is not the id of a socket.")
