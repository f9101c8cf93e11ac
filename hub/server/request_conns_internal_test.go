package server

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is an HTTP server whose connections are bounded, in a bubble.
type crowd struct {
	t       *testing.T
	conns   *requestConns
	sockets atomic.Int64
	handed  handedConns
	logged  *bytes.Buffer
	release chan struct{} // lets requests for /held go on
}

func newCrowd(t *testing.T, most, open int) *crowd {
	t.Helper()
	c := &crowd{t: t, handed: newHandedConns(0), logged: new(bytes.Buffer), release: make(chan struct{})}
	c.conns = &requestConns{
		most: most, open: open, sockets: c.sockets.Load,
		log: slog.New(slog.NewTextHandler(c.logged, nil)),
	}
	c.conns.init()
	front := Server{log: slog.New(slog.DiscardHandler), requestConns: c.conns}
	web := front.HTTPServer()
	web.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			<-c.release
		}
	})
	go func() { _ = web.Serve(front.Listener(c.handed, nil)) }()
	t.Cleanup(func() {
		_ = web.Close()
		synctest.Wait()
	})
	return c
}

// connect has a client connect, once the server accepts it.
func (c *crowd) connect() *member {
	near, far := net.Pipe()
	m := &member{Conn: near, accepted: make(chan struct{}), answers: make(chan string, 10), ended: make(chan struct{})}
	go func() {
		select {
		case c.handed.conns <- far:
		case <-c.handed.closed:
			return
		}
		close(m.accepted)
		b := make([]byte, 4096)
		for {
			n, err := near.Read(b)
			if err != nil {
				close(m.ended)
				return
			}
			m.answers <- string(b[:n])
		}
	}()
	c.t.Cleanup(func() { _ = near.Close() })
	synctest.Wait()
	return m
}

// member is a client of the crowd.
type member struct {
	net.Conn
	accepted, ended chan struct{}
	answers         chan string
}

func (m *member) get(path string) {
	go func() { _, _ = io.WriteString(m, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n") }()
	synctest.Wait()
}

func (m *member) isClosed() bool   { return isClosed(m.ended) }
func (m *member) isAnswered() bool { return len(m.answers) > 0 }

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestSilentConnectionsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 3, 0)
		first, second, third := c.connect(), c.connect(), c.connect()
		late := c.connect()
		late.get("/")
		if late.isAnswered() || first.isClosed() {
			t.Error("there is room for a fourth at once")
		}
		time.Sleep(patience + roomCheck)
		synctest.Wait()
		if !late.isAnswered() || !first.isClosed() || second.isClosed() || third.isClosed() {
			t.Error("the one that was silent for longest has not made room, or others have")
		}
		c.connect()
		if !second.isClosed() || third.isClosed() || late.isClosed() {
			t.Error("the next that was silent for longest has not made room, or others have")
		}
		if got := c.logged.String(); strings.Count(got, "level=ERROR") != 1 {
			t.Errorf("logged %s, want one error", got)
		}
	})
}

// TestRushIsServedInTurn has more clients connect at once than there is room for.
func TestRushIsServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 3, 0)
		var all []*member
		for range 20 {
			m := c.connect()
			all = append(all, m)
			go func() {
				<-m.accepted
				time.Sleep(300 * time.Millisecond) // a round trip
				_, _ = io.WriteString(m, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			}()
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for i, m := range all {
			if !m.isAnswered() {
				t.Errorf("client %d has no answer", i)
			}
		}
		if c.logged.Len() > 0 {
			t.Errorf("logged %s", c.logged)
		}
	})
}

// TestRequestsAreNotCutOff fills all room with requests.
func TestRequestsAreNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 2, 0)
		first, second := c.connect(), c.connect()
		first.get("/held")
		second.get("/held")
		late := c.connect()
		late.get("/")
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if late.isAnswered() || first.isClosed() || second.isClosed() {
			t.Error("a request was cut off, or one connection too many served")
		}
		if got := c.logged.String(); !strings.Contains(got, "level=ERROR") || strings.Count(got, "level=ERROR") > 3 {
			t.Errorf("logged %s, want an error every 10 s", got)
		}
		close(c.release)
		time.Sleep(roomCheck)
		synctest.Wait()
		if !first.isAnswered() || !second.isAnswered() || first.isClosed() {
			t.Error("the requests are not answered, or their connections closed too soon")
		}
		time.Sleep(patience)
		synctest.Wait()
		if !late.isAnswered() || first.isClosed() == second.isClosed() {
			t.Error("no idle connection makes room, or both do")
		}
	})
}

// TestSocketsCount has sockets take the room, and leave.
func TestSocketsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 0, 10)
		c.sockets.Store(10)
		late := c.connect()
		late.get("/")
		time.Sleep(time.Minute)
		synctest.Wait()
		if late.isAnswered() {
			t.Error("served, though sockets take all room")
		}
		c.sockets.Store(9)
		time.Sleep(roomCheck)
		synctest.Wait()
		if !late.isAnswered() {
			t.Error("not served, though a socket has gone")
		}
	})
}

func TestListenerIsClosedWhileItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := &requestConns{open: 1, sockets: func() int64 { return 1 }, log: slog.New(slog.DiscardHandler)}
		conns.init()
		inner := newHandedConns(0)
		l := (&Server{requestConns: conns}).Listener(inner, nil)
		near, far := net.Pipe()
		go func() { inner.conns <- far }()
		ended := make(chan error)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		synctest.Wait()
		_ = l.Close()
		if err := <-ended; err != net.ErrClosed {
			t.Errorf("Accept returned %v, want %v", err, net.ErrClosed)
		}
		if _, err := near.Write([]byte("x")); err == nil {
			t.Error("the connection that waited is open")
		}
	})
}
