package chatapp

import "net/http"

func (s *Server) getRooms(c *call) (answer, error) {
	mine, others, err := s.store.rooms(c.ctx(), c.me)
	s.reads.overlay(c.me, mine)
	return answer{http.StatusOK, map[string]any{"rooms": mine, "others": others}}, err
}

func (s *Server) postRoom(c *call) (answer, error) {
	var in struct{ Kind, Name string }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	r, err := s.store.createRoom(c.ctx(), c.me, in.Kind, in.Name)
	return answer{http.StatusCreated, roomBody{r}}, err
}

// roomBody is an answer that has a room only.
type roomBody struct {
	Room Room `json:"room"`
}

// roomAndMembers is an answer for those who see a room from inside.
type roomAndMembers struct {
	Room    Room     `json:"room"`
	Members []Member `json:"members"`
}

func (s *Server) postDirect(c *call) (answer, error) {
	var in struct{ UserID, Name string }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	if (in.UserID == "") == (in.Name == "") {
		return answer{}, badParameter("either userId or name")
	}
	id, err := s.userID(c, in.UserID, in.Name)
	if err != nil {
		return answer{}, err
	}
	r, isNew, err := s.store.directRoom(c.ctx(), c.me, id)
	status := http.StatusOK
	if isNew {
		status = http.StatusCreated
	}
	return answer{status, roomBody{r}}, err
}

// userID is the id, or that of whoever has the name.
func (s *Server) userID(c *call, id, name string) (string, error) {
	if id != "" {
		return id, nil
	}
	a, err := s.store.accountByName(c.ctx(), name)
	return a.ID, err
}

func (s *Server) getRoom(c *call) (answer, error) {
	r, members, err := s.store.room(c.ctx(), c.me, c.room())
	seen := []Room{r}
	s.reads.overlay(c.me, seen)
	return answer{http.StatusOK, roomAndMembers{seen[0], members}}, err
}

func (s *Server) join(c *call) (answer, error) {
	if err := decodeNothing(c.w, c.r); err != nil {
		return answer{}, err
	}
	r, err := s.store.join(c.ctx(), c.me, c.room())
	return answer{http.StatusOK, roomBody{r}}, err
}

func (s *Server) leave(c *call) (answer, error) {
	if err := decodeNothing(c.w, c.r); err != nil {
		return answer{}, err
	}
	return done(s.store.leave(c.ctx(), c.me, c.room()))
}

func (s *Server) postMembers(c *call) (answer, error) {
	var in struct{ Add, AddName, Remove string }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	given := 0
	for _, v := range []string{in.Add, in.AddName, in.Remove} {
		if v != "" {
			given++
		}
	}
	if given != 1 {
		return answer{}, badParameter("one of add, addName and remove")
	}
	var r Room
	var members []Member
	var err error
	if in.Remove != "" {
		r, members, err = s.store.removeMember(c.ctx(), c.me, c.room(), in.Remove)
	} else {
		r, members, err = s.add(c, in.Add, in.AddName)
	}
	return answer{http.StatusOK, roomAndMembers{r, members}}, err
}

// add looks names up for members only: others learn nothing here.
func (s *Server) add(c *call, id, name string) (Room, []Member, error) {
	if name != "" {
		r, _, err := s.store.room(c.ctx(), c.me, c.room())
		if err == nil && !r.Member {
			err = errNotMember
		}
		if err != nil {
			return Room{}, nil, err
		}
	}
	id, err := s.userID(c, id, name)
	if err != nil {
		return Room{}, nil, err
	}
	return s.store.addMember(c.ctx(), c.me, c.room(), id)
}
