package server

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// patience is how long a connection may take to its first request, and between
	// two requests, however many others there are.
	patience = time.Second

	// roomCheck is how often it is looked whether sockets have made room.
	roomCheck = 50 * time.Millisecond

	// fullLoggedEvery is how often it is logged that there is no room.
	fullLoggedEvery = 10 * time.Second
)

// requestConns are the connections that the HTTP server has: all but sockets.
// They are bounded, so that strangers who connect and say nothing leave
// descriptors to sockets, to the operator's listener, to Redis and to files.
//
// When there is no room, new connections wait, and those that have been without a
// request for longest, for patience at least, are closed.
// So a rush of clients is served in turn, and a silent crowd keeps nobody out.
type requestConns struct {
	most    int          // of these, but for those that are held; 0 = no bound
	open    int          // of these and sockets together; 0 = no bound
	sockets func() int64 // how many sockets there are, and connections to other nodes
	held    func() int64 // how many of these wait for messages, as sockets do
	log     *slog.Logger
	gone    chan struct{} // holds a token when a connection has gone since

	mu     sync.Mutex
	all    map[net.Conn]*requestConn
	silent requestConn // begins and ends the ring of those without a request, longest first
	logged time.Time   // when it was last logged that there is no room
}

// requestConn is one of them. Every request takes it out of the ring of the silent
// and puts it back, so the ring is its own: a list of package list would allocate.
type requestConn struct {
	conn          net.Conn
	since         time.Time    // that it has no request
	before, after *requestConn // in the ring; nil while it has one
}

// leave takes it out of the ring, if it is there.
func (r *requestConn) leave() {
	if r.after != nil {
		r.before.after, r.after.before = r.after, r.before
		r.before, r.after = nil, nil
	}
}

// join puts it into a ring, in front of the one that begins it.
func (r *requestConn) join(first *requestConn) {
	r.before, r.after = first.before, first
	r.before.after, first.before = r, r
}

func newRequestConns(o Options) *requestConns {
	c := &requestConns{
		most: o.MaxRequestConnections, open: o.MaxOpenConnections, sockets: o.Transport.Sessions, log: o.Log,
	}
	if o.Fallback != nil {
		c.held = o.Fallback.Receivers
		c.sockets = func() int64 { return o.Transport.Sessions() + o.Fallback.Relays() }
	}
	c.init()
	return c
}

func (c *requestConns) init() {
	c.gone = make(chan struct{}, 1)
	c.all = make(map[net.Conn]*requestConn)
	c.silent.before, c.silent.after = &c.silent, &c.silent
	if c.held == nil {
		c.held = func() int64 { return 0 }
	}
}

// track is the HTTP server's hook for the states of connections.
func (c *requestConns) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.all[conn]
	if state == http.StateNew {
		r = &requestConn{conn: conn}
		c.all[conn] = r
	}
	if r == nil {
		return // it has been closed to make room
	}
	r.leave()
	switch state {
	case http.StateNew, http.StateIdle:
		r.since = time.Now()
		r.join(&c.silent)
	case http.StateActive:
	case http.StateHijacked, http.StateClosed:
		delete(c.all, conn)
		select {
		case c.gone <- struct{}{}:
		default:
		}
	}
}

// findRoom looks for room for one more connection: it is there (again is 0), or
// closing the victim makes it, or it is time to look again later.
func (c *requestConns) findRoom() (victim net.Conn, again time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if (c.most <= 0 || len(c.all)-int(c.held()) < c.most) && (c.open <= 0 || len(c.all)+int(c.sockets()) < c.open) {
		return nil, 0
	}
	oldest := c.silent.after
	if oldest == &c.silent {
		return nil, roomCheck
	}
	if left := patience - time.Since(oldest.since); left > 0 {
		return nil, min(left, roomCheck)
	}
	oldest.leave()
	delete(c.all, oldest.conn)
	return oldest.conn, 0
}

// logFull says, once in a while, that there is no room, and what comes of it.
func (c *requestConns) logFull(effect string) {
	if c.logIsDue() {
		c.log.Error("no room for more connections: "+effect,
			"max_request_connections", c.most, "max_open_connections", c.open, "sockets", c.sockets())
	}
}

func (c *requestConns) logIsDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.logged.IsZero() && now.Sub(c.logged) < fullLoggedEvery {
		return false
	}
	c.logged = now
	return true
}

// reset closes a connection at once, whatever has been written to it: a close over
// TLS would wait for a peer that does not read.
func reset(conn net.Conn) {
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// boundedListener hands on connections for which there is room. It accepts one
// more, and has that wait; the others wait in the kernel's queue.
type boundedListener struct {
	net.Listener
	conns  *requestConns
	closed chan struct{}

	once     sync.Once
	closeErr error
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	since := time.Now()
	for {
		victim, again := l.conns.findRoom()
		if victim != nil {
			reset(victim)
			l.conns.logFull("those that have been without a request for longest are closed")
		}
		if again == 0 {
			return conn, nil
		}
		if time.Since(since) >= patience {
			l.conns.logFull("new ones wait, since all have a request or are sockets")
		}
		select {
		case <-l.conns.gone:
		case <-time.After(again):
		case <-l.closed:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
}

// Close implements net.Listener.
func (l *boundedListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.closeErr = l.Listener.Close()
	})
	return l.closeErr
}
