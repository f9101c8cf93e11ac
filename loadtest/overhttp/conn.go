package overhttp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"channels/loadtest/wire"
	"channels/protocol"
)

// Options say how to reach a server.
type Options struct {
	Server    *url.URL // of its REST API: scheme and host
	Key       string   // of the app
	Query     string   // of the requests for messages; "" = what this program is
	Streaming bool     // xhr_streaming; otherwise xhr_polling
	Header    http.Header

	// Dial opens a connection, with TLS where the server's scheme is https. Each
	// session keeps one, for answers.
	Dial func(ctx context.Context) (net.Conn, error)

	// Sends makes the requests that bring messages to the server.
	Sends *http.Client
}

// rollover is how much of an answer pusher-js reads, in UTF-16 units: after the
// message that is longer it makes another request.
const rollover = 256 << 10

// Conn is a session, as a connection that carries frames: Read gives those of the
// server, Write takes those of the client, whole. One goroutine may read while others
// write and close.
type Conn struct {
	Options
	base string // of all requests of the session
	ctx  context.Context
	stop context.CancelFunc

	// Of the reader.
	from   *bufio.Reader // over the connection
	last   bool          // the connection serves no further request
	answer io.ReadCloser // body of the answer that is being read; nil = none
	lines  *bufio.Reader // over it
	read   int           // units of it
	ready  []byte        // frames that Read has not given yet
	over   error         // why there is no more

	mu       sync.Mutex
	conn     net.Conn // nil = none is open
	deadline time.Time
	waiting  []string // bodies of requests that are to bring messages
	posting  bool     // a goroutine sends them
	failed   error    // of such a request
}

var _ net.Conn = (*Conn)(nil)

// signOfLife is a body without messages.
const signOfLife = "[]"

// usual is how many bytes a small answer has.
const usual = 1 << 10

// New returns a session that is opened by reading from it.
func New(o Options) *Conn {
	if o.Query == "" {
		o.Query = "protocol=7&client=loadtest&version=1.0"
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Conn{
		Options: o, ctx: ctx, stop: stop,
		base: fmt.Sprintf("/pusher/app/%s/%03d/%08x", url.PathEscape(o.Key), rand.IntN(1000), rand.Uint32()), //nolint:gosec // a name, no secret
	}
}

// Read implements net.Conn.
func (c *Conn) Read(into []byte) (int, error) {
	for len(c.ready) == 0 {
		if c.over != nil {
			return 0, c.over
		}
		line, err := c.line()
		if err == nil {
			err = c.take(line)
		}
		if err != nil {
			c.over = c.cause(err)
		}
	}
	n := copy(into, c.ready)
	if c.ready = c.ready[n:]; len(c.ready) == 0 {
		c.ready = nil
	}
	return n, nil
}

// cause is why the session ended: a message that was not taken says more than the end
// that follows.
func (c *Conn) cause(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return c.failed
	}
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return os.ErrDeadlineExceeded
	}
	return err
}

// line returns the next line of an answer, and makes another request where one ends.
func (c *Conn) line() ([]byte, error) {
	for {
		if c.answer == nil {
			if err := c.request(); err != nil {
				return nil, err
			}
		}
		line, err := c.lines.ReadBytes('\n')
		switch {
		case err == nil:
			c.read += units(line)
			line = line[:len(line)-1]
			if c.Streaming && c.read > rollover {
				c.abandon()
			}
			return line, nil
		case !errors.Is(err, io.EOF) || len(line) > 0:
			return nil, fmt.Errorf("an answer broke off: %w", err)
		case c.Streaming:
			return nil, errors.New("the server ended a stream without a word")
		}
		c.answer, c.lines, c.read = nil, nil, 0 // its end; the connection serves the next one
	}
}

// units is the length of a text as browsers count it.
func units(text []byte) int {
	n := len(text)
	if i := bytes.IndexFunc(text, func(r rune) bool { return r >= 0x80 }); i >= 0 {
		n = len(utf16.Encode([]rune(string(text))))
	}
	return n
}

// abandon ends an answer as a browser does that gives up a request.
func (c *Conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close() // what is left of it is not read
	}
	c.conn, c.answer, c.lines, c.read = nil, nil, nil, 0
}

