package chatapp

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// socketIDForm is what a server gives out as the id of a socket. Anything else
// must not be signed: with a colon in it, a signature would fit other things.
var socketIDForm = regexp.MustCompile(`^[0-9]{1,20}\.[0-9]{1,20}$`)

// errForbidden is the one refusal of these endpoints: it does not tell whether
// there is such a room.
var errForbidden = forbidden("forbidden", "You may not do that.")

// authorizeChannel signs a subscription. Channels of rooms are presence channels
// that are signed without saying who it is, so that the server takes the user
// that the connection has signed in as: whoever ends this user's connections
// ends all that they follow.
func (s *Server) authorizeChannel(c *call) (answer, error) {
	form, err := socketForm(c, "channel_name")
	if err != nil {
		return answer{}, err
	}
	if err := s.identifyForSocket(c); err != nil {
		return answer{}, err
	}
	may, err := s.mayFollow(c, form.Get("channel_name"))
	if err != nil {
		return answer{}, err
	}
	if !may {
		return answer{}, errForbidden
	}
	signed, err := s.sdk.AuthorizePrivateChannel([]byte(form.Encode()))
	return answer{http.StatusOK, json.RawMessage(signed)}, err
}

func (s *Server) mayFollow(c *call, channel string) (bool, error) {
	if room, ok := strings.CutPrefix(channel, roomChannel("")); ok {
		return s.store.isMember(c.ctx(), c.me.ID, room)
	}
	return channel == userChannel(c.me.ID), nil
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
	watchlist, err := s.store.watchlist(c.ctx(), c.me)
	if err != nil {
		return answer{}, err
	}
	signed, err := s.sdk.AuthenticateUser([]byte(form.Encode()), map[string]any{
		"id":        c.me.ID,
		"user_info": map[string]string{"name": c.me.Name},
		"watchlist": watchlist,
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
