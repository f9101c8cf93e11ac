//go:build conformance

package conformance

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// defaultPath is where pusher-js connects.
const defaultPath = "/app/" + appKey + "?protocol=7&client=js&version=8.6.0&flash=false"

// frame is one event as it arrived.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	UserID  json.RawMessage `json:"user_id"`

	Raw string `json:"-"`
}

// text gives data that is a JSON string, as the protocol wants it.
func (f frame) text(t testing.TB) string {
	t.Helper()
	var text string
	if err := json.Unmarshal(f.Data, &text); err != nil {
		t.Fatalf("data is not a JSON string: %s", f.Raw)
	}
	return text
}

// into decodes the JSON inside of the data string.
func (f frame) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.text(t)), v); err != nil {
		t.Fatalf("data is no JSON in a string: %v: %s", err, f.Raw)
	}
}

// protocolError is the data of a pusher:error.
type protocolError struct {
	Code    *int   `json:"code"`
	Message string `json:"message"`
}

func (e protocolError) String() string {
	if e.Code == nil {
		return fmt.Sprintf("null %q", e.Message)
	}
	return fmt.Sprintf("%d %q", *e.Code, e.Message)
}

// client is a raw WebSocket connection whose frames are read as they come.
type client struct {
	t    testing.TB
	conn *websocket.Conn

	SocketID string

	kind       kind
	extensions string // that the server has accepted

	frames chan frame
	ended  error // why reading ended; set before frames is closed
}

// dial upgrades a connection at path and reads what comes. A header is
// "Name: value".
func dial(t testing.TB, s *server, path string, headers ...string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	header := http.Header{}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		header.Add(name, value)
	}
	conn, res, err := websocket.Dial( //nolint:bodyclose // never has to be closed, says Dial
		ctx, s.url("ws", path), s.dialOptions(header))
	if err != nil {
		t.Fatalf("upgrade at %s: %v (response %+v)", path, err, res)
	}
	conn.SetReadLimit(4 << 20)
	c := &client{t: t, conn: conn, kind: s.kind, extensions: res.Header.Get("Sec-WebSocket-Extensions"), frames: make(chan frame, 10_000)}
	go c.read()
	t.Cleanup(func() { _ = conn.CloseNow() })
	return c
}

// connect gives an established connection.
func connect(t testing.TB, s *server, headers ...string) *client {
	t.Helper()
	c := dial(t, s, defaultPath, headers...)
	c.awaitEstablished()
	return c
}

func (c *client) read() {
	defer close(c.frames)
	for {
		kind, raw, err := c.conn.Read(context.Background())
		if err != nil {
			c.ended = err
			return
		}
		f := frame{Raw: string(raw)}
		if err := json.Unmarshal(raw, &f); err != nil || kind != websocket.MessageText {
			c.ended = fmt.Errorf("the server sent what is no event: %v %q: %w", kind, raw, err)
			return
		}
		c.frames <- f
	}
}

var socketIDForm = regexp.MustCompile(`^\d+\.\d+$`)

func (c *client) awaitEstablished() {
	c.t.Helper()
	f := c.expect("pusher:connection_established", "")
	var data struct {
		SocketID        string `json:"socket_id"`
		ActivityTimeout int    `json:"activity_timeout"`
	}
	f.into(c.t, &data)
	if !socketIDForm.MatchString(data.SocketID) || data.ActivityTimeout <= 0 {
		c.t.Fatalf("connection_established: got %s, want a socket_id of digits.digits and a positive activity_timeout", f.Raw)
	}
	c.SocketID = data.SocketID
	if c.kind.compressed && !strings.Contains(c.extensions, "permessage-deflate") {
		c.t.Fatalf("compression was offered, and the answer has extensions %q", c.extensions)
	}
}

// send writes one text frame as it stands.
func (c *client) send(text string) {
	c.t.Helper()
	c.write(websocket.MessageText, []byte(text))
}

