package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"channels/chatapp"
)

// settings are all that the chat can be told, by the environment.
type settings struct {
	listen      string // address of the pages
	data        string // directory of the database
	databaseURL string // of PostgreSQL; "" is SQLite in data
	chat        chatapp.Config
	strays      []string // of the environment: what looks like a setting and is none
}

// setting is one of them: its variable, its default, what it means, and how it
// is read. An error says what a value should be.
type setting struct {
	name, absent, meaning string
	read                  func(s *settings, value string) error
}

// table lists all settings.
func table() []setting {
	return []setting{
		{"CHAT_LISTEN", "127.0.0.1:8080", "address to listen on", func(s *settings, v string) error {
			s.listen = v
			return checkAddress(v)
		}},
		{"CHAT_DATA", "./chat-data", "directory of the database", func(s *settings, v string) error {
			s.data = v
			return nil
		}},
		{"DATABASE_URL", "", "postgres://… instead of SQLite in CHAT_DATA", func(s *settings, v string) error {
			s.databaseURL = v
			if v != "" && !strings.HasPrefix(v, "postgres://") && !strings.HasPrefix(v, "postgresql://") {
				return errors.New("should begin with postgres://")
			}
			return nil
		}},
		{"CHAT_PUBLIC_URL", "", "address of the pages behind a proxy; with https, cookies are Secure", readPublicURL},
		{"CHAT_SIGNUP", chatapp.SignupOpen, "who may sign up: open, invite or closed; the first one always may", func(s *settings, v string) error {
			s.chat.Signup = v
			return oneOf(v, chatapp.SignupOpen, chatapp.SignupInvite, chatapp.SignupClosed)
		}},
		{"CHAT_TRANSPORT", chatapp.TransportPush, "push, or poll: browsers ask every two seconds", func(s *settings, v string) error {
			s.chat.Transport = v
			return oneOf(v, chatapp.TransportPush, chatapp.TransportPoll)
		}},
		{"PUSHER_APP_ID", "1", "id of the app at the realtime server", word(func(s *settings) *string { return &s.chat.Pusher.AppID })},
		{"PUSHER_KEY", "app-key", "its key", word(func(s *settings) *string { return &s.chat.Pusher.Key })},
		{"PUSHER_SECRET", "app-secret", "its secret", func(s *settings, v string) error {
			s.chat.Pusher.Secret = v
			return nil
		}},
		{"PUSHER_CLUSTER", "", "cluster of the hosted service, used without PUSHER_HOST", cluster},
		{"PUSHER_HOST", "", "host of the realtime server; without a cluster 127.0.0.1", host(func(s *settings) *string { return &s.chat.Pusher.Host })},
		{"PUSHER_PORT", "", "its port; 6001, with https 443", port(func(s *settings) *int { return &s.chat.Pusher.Port })},
		{"PUSHER_SCHEME", "http", "http or https; the hosted service is always https", scheme(func(s *settings) *string { return &s.chat.Pusher.Scheme })},
		{"PUSHER_RESUME", "false", "true: the app has resume, so that browsers are given what they have missed", func(s *settings, v string) error {
			s.chat.Pusher.Resume = v == "true"
			return oneOf(v, "true", "false")
		}},
		{"PUSHER_PUBLIC_HOST", "", "host that browsers are told; else PUSHER_HOST, or the page's own where that is this machine", host(func(s *settings) *string { return &s.chat.Pusher.PublicHost })},
		{"PUSHER_PUBLIC_PORT", "", "port that browsers are told; else PUSHER_PORT", port(func(s *settings) *int { return &s.chat.Pusher.PublicPort })},
		{"PUSHER_PUBLIC_SCHEME", "", "scheme that browsers are told; else PUSHER_SCHEME", scheme(func(s *settings) *string { return &s.chat.Pusher.PublicScheme })},
	}
}

// loadSettings reads all settings, and tells all mistakes at once.
func loadSettings(getenv func(string) string) (settings, error) {
	s := settings{chat: chatapp.Config{Version: version()}}
	var mistakes []error
	for _, row := range table() {
		value := strings.TrimSpace(getenv(row.name))
		if value == "" {
			value = row.absent
		}
		if err := row.read(&s, value); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s=%s %w", row.name, shown(row.name, value), err))
		}
	}
	if len(mistakes) > 0 {
		return settings{}, fmt.Errorf("the settings have mistakes:\n%w", errors.Join(mistakes...))
	}
	s.complete()
	return s, nil
}

// shown is a value as it may be printed.
func shown(name, value string) string {
	if name == "PUSHER_SECRET" || name == "DATABASE_URL" { // the address may hold a password
		return "…"
	}
	return strconv.Quote(value)
}

// complete sets what follows from other settings.
func (s *settings) complete() {
	p := &s.chat.Pusher
	if p.Host == "" && p.Cluster == "" {
		p.Host = "127.0.0.1"
	}
	if p.Port == 0 {
		p.Port = 6001
		if p.Scheme == "https" {
			p.Port = 443
		}
	}
}

func readPublicURL(s *settings, v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("should be like https://chat.example.com")
	}
	s.chat.PublicURL = u
	return nil
}

func checkAddress(v string) error {
	_, number, err := net.SplitHostPort(v)
	if n, convErr := strconv.Atoi(number); err != nil || convErr != nil || n < 0 || n > 65535 {
		return errors.New("should be like 127.0.0.1:8080")
	}
	return nil
}

func oneOf(v string, all ...string) error {
	if !slices.Contains(all, v) {
		return fmt.Errorf("should be one of %s", strings.Join(all, ", "))
	}
	return nil
}

// word is a setting that is part of a URL.
func word(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = v
		for _, r := range v {
			if r <= ' ' || r > '~' || strings.ContainsRune(`/?#%&+="'\`, r) {
				return errors.New("should be letters, digits, - and _")
			}
		}
		return nil
	}
}

// cluster becomes part of a host's name.
func cluster(s *settings, v string) error {
	s.chat.Pusher.Cluster = v
	if strings.ContainsFunc(v, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }) {
		return errors.New("should be like eu")
	}
	return nil
}

func host(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = strings.TrimSuffix(strings.TrimPrefix(v, "["), "]")
		if v != "" && !chatapp.IsHostName(*field(s)) {
			return errors.New("should be a host's name or address, without scheme and port")
		}
		return nil
	}
}

func port(field func(*settings) *int) func(*settings, string) error {
	return func(s *settings, v string) error {
		if v == "" {
			return nil
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 65535 {
			return errors.New("should be a port, 1 to 65535")
		}
		*field(s) = n
		return nil
	}
}

func scheme(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = v
		if v == "" {
			return nil
		}
		return oneOf(v, "http", "https")
	}
}
