package target

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, ws, wantREST, wantWS string }{
		{"here", "http://k:s@127.0.0.1:6001/apps/1", "", "http://127.0.0.1:6001", "ws://127.0.0.1:6001/app/k"},
		{"over TLS", "https://k:s@example.com/apps/22/", "", "https://example.com", "wss://example.com/app/k"},
		{"sockets elsewhere", "https://k:s@api-eu.example.com/apps/1", "wss://ws-eu.example.com", "https://api-eu.example.com", "wss://ws-eu.example.com/app/k"},
		{"sockets below a path", "http://k:s@[::1]:80/apps/1", "ws://[::1]:81/sub", "http://[::1]:80", "ws://[::1]:81/sub/app/k"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.text, tt.ws)
			if err != nil {
				t.Fatal(err)
			}
			if got.REST.String() != tt.wantREST {
				t.Errorf("REST at %s, want %s", got.REST, tt.wantREST)
			}
			ws, _, _ := strings.Cut(got.WS.String(), "?")
			if ws != tt.wantWS {
				t.Errorf("sockets at %s, want %s", ws, tt.wantWS)
			}
			if got.Key != "k" || got.Secret != "s" {
				t.Errorf("key %q secret %q", got.Key, got.Secret)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, ws, want string }{
		{"no URL", "http://k:s@%zz", "", "is no URL"},
		{"no scheme", "127.0.0.1:6001", "", "is no URL"},
		{"another scheme", "ftp://k:s@h/apps/1", "", "neither http nor https"},
		{"no host", "http://k:s@/apps/1", "", "no host"},
		{"no secret", "http://k@h/apps/1", "", "no key and secret"},
		{"no app", "http://k:s@h/", "", "not /apps/ID"},
		{"sockets over http", "http://k:s@h/apps/1", "http://h", "not like ws://"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(tt.text, tt.ws)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "k:s@") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"http://k:s@127.0.0.1:1/apps/1": true, "http://k:s@127.9.9.9/apps/1": true, "http://k:s@[::1]/apps/1": true,
		"http://k:s@localhost/apps/1": true, "http://k:s@10.0.0.1/apps/1": false, "http://k:s@example.com/apps/1": false,
	} {
		got, err := Parse(text, "")
		if err != nil || got.Loopback() != want {
			t.Errorf("%s: loopback %v, error %v, want %v", text, got.Loopback(), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("http://k:s@127.0.0.1:6001/apps/1", "ws://h")
	f.Add("127.0.0.1", "")
	f.Fuzz(func(t *testing.T, text, ws string) {
		if got, err := Parse(text, ws); err == nil && (got.Key == "" || got.AppID == "" || got.WS.Host == "") {
			t.Errorf("%q gave %+v", text, got)
		}
	})
}
