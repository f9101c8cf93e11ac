package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"channels/loadtest/account"
	"channels/protocol"
)

// fake is a server of the protocol that has the faults a test gives it, and keeps
// books of them.
type fake struct {
	*httptest.Server
	faults

	mu        sync.Mutex
	conns     []*fakeConn
	accepted  int
	delivered int
	posts     int
	dropped   int64
	doubled   int64
	reordered int64
	log       []time.Duration // from when an event was due to when it was sent
}

type faults struct {
	dropEach    int           // deliveries
	doubleEach  int           // deliveries
	swapEach    int           // publishes: the next comes first
	delay       time.Duration // of each delivery
	stallAt     int           // publish whose answer and delivery take a second
	refuseEach  int           // publishes: 500
	closeSecond bool          // every second connection, when it has subscribed
	wrongKey    bool
}

type fakeConn struct {
	ws      *websocket.Conn
	channel string
	held    []byte
}

func newFake(t testing.TB, f faults) *fake {
	s := &fake{faults: f}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app/{key}", s.socket)
	mux.HandleFunc("POST /apps/1/events", s.events)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// target is the fake as the program is told of it.
func (s *fake) target() string {
	return "http://app-key:app-secret@" + strings.TrimPrefix(s.URL, "http://") + "/apps/1"
}

func (s *fake) socket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	ctx := context.Background()
	if s.wrongKey {
		_ = ws.Close(4001, "App key does not exist") // the client sees it
		return
	}
	c := &fakeConn{ws: ws}
	if s.send(ctx, c, protocol.EstablishedFrame("1.2", 120)) != nil {
		return
	}
	_, message, err := ws.Read(ctx)
	if err != nil {
		return
	}
	var m struct{ Data struct{ Channel string } }
	if json.Unmarshal(message, &m) != nil || s.send(ctx, c, protocol.SucceededFrame(m.Data.Channel, nil)) != nil {
		return
	}
	s.mu.Lock()
	c.channel = m.Data.Channel
	s.conns = append(s.conns, c)
	s.accepted++
	second := s.accepted%2 == 0
	s.mu.Unlock()
	if s.closeSecond && second {
		time.Sleep(time.Second)
		_ = ws.Close(4200, "try again") // the client sees it
		return
	}
	_, _, _ = ws.Read(ctx) // until the client is gone
}

func (s *fake) send(ctx context.Context, c *fakeConn, frame []byte) error {
	return c.ws.Write(ctx, websocket.MessageText, protocol.PayloadOf(frame))
}

func (s *fake) events(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var e struct {
		Name     string
		Channels []string
		Data     string
	}
	if err != nil || json.Unmarshal(body, &e) != nil || len(e.Channels) != 1 {
		http.Error(w, "bad body", http.StatusBadRequest)
		return
	}
	if strings.Contains(e.Channels[0], "preflight") {
		fmt.Fprint(w, "{}")
		return
	}
	s.mu.Lock()
	s.posts++
	n := s.posts
	if s.refuseEach > 0 && n%s.refuseEach == 0 {
		s.mu.Unlock()
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	if n == s.stallAt {
		time.Sleep(time.Second) // everybody waits for the lock
	}
	data, _ := json.Marshal(e.Data)
	frame := protocol.EventFrame(e.Name, e.Channels[0], data, "")
	due := intended(e.Data)
	if s.delay > 0 {
		s.mu.Unlock()
		go func() {
			time.Sleep(s.delay)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.broadcast(e.Channels[0], frame, due, n)
		}()
	} else {
		s.broadcast(e.Channels[0], frame, due, n)
		s.mu.Unlock()
	}
	fmt.Fprint(w, "{}")
}

// intended reads when an event was due from its mark.
func intended(data string) time.Time {
	tag := account.Tag(data[:len("lt-00000000-")])
	m, _ := tag.Find([]byte(data))
	return time.Unix(0, m.Intended)
}

// broadcast sends an event to all subscribers, but for the faults. The lock is
// held.
func (s *fake) broadcast(channel string, frame []byte, due time.Time, n int) {
	ctx := context.Background()
	for _, c := range s.conns {
		if c.channel != channel {
			continue
		}
		if s.swapEach > 0 && n%s.swapEach == 0 {
			c.held = frame
			continue
		}
		s.delivered++
		if s.dropEach > 0 && s.delivered%s.dropEach == 0 {
			s.dropped++
			continue
		}
		s.log = append(s.log, time.Since(due))
		_ = s.send(ctx, c, frame) // a client that is gone gets nothing
		if s.doubleEach > 0 && s.delivered%s.doubleEach == 0 {
			s.doubled++
			_ = s.send(ctx, c, frame)
		}
		if c.held != nil {
			s.reordered++
			_ = s.send(ctx, c, c.held)
			c.held = nil
		}
	}
}

// quantile returns what the fake logged, in milliseconds.
func (s *fake) quantile(q float64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.log)
	return float64(s.log[int(q*float64(len(s.log)-1))]) / float64(time.Millisecond)
}
