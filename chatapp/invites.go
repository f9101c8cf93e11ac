package chatapp

import (
	"fmt"
	"net/http"
	"time"
)

func (s *Server) getInvites(c *call) (answer, error) {
	all, err := s.store.invites(c.ctx(), c.me)
	return answer{http.StatusOK, map[string]any{"invites": all}}, err
}

func (s *Server) postInvite(c *call) (answer, error) {
	in := struct{ Uses, Days int64 }{1, 7}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	if in.Uses < 1 || in.Uses > 1000 || in.Days < 1 || in.Days > 90 {
		return answer{}, badParameter("uses goes from 1 to 1000, days from 1 to 90")
	}
	i, token, err := s.store.createInvite(c.ctx(), c.me, in.Uses, time.Duration(in.Days)*24*time.Hour)
	if err != nil {
		return answer{}, err
	}
	return created(map[string]any{"invite": i, "token": token, "path": "/#invite=" + token})
}

func (s *Server) deleteInvite(c *call) (answer, error) {
	return done(s.store.deleteInvite(c.ctx(), c.me, c.r.PathValue("invite")))
}

// badParameter says what a part of the request should be.
func badParameter(should string) Fault {
	return badRequest("bad_parameter", fmt.Sprintf("A part of the request is not as it should be: %s.", should))
}