// request asks for messages.
func (c *Conn) request() error {
	conn, err := c.open()
	if err != nil {
		return err
	}
	kind := "xhr"
	if c.Streaming {
		kind = "xhr_streaming"
	}
	var head strings.Builder
	fmt.Fprintf(&head, "POST %s/%s?%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n", c.base, kind, c.Query, c.Server.Host)
	_ = c.Header.Write(&head) // a builder takes everything
	head.WriteString("\r\n")
	if _, err := io.WriteString(conn, head.String()); err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	res, err := http.ReadResponse(c.from, nil) //nolint:bodyclose // it ends with the connection
	if err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // it only adds to the message
		return fmt.Errorf("the request for messages was refused: %s %s", res.Status, bytes.TrimSpace(text))
	}
	c.answer, c.lines = res.Body, bufio.NewReaderSize(res.Body, usual)
	c.last = res.Close
	return nil
}

// open returns the connection for the next request.
func (c *Conn) open() (net.Conn, error) {
	if c.last {
		c.abandon()
	}
	c.mu.Lock()
	conn, deadline := c.conn, c.deadline
	c.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	ctx := c.ctx
	if !deadline.IsZero() {
		bounded, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		ctx = bounded
	}
	conn, err := c.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		_ = conn.Close() // the session was closed meanwhile
		return nil, net.ErrClosed
	}
	c.conn, c.from, c.last = conn, bufio.NewReaderSize(conn, usual), false
	return conn, conn.SetDeadline(c.deadline)
}

// take makes frames of a line.
func (c *Conn) take(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	switch line[0] {
	case 'a':
		var messages []string
		if err := json.Unmarshal(line[1:], &messages); err != nil {
			return malformed(line)
		}
		for _, m := range messages {
			c.ready = protocol.AppendTextFrame(c.ready, []byte(m))
		}
	case 'm':
		var message string
		if err := json.Unmarshal(line[1:], &message); err != nil {
			return malformed(line)
		}
		c.ready = protocol.AppendTextFrame(c.ready, []byte(message))
	case 'h':
		if c.Streaming { // as pusher-js does, also for the prelude, which is of h alone
			c.post(signOfLife)
		}
	case 'c':
		return c.ended(line)
	case 'o':
	default:
		return malformed(line)
	}
	return nil
}

func malformed(line []byte) error {
	return fmt.Errorf("the server sent a malformed line: %.100s", line)
}

// ended makes a close frame of the line that ends the session.
func (c *Conn) ended(line []byte) error {
	var end []any
	err := json.Unmarshal(line[1:], &end)
	if err != nil || len(end) != 2 {
		return malformed(line)
	}
	code, isCode := end[0].(float64)
	reason, isText := end[1].(string)
	if !isCode || !isText || code < 1000 || code > 4999 {
		return malformed(line)
	}
	c.ready = protocol.AppendCloseFrame(c.ready, protocol.Code(code), reason)
	c.over = io.EOF
	return nil
}

// Write implements net.Conn for one whole frame. It returns at once; a message that
// does not arrive ends the session.
func (c *Conn) Write(frame []byte) (int, error) {
	op, payload, err := wire.Parse(frame)
	if err != nil {
		return 0, err
	}
	if op != wire.Text {
		return len(frame), nil // there is no such thing here
	}
	body, err := json.Marshal([]string{string(payload)})
	if err != nil {
		return 0, err
	}
	c.post(string(body))
	return len(frame), nil
}

// post brings messages to the server, in the order of the calls.
func (c *Conn) post(body string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, body)
	if !c.posting {
		c.posting = true
		go c.sendAll()
	}
}

// sendAll sends what waits, one request after the other.
func (c *Conn) sendAll() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 || c.failed != nil {
			c.posting, c.waiting = false, nil
			c.mu.Unlock()
			return
		}
		body := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		// A session that has been refused does not know of signs of life.
		if err := c.send(body); err != nil && body != signOfLife {
			c.fail(err)
		}
	}
}

// fail ends the session, since a message did not arrive.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
	if c.conn != nil {
		_ = c.conn.Close() // the reader tells why
	}
}

func (c *Conn) send(body string) error {
	address := url.URL{Scheme: c.Server.Scheme, Host: c.Server.Host, Path: c.base + "/xhr_send"}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, address.String(), strings.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range c.Header {
		req.Header[name] = values
	}
	res, err := c.Sends.Do(req)
	if err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // it only adds to the message
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("a message was refused: %s %s", res.Status, bytes.TrimSpace(text))
	}
	return nil
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.conn == nil {
		return nil
	}
	return c.conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline implements net.Conn. Nothing is written while the caller waits.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return address(c.base) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return address(c.Server.Host) }

// address is a name of one end.
type address string

// Network implements net.Addr.
func (address) Network() string { return "http" }

// String implements net.Addr.
func (a address) String() string { return string(a) }
