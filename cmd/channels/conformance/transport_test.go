//go:build conformance

package conformance

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"net"
	"net/http"
	"net/url"
	"strings"

	"channels/loadtest/overhttp"
)

// transportVariable says what carries the connections of [dial], by pusher-js's
// names; without it they are WebSockets.
const transportVariable = "CHANNELS_TEST_TRANSPORT"

// overHTTP makes a WebSocket's handshake for the library, and carries its frames over
// an HTTP transport.
type overHTTP struct {
	transport string
	tls       *tls.Config // nil = none
}

// RoundTrip implements http.RoundTripper.
func (o overHTTP) RoundTrip(r *http.Request) (*http.Response, error) {
	header := r.Header.Clone()
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol"} {
		header.Del(name)
	}
	server := &url.URL{Scheme: "http", Host: r.URL.Host}
	transport := &http.Transport{TLSClientConfig: o.tls}
	if o.tls != nil {
		server.Scheme = "https"
	}
	conn := overhttp.New(overhttp.Options{
		Server: server, Key: strings.TrimPrefix(r.URL.Path, "/app/"), Query: r.URL.RawQuery,
		Streaming: o.transport == "xhr_streaming", Header: header,
		Dial: func(ctx context.Context) (net.Conn, error) {
			if o.tls != nil {
				return (&tls.Dialer{Config: o.tls}).DialContext(ctx, "tcp", server.Host)
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", server.Host)
		},
		Sends: &http.Client{Transport: transport, Timeout: patience},
	})
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols,
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])},
		},
		Body: &wholeFrames{Conn: conn, transport: transport},
	}, nil
}

// wholeFrames hands a client's frames on when they are whole.
type wholeFrames struct {
	*overhttp.Conn
	transport *http.Transport
	held      []byte
}

// Write implements io.Writer for any part of a frame.
func (w *wholeFrames) Write(part []byte) (int, error) {
	w.held = append(w.held, part...)
	for {
		size := sizeOfMasked(w.held)
		if size == 0 || len(w.held) < size {
			return len(part), nil
		}
		if _, err := w.Conn.Write(w.held[:size]); err != nil {
			return 0, err
		}
		w.held = w.held[size:]
	}
}

// Close ends the session and its connections.
func (w *wholeFrames) Close() error {
	defer w.transport.CloseIdleConnections()
	return w.Conn.Close()
}

// sizeOfMasked returns the size of the masked frame at the front; 0 = its head is not
// whole.
func sizeOfMasked(b []byte) int {
	const mask = 4
	if len(b) < 2 {
		return 0
	}
	switch n := int(b[1] & 0x7f); {
	case n < 126:
		return 2 + mask + n
	case n == 126 && len(b) >= 4:
		return 4 + mask + int(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= 10:
		return 10 + mask + int(binary.BigEndian.Uint64(b[2:]))
	}
	return 0
}
