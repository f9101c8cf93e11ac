package fleet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"channels/loadtest/account"
	"channels/loadtest/overhttp"
	"channels/loadtest/target"
	"channels/loadtest/wire"
	"channels/protocol"
)

// socket is one connection. While it is being opened it belongs to a goroutine
// of its own, afterwards to its loop.
type socket struct {
	fleet *Fleet
	index int
	id    string // socket_id
	idle  int64  // nanoseconds without a message after which the server wants a ping
	sub   *account.Subscriber

	conn net.Conn // nil when the loop reads the descriptor itself
	fd   int      // -1 otherwise

	rest      []byte // the beginning of a frame
	fragments []byte // of a message
	heard     int64  // when something came last, by Clock
	farewell  string // the server's close frame
}

// Events of the protocol that a client has to know.
const (
	eventEstablished = "pusher:connection_established"
	eventSucceeded   = "pusher_internal:subscription_succeeded"
	eventRefused     = "pusher:subscription_error"
	eventError       = "pusher:error"
	eventPing        = "pusher:ping"
)

var (
	pingMessage = []byte(`{"event":"pusher:ping","data":{}}`)
	pongMessage = []byte(`{"event":"pusher:pong","data":{}}`)
)

// connect dials, makes the handshake and waits for the server's first event.
func (s *socket) connect(ctx context.Context) error {
	header := http.Header{}
	if s.fleet.Origin != "" {
		header.Set("Origin", s.fleet.Origin)
	}
	if err := s.open(ctx, header); err != nil {
		return err
	}
	e, err := s.await(eventEstablished, "")
	if err != nil {
		return err
	}
	var established struct {
		SocketID string `json:"socket_id"`
		Timeout  int64  `json:"activity_timeout"`
	}
	text, err := protocol.Unquote(e.Data)
	if err == nil {
		err = json.Unmarshal(text, &established)
	}
	if err != nil || established.SocketID == "" {
		return fmt.Errorf("the server's first event has no socket_id: %.100s", e.Data)
	}
	s.id = established.SocketID
	s.idle = established.Timeout * int64(time.Second)
	return nil
}

// open makes the connection and, of a WebSocket, the handshake.
func (s *socket) open(ctx context.Context, header http.Header) (err error) {
	overHTTP := s.fleet.Transport != WebSocket && s.fleet.Transport != ""
	if overHTTP {
		s.conn = overhttp.New(overhttp.Options{
			Server: s.target().REST, Key: s.target().Key, Streaming: s.fleet.Transport == XHRStreaming,
			Header: header, Dial: s.dial, Sends: s.fleet.sends,
		})
	} else if s.conn, err = s.dial(ctx); err != nil {
		s.conn = nil // not an interface of nothing
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if !overHTTP {
		s.rest, err = wire.Handshake(s.conn, s.target().WS, header)
	}
	return err
}

func (s *socket) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{}
	if n := len(s.fleet.Sources); n > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(s.fleet.Sources[s.index%n])}
	}
	address := s.target().SocketAddress()
	if s.target().WS.Scheme == "wss" {
		return (&tls.Dialer{NetDialer: &d}).DialContext(ctx, "tcp", address)
	}
	return d.DialContext(ctx, "tcp", address)
}

// target returns the socket's node: the sockets of each channel are spread over
// all nodes.
func (s *socket) target() target.Target {
	nodes := s.fleet.Targets
	return nodes[s.index/len(s.fleet.Channels)%len(nodes)]
}

// subscribe subscribes to the socket's channel and waits for the answer.
func (s *socket) subscribe(ctx context.Context) error {
	number := s.index % len(s.fleet.Channels)
	channel := s.fleet.Channels[number]
	signature, err := s.fleet.auth.Authorize(ctx, s.id, channel, fmt.Sprintf("user-%d", s.index))
	if err != nil {
		return err
	}
	message, err := json.Marshal(map[string]any{
		"event": "pusher:subscribe",
		"data": struct {
			Channel string `json:"channel"`
			Auth    string `json:"auth,omitempty"`
			Data    string `json:"channel_data,omitempty"`
		}{channel, signature.Auth, signature.ChannelData},
	})
	if err != nil {
		return err
	}
	if _, err := s.conn.Write(wire.Append(nil, wire.Text, message)); err != nil {
		return err
	}
	s.sub = account.NewSubscriber(uint32(number))
	if _, err := s.await(eventSucceeded, channel); err != nil {
		return err
	}
	s.sub.Acked = s.fleet.clock.Now()
	return s.conn.SetDeadline(time.Time{})
}

// await reads until an event comes. What comes before is of no interest; what
// comes behind stays in rest.
func (s *socket) await(event, channel string) (protocol.Event, error) {
	buf := s.rest
	defer func() { s.rest = buf }()
	for {
		f, size, err := wire.Next(buf)
		if err != nil {
			return protocol.Event{}, err
		}
		if size == 0 {
			if buf, err = s.more(buf); err != nil {
				return protocol.Event{}, err
			}
			continue
		}
		buf = buf[size:]
		e, done, err := s.answer(f, event, channel)
		if done || err != nil {
			return e, err
		}
	}
}

// more reads what is there.
func (s *socket) more(buf []byte) ([]byte, error) {
	chunk := make([]byte, 2048)
	n, err := s.conn.Read(chunk)
	if n > 0 {
		return append(buf[:len(buf):len(buf)], chunk[:n]...), nil
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return nil, fmt.Errorf("no answer within %s", s.fleet.Timeout)
	}
	return nil, fmt.Errorf("the server closed the connection without a word: %w", err)
}

// answer looks at a frame while an event is awaited.
func (s *socket) answer(f wire.Frame, event, channel string) (e protocol.Event, done bool, err error) {
	switch f.Opcode {
	case wire.Close:
		code, reason := wire.CloseCode(f.Payload)
		return e, false, fmt.Errorf("the server closed the connection: %d %s", code, reason)
	case wire.Ping:
		_, err = s.conn.Write(wire.Append(nil, wire.Pong, f.Payload))
		return e, false, err
	case wire.Text:
	default:
		return e, false, nil
	}
	e, err = protocol.ParseEvent(f.Payload)
	if err != nil {
		return e, false, fmt.Errorf("the server sent what is no event: %.100s", f.Payload)
	}
	switch e.Event {
	case event:
		return e, channel == "" || e.Channel == channel, nil
	case eventError, eventRefused:
		return e, false, fmt.Errorf("the server refused: %s", e.Data)
	case eventPing:
		_, err = s.conn.Write(wire.Append(nil, wire.Text, pongMessage))
	}
	return e, false, err
}

// abandon closes a socket that no loop has.
func (s *socket) abandon() {
	if s.conn != nil {
		_ = s.conn.Close() // its result was counted
	}
}