func (c *client) write(kind websocket.MessageType, payload []byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.conn.Write(ctx, kind, payload); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// next gives the next frame.
func (c *client) next() frame {
	c.t.Helper()
	select {
	case f, ok := <-c.frames:
		if !ok {
			c.t.Fatalf("the connection ended where a frame was expected: %v", c.ended)
		}
		return f
	case <-time.After(patience):
		c.t.Fatalf("no frame within %v", patience)
	}
	panic("unreachable")
}

// expect requires that the next frame is this event. Any other frame in
// between fails the test.
func (c *client) expect(event, channel string) frame {
	c.t.Helper()
	f := c.next()
	if f.Event != event || f.Channel != channel {
		c.t.Fatalf("next frame: got %s, want event %q on channel %q", f.Raw, event, channel)
	}
	return f
}

// expectData requires the next frame and its data string.
func (c *client) expectData(event, channel, data string) frame {
	c.t.Helper()
	f := c.expect(event, channel)
	if got := f.text(c.t); got != data {
		c.t.Fatalf("data of %s on %s: got %q, want %q", event, channel, got, data)
	}
	return f
}

// expectError requires that the next frame is a pusher:error with an object as
// its data, as every SDK wants it.
func (c *client) expectError() protocolError {
	c.t.Helper()
	return c.expect("pusher:error", "").protocolError(c.t)
}

func (f frame) protocolError(t testing.TB) protocolError {
	t.Helper()
	var e protocolError
	var fields map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(f.Data, &e), json.Unmarshal(f.Data, &fields)); err != nil {
		t.Fatalf("data of pusher:error is not an object with code and message: %s", f.Raw)
	}
	if _, ok := fields["code"]; !ok || e.Message == "" {
		t.Fatalf("pusher:error without code or message: %s", f.Raw)
	}
	return e
}

// expectRefusal requires a pusher:error with a null code and this message. A
// message ending in "…" is only a beginning.
func (c *client) expectRefusal(message string) {
	c.t.Helper()
	c.expectErrorWith(nil, message)
}

// expectErrorCode requires a pusher:error with this code and message.
func (c *client) expectErrorCode(code int, message string) {
	c.t.Helper()
	c.expectErrorWith(&code, message)
}

func (c *client) expectErrorWith(code *int, message string) {
	c.t.Helper()
	got, want := c.expectError(), protocolError{Code: code, Message: message}
	begin, partly := strings.CutSuffix(message, "…")
	sameMessage := got.Message == message || partly && strings.HasPrefix(got.Message, begin)
	sameCode := got.Code == nil && code == nil || got.Code != nil && code != nil && *got.Code == *code
	if !sameMessage || !sameCode {
		c.t.Fatalf("pusher:error: got %v, want %v", got, want)
	}
}

// expectClose requires that the connection ends with this close code, and
// with this reason unless it is empty.
func (c *client) expectClose(code int, reason string) {
	c.t.Helper()
	select {
	case f, open := <-c.frames:
		if open {
			c.t.Fatalf("got %s, want close %d", f.Raw, code)
		}
	case <-time.After(patience):
		c.t.Fatalf("not closed within %v, want close %d", patience, code)
	}
	var closed websocket.CloseError
	if !errors.As(c.ended, &closed) {
		c.t.Fatalf("the connection ended without a close frame (%v), want close %d", c.ended, code)
	}
	if int(closed.Code) != code || reason != "" && closed.Reason != reason {
		c.t.Fatalf("close: got %d %q, want %d %q", closed.Code, closed.Reason, code, reason)
	}
}

// answers requires that the connection is open, and that nothing came before
// the answer to a ping.
func (c *client) answers() {
	c.t.Helper()
	c.send(`{"event":"pusher:ping","data":{}}`)
	c.expectData("pusher:pong", "", "{}")
}

// subscribe joins a channel that needs no signature.
func (c *client) subscribe(channel string) {
	c.t.Helper()
	c.send(subscribeFrame(channel, "", ""))
	c.expectData("pusher_internal:subscription_succeeded", channel, "{}")
}

// subscribePrivate joins a private channel.
func (c *client) subscribePrivate(channel string) {
	c.t.Helper()
	c.send(subscribeFrame(channel, c.auth(channel, ""), ""))
	c.expectData("pusher_internal:subscription_succeeded", channel, "{}")
}

// roster is what a presence channel tells a subscriber.
type roster struct {
	Presence struct {
		Count int                        `json:"count"`
		IDs   []string                   `json:"ids"`
		Hash  map[string]json.RawMessage `json:"hash"`
	} `json:"presence"`
}

// subscribePresence joins a presence channel and gives the roster.
func (c *client) subscribePresence(channel, channelData string) roster {
	c.t.Helper()
	c.send(subscribeFrame(channel, c.auth(channel, channelData), channelData))
	var r roster
	c.expect("pusher_internal:subscription_succeeded", channel).into(c.t, &r)
	return r
}

func (c *client) unsubscribe(channel string) {
	c.t.Helper()
	c.send(`{"event":"pusher:unsubscribe","data":{"channel":` + quote(channel) + `}}`)
}

// auth signs a subscription of this connection.
func (c *client) auth(channel, channelData string) string {
	text := c.SocketID + ":" + channel
	if channelData != "" {
		text += ":" + channelData
	}
	return appKey + ":" + sign(appSecret, text)
}

func subscribeFrame(channel, auth, channelData string) string {
	data := map[string]string{"channel": channel, "auth": auth}
	if channelData != "" {
		data["channel_data"] = channelData
	}
	body, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(body)
}

// sign is the signature of the protocol: lower-case hex HMAC-SHA256.
func sign(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}
