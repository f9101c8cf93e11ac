//go:build conformance

package conformance

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// TestRefusedHandshake requires the error frame that pusher-js reads in its
// handshake, then the close frame that every client reads.
func TestRefusedHandshake(t *testing.T) {
	tests := []struct {
		name    string
		path    string
		code    int
		message string
	}{
		{"unknown key", "/app/nobody?protocol=7&client=js&version=8.6.0", 4001, "App key nobody not in this cluster. Did you forget to specify the cluster?"},
		{"key of a prefix", "/app/app-ke?protocol=7", 4001, "App key app-ke not in this cluster. Did you forget to specify the cluster?"},
		{"long unknown key", "/app/" + strings.Repeat("k", 300) + "?protocol=7", 4001, ""},
		{"wrong path", "/socket?protocol=7", 4005, "Path not found"},
		{"root", "/?protocol=7", 4005, "Path not found"},
		{"no key", "/app/?protocol=7", 4005, "Path not found"},
		{"too long a path", "/app/app-key/more?protocol=7", 4005, "Path not found"},
		{"path of the REST API", "/apps/1/events?protocol=7", 4005, "Path not found"},
		{"protocol 3", "/app/app-key?protocol=3", 4007, "Unsupported protocol version"},
		{"protocol 8", "/app/app-key?protocol=8", 4007, "Unsupported protocol version"},
		{"protocol 0", "/app/app-key?protocol=0", 4007, "Unsupported protocol version"},
		{"protocol -7", "/app/app-key?protocol=-7", 4007, "Unsupported protocol version"},
		{"protocol is no integer", "/app/app-key?protocol=seven", 4007, "Unsupported protocol version"},
		{"protocol 7.0", "/app/app-key?protocol=7.0", 4007, "Unsupported protocol version"},
		{"protocol of 30 digits", "/app/app-key?protocol=777777777777777777777777777777", 4007, "Unsupported protocol version"},
		{"no protocol", "/app/app-key?client=js&version=8.6.0", 4008, "No protocol version supplied"},
		{"no query", "/app/app-key", 4008, "No protocol version supplied"},
		{"query that does not parse", "/app/app-key?%zz&;", 4008, "No protocol version supplied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				c := dial(t, s, tt.path)
				if tt.message == "" { // longer than a close reason can be
					if e := c.expectError(); e.Code == nil || *e.Code != tt.code {
						t.Fatalf("pusher:error: got %v, want code %d", e, tt.code)
					}
				} else {
					c.expectErrorCode(tt.code, tt.message)
				}
				c.expectClose(tt.code, tt.message)
			})
		})
	}
}

// TestAcceptedHandshake covers what SDKs send that the server has to take.
func TestAcceptedHandshake(t *testing.T) {
	tests := []struct {
		name, path string
	}{
		{"protocol 4", "/app/app-key?protocol=4"},
		{"java: protocol 5", "/app/app-key?client=java-client&protocol=5&version=0.0.0-dev"},
		{"protocol 6", "/app/app-key?protocol=6"},
		{"swift: protocol 7, no flash", "/app/app-key?client=pusher-websocket-swift&protocol=7&version=10.1.10"},
		{"odd version", "/app/app-key?protocol=7&version=banana"},
		{"unknown parameters", "/app/app-key?x=1&protocol=7&y=%zz"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, start(t), tt.path)
			c.awaitEstablished()
			c.subscribe(room)
		})
	}
}

// TestSubprotocol offers what swift offers: the answer may name it or nothing.
func TestSubprotocol(t *testing.T) {
	t.Parallel()
	conn := dialStream(t, start(t))
	request := strings.TrimSuffix(upgradeRequest, "\r\n") + "Sec-WebSocket-Protocol: pusher-channels-protocol-7\r\n\r\n"
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	got := res.Header.Get("Sec-WebSocket-Protocol")
	if res.StatusCode != http.StatusSwitchingProtocols || got != "" && got != "pusher-channels-protocol-7" {
		t.Errorf("got %s with subprotocol %q, want 101 with none or the offered one", res.Status, got)
	}
}

func TestOrigin(t *testing.T) {
	const restricted = "CHANNELS_APP_ALLOWED_ORIGINS=https://shop.example"
	tests := []struct {
		name     string
		settings []string
		headers  []string
		refused  bool
	}{
		{"any by default", nil, []string{"Origin: https://elsewhere.example"}, false},
		{"null by default", nil, []string{"Origin: null"}, false},
		{"allowed", []string{restricted}, []string{"Origin: https://shop.example"}, false},
		{"not allowed", []string{restricted}, []string{"Origin: https://elsewhere.example"}, true},
		{"allowed one as a prefix", []string{restricted}, []string{"Origin: https://shop.example.evil.example"}, true},
		{"null", []string{restricted}, []string{"Origin: null"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tt.settings...)
			c := dial(t, s, defaultPath, tt.headers...)
			if !tt.refused {
				c.awaitEstablished()
				return
			}
			e := c.expectError()
			if e.Code == nil || *e.Code != 4009 {
				t.Errorf("pusher:error: got %v, want code 4009", e)
			}
			c.expectClose(4009, e.Message)
		})
	}
}

// TestPlainGetOfASocket asks for a socket without an upgrade.
func TestPlainGetOfASocket(t *testing.T) {
	t.Parallel()
	besideBystander(t, func(t *testing.T, s *server) {
		status, body := httpGetWith(t, s.httpClient(), s.url("http", defaultPath))
		if status != http.StatusBadRequest && status != http.StatusUpgradeRequired {
			t.Errorf("GET %s without an upgrade: got %d %q, want 400 or 426", defaultPath, status, body)
		}
	})
}

// TestBadUpgrade sends handshakes that RFC 6455 does not allow.
func TestBadUpgrade(t *testing.T) {
	const rest = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	tests := []struct {
		name, request string
	}{
		{"no key", "GET " + defaultPath + " HTTP/1.1\r\n" + rest + "Sec-WebSocket-Version: 13\r\n\r\n"},
		{"short key", "GET " + defaultPath + " HTTP/1.1\r\n" + rest + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n\r\n"},
		{"version 8", "GET " + defaultPath + " HTTP/1.1\r\n" + rest + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"},
		{"POST", "POST " + defaultPath + " HTTP/1.1\r\n" + rest + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"},
		{"header without an end", "GET " + defaultPath + " HTTP/1.1\r\nX: " + strings.Repeat("a", 2<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			besideBystander(t, func(t *testing.T, s *server) {
				conn := dialStream(t, s)
				_, _ = conn.Write([]byte(tt.request)) // may be cut short by the refusal
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					return // refused by closing the connection
				}
				if res.StatusCode < 400 || res.StatusCode > 499 {
					t.Errorf("answer: got %s, want 4xx", res.Status)
				}
			})
		})
	}
}
