package main

import (
	"strings"
	"testing"

	"channels/chatapp"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestSettings(t *testing.T) {
	local := chatapp.Pusher{AppID: "1", Key: "app-key", Secret: "app-secret", Host: "127.0.0.1", Port: 6001, Scheme: "http"}
	hosted := local
	hosted.Host, hosted.Cluster = "", "eu"
	tls := local
	tls.Host, tls.Port, tls.Scheme = "ws.example.com", 443, "https"
	for name, test := range map[string]struct {
		env  map[string]string
		want chatapp.Pusher
	}{
		"defaults":             {nil, local},
		"a cluster":            {map[string]string{"PUSHER_CLUSTER": "eu"}, hosted},
		"a host with TLS":      {map[string]string{"PUSHER_HOST": "ws.example.com", "PUSHER_SCHEME": "https"}, tls},
		"spaces around values": {map[string]string{"PUSHER_HOST": " 127.0.0.1 "}, local},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := loadSettings(env(test.env))
			if err != nil || s.chat.Pusher != test.want {
				t.Errorf("got %+v, %v; want %+v", s.chat.Pusher, err, test.want)
			}
		})
	}
}

// TestMistakes checks that all are told at once, with name and value, and that
// secrets are not.
func TestMistakes(t *testing.T) {
	wrong := map[string]string{
		"CHAT_LISTEN": "nowhere", "CHAT_SIGNUP": "maybe", "CHAT_TRANSPORT": "pigeon", "CHAT_PUBLIC_URL": "chat.example.com",
		"PUSHER_PORT": "70000", "PUSHER_SCHEME": "ftp", "PUSHER_HOST": "http://x", "PUSHER_APP_ID": "a/b", "PUSHER_KEY": "a b",
		"PUSHER_CLUSTER": "e.u", "PUSHER_PUBLIC_HOST": "x:1", "PUSHER_PUBLIC_PORT": "x", "PUSHER_PUBLIC_SCHEME": "ws",
	}
	all := map[string]string{"DATABASE_URL": "mysql://me:hidden@x"}
	for name, value := range wrong {
		all[name] = value
	}
	_, err := loadSettings(env(all))
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for name, value := range wrong {
		if !strings.Contains(err.Error(), name+`="`+value+`"`) {
			t.Errorf("%s=%s is not among the mistakes: %v", name, value, err)
		}
	}
	if !strings.Contains(err.Error(), "DATABASE_URL=") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("DATABASE_URL should be told without its password: %v", err)
	}
}
