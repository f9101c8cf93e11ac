package wire

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// acceptSuffix is what RFC 6455 appends to the key.
const acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Handshake makes a WebSocket connection of a connection. It returns what the
// server sent right behind its answer. The caller sets deadlines and closes.
func Handshake(conn net.Conn, address *url.URL, header http.Header) (rest []byte, err error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	if _, err := io.WriteString(conn, request(address, key, header)); err != nil {
		return nil, fmt.Errorf("send the handshake: %w", err)
	}
	r := bufio.NewReaderSize(conn, 1024)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, fmt.Errorf("read the handshake's answer: %w", err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // it only adds to the message
		_ = res.Body.Close()
		return nil, fmt.Errorf("the handshake was refused: %s %s", res.Status, strings.TrimSpace(string(text)))
	}
	sum := sha1.Sum([]byte(key + acceptSuffix)) //nolint:gosec // RFC 6455 asks for it
	if res.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("the handshake's answer is not that of a WebSocket server")
	}
	rest = make([]byte, r.Buffered())
	_, _ = io.ReadFull(r, rest) // they are there
	return rest, nil
}

func request(address *url.URL, key string, header http.Header) string {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", address.RequestURI(), address.Host, key)
	_ = header.Write(&b) // a builder takes everything
	b.WriteString("\r\n")
	return b.String()
}
