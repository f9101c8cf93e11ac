package target

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"channels/protocol"
)

// Publisher publishes over one connection, which it keeps. It is for one
// goroutine. It speaks HTTP by hand, over the standard library's reader of
// answers: the standard client hands each request to two other goroutines, which
// costs a load generator more than the request itself.
type Publisher struct {
	target  Target
	timeout time.Duration

	conn   net.Conn
	reader *bufio.Reader
	body   []byte
	wire   []byte
}

// NewPublisher makes a publisher. Each request may take timeout.
func NewPublisher(t Target, timeout time.Duration) *Publisher {
	return &Publisher{target: t, timeout: timeout}
}

// RefusedError is an answer that is not 2xx.
type RefusedError struct {
	Status int
	Text   string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.Status, e.Text)
}

// Publish sends one event. The data must be plain ASCII without quotes and
// backslashes. A *RefusedError tells that the server did not take it; after
// another error nobody knows.
func (p *Publisher) Publish(ctx context.Context, event, channel string, data []byte) error {
	p.body = append(p.body[:0], `{"name":"`...)
	p.body = append(p.body, event...)
	p.body = append(p.body, `","channels":["`...)
	p.body = append(p.body, channel...)
	p.body = append(p.body, `"],"data":"`...)
	p.body = append(p.body, data...)
	p.body = append(p.body, `"}`...)
	return p.post(ctx, "/apps/"+p.target.AppID+"/events")
}

func (p *Publisher) post(ctx context.Context, path string) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	query := protocol.SignRequest(http.MethodPost, path, nil, p.body, p.target.Key, p.target.Secret, time.Now())
	p.wire = append(p.wire[:0], "POST "+path+"?"+query+" HTTP/1.1\r\nHost: "+p.target.REST.Host+
		"\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(p.body))+"\r\n\r\n"...)
	p.wire = append(p.wire, p.body...)
	if err := p.conn.SetDeadline(time.Now().Add(p.timeout)); err != nil {
		return p.fail(err)
	}
	if _, err := p.conn.Write(p.wire); err != nil {
		return p.fail(err)
	}
	res, err := http.ReadResponse(p.reader, nil)
	if err != nil {
		return p.fail(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	return p.answer(res)
}

func (p *Publisher) answer(res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return p.fail(err)
		}
		if res.Close {
			p.Close()
		}
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 300))
	if err != nil || res.Close || res.ContentLength < 0 || res.ContentLength > 300 {
		p.Close()
	}
	return &RefusedError{res.StatusCode, string(text)}
}

func (p *Publisher) connect(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := dial(ctx, p.target.REST.Scheme == "https", address(p.target.REST))
	if err != nil {
		return &RefusedError{0, err.Error()} // nothing was sent
	}
	p.conn, p.reader = conn, bufio.NewReaderSize(conn, 2048)
	return nil
}

// fail gives the connection up after an error.
func (p *Publisher) fail(err error) error {
	p.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("publish: the server closed the connection without an answer")
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fmt.Errorf("publish: no answer within %s", p.timeout)
	}
	return fmt.Errorf("publish: %w", err)
}

// Close closes the connection.
func (p *Publisher) Close() {
	if p.conn != nil {
		_ = p.conn.Close() // nothing more is to come over it
		p.conn = nil
	}
}

func dial(ctx context.Context, secure bool, address string) (net.Conn, error) {
	if secure {
		return (&tls.Dialer{}).DialContext(ctx, "tcp", address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}
