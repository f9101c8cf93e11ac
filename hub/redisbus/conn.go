package redisbus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// conn is a connection by which messages come. It is read and written as Redis
// speaks (RESP2), since the library's own ties a connection to one slot of a
// cluster, and connects anew without telling that there was a gap.
type conn struct {
	net    net.Conn
	reader *bufio.Reader
}

// dial opens a connection as the library would.
func dial(ctx context.Context, o *redis.Options) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	n, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, err
	}
	c := &conn{net: n, reader: bufio.NewReaderSize(n, 32<<10)}
	if o.Password == "" {
		return c, nil
	}
	words := []string{"AUTH"}
	if o.Username != "" {
		words = append(words, o.Username)
	}
	if err := c.authenticate(append(words, o.Password)); err != nil {
		_ = n.Close()
		return nil, err
	}
	return c, nil
}

func (c *conn) authenticate(command []string) error {
	_ = c.net.SetReadDeadline(time.Now().Add(commandTimeout))
	if err := c.send(command); err != nil {
		return err
	}
	reply, err := c.read()
	if err != nil {
		return err
	}
	_ = c.net.SetReadDeadline(time.Time{})
	if reply.failure != "" {
		return errors.New(reply.failure)
	}
	return nil
}

// send writes one command.
func (c *conn) send(words []string) error {
	var b strings.Builder
	b.WriteString("*" + strconv.Itoa(len(words)) + "\r\n")
	for _, w := range words {
		b.WriteString("$" + strconv.Itoa(len(w)) + "\r\n" + w + "\r\n")
	}
	_ = c.net.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := io.WriteString(c.net, b.String())
	return err
}

func (c *conn) close() { _ = c.net.Close() }

// received is what came: a message, a confirmation, or that a command has failed.
type received struct {
	kind    string // as Redis says: message, subscribe …
	channel string
	payload string
	failure string
}

const (
	maxElements = 16
	maxElement  = 512 << 20 // the most that Redis has in a string
)

// read returns what comes next.
func (c *conn) read() (received, error) {
	line, err := c.line()
	if err != nil {
		return received{}, err
	}
	switch line[0] {
	case '-':
		return received{failure: line[1:]}, nil
	case '+', ':':
		return received{}, nil
	case '*':
		return c.array(line[1:])
	}
	return received{}, fmt.Errorf("%w: %.20q of redis", errMalformed, line)
}

func (c *conn) array(size string) (received, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < 1 || n > maxElements {
		return received{}, fmt.Errorf("%w: array of %.20q", errMalformed, size)
	}
	words := make([]string, n)
	for i := range words {
		if words[i], err = c.element(); err != nil {
			return received{}, err
		}
	}
	r := received{kind: words[0]}
	if n > 1 {
		r.channel = words[1]
	}
	if n > 2 {
		r.payload = words[2]
	}
	return r, nil
}

func (c *conn) element() (string, error) {
	line, err := c.line()
	if err != nil {
		return "", err
	}
	switch line[0] {
	case ':', '+':
		return line[1:], nil
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < -1 || n > maxElement {
			return "", fmt.Errorf("%w: string of %.20q", errMalformed, line)
		}
		if n == -1 {
			return "", nil
		}
		return c.bulk(n)
	}
	return "", fmt.Errorf("%w: element %.20q", errMalformed, line)
}

// bulk reads a string and its end. What is long grows as it comes, so that a length
// alone takes no memory.
func (c *conn) bulk(n int) (string, error) {
	var b strings.Builder
	if n <= 64<<10 {
		b.Grow(n)
	}
	if _, err := io.CopyN(&b, c.reader, int64(n)); err != nil {
		return "", err
	}
	end := make([]byte, 2)
	if _, err := io.ReadFull(c.reader, end); err != nil {
		return "", err
	}
	if string(end) != "\r\n" {
		return "", fmt.Errorf("%w: a string's end is missing", errMalformed)
	}
	return b.String(), nil
}

// line reads a line, without its end, which has at least its first byte.
func (c *conn) line() (string, error) {
	text, err := c.reader.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	line := strings.TrimSuffix(string(text), "\r\n")
	if line == "" || len(line)+2 != len(text) {
		return "", fmt.Errorf("%w: line %.20q", errMalformed, text)
	}
	return line, nil
}
