package chatapp

import (
	"fmt"
	"net/http"
	"strconv"
)

// number is a parameter of the query within bounds; absent gives what it is
// without one.
func (c *call) number(name string, absent, least, most int64) (int64, error) {
	q := c.r.URL.Query()
	if !q.Has(name) {
		return absent, nil
	}
	n, err := strconv.ParseInt(q.Get(name), 10, 64)
	if err != nil || n < least || n > most {
		return 0, badParameter(fmt.Sprintf("%s is a whole number from %d to %d", name, least, most))
	}
	return n, nil
}

const (
	maxSafe   = 1<<53 - 1 // the greatest integer that a browser holds exactly
	maxLimit  = 200
	pageLimit = 50
)

// messageBody is an answer that has a message.
type messageBody struct {
	Message Message `json:"message"`
}

func (s *Server) getMessages(c *call) (answer, error) {
	before, err := c.number("before", 0, 1, maxSafe)
	if err != nil {
		return answer{}, err
	}
	limit, err := c.number("limit", pageLimit, 1, maxLimit)
	if err != nil {
		return answer{}, err
	}
	p, err := s.store.page(c.ctx(), c.me, c.room(), before, int(limit))
	return answer{http.StatusOK, p}, err
}

func (s *Server) getChanges(c *call) (answer, error) {
	after, err := c.number("after", 0, 0, maxSafe)
	if err != nil {
		return answer{}, err
	}
	limit, err := c.number("limit", maxLimit, 1, maxLimit)
	if err != nil {
		return answer{}, err
	}
	ch, err := s.store.changes(c.ctx(), c.me, c.room(), after, int(limit))
	return answer{http.StatusOK, ch}, err
}

func (s *Server) postMessage(c *call) (answer, error) {
	var in struct{ ClientID, Text string }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	m, already, err := s.store.post(c.ctx(), c.me, c.room(), in.ClientID, in.Text)
	status := http.StatusCreated
	if already {
		status = http.StatusOK
	}
	return answer{status, messageBody{m}}, err
}

func (s *Server) patchMessage(c *call) (answer, error) {
	var in struct{ Text string }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	m, err := s.store.edit(c.ctx(), c.me, c.room(), c.r.PathValue("message"), in.Text)
	return answer{http.StatusOK, messageBody{m}}, err
}

func (s *Server) deleteMessage(c *call) (answer, error) {
	m, err := s.store.deleteMessage(c.ctx(), c.me, c.room(), c.r.PathValue("message"))
	return answer{http.StatusOK, messageBody{m}}, err
}

func (s *Server) postRead(c *call) (answer, error) {
	var in struct{ Seq *int64 }
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	if in.Seq == nil || *in.Seq < 0 || *in.Seq > maxSafe {
		return answer{}, badParameter("seq is that of a message")
	}
	readSeq, unread, err := s.reads.mark(c.ctx(), c.me, c.room(), *in.Seq)
	return answer{http.StatusOK, map[string]int64{"readSeq": readSeq, "unread": unread}}, err
}
