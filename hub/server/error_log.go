package server

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// acceptErrorsEvery is how often errors of accepting are logged: the HTTP server
// reports each, several a second.
const acceptErrorsEvery = 10 * time.Second

// ErrorLog returns a logger for an http.Server, which tells by the texts' first
// words what is an operator's business. Panics, and connections that cannot be
// accepted, are errors. All else, such as TLS handshakes that fail, is what
// strangers do, and logged at debug.
func ErrorLog(l *slog.Logger) *log.Logger {
	return log.New(&errorLog{log: l}, "", 0)
}

// errorLog is where an http.Server's logger writes. Write may be called from any
// goroutine.
type errorLog struct {
	log *slog.Logger

	mu       sync.Mutex
	accepted time.Time // when an error of accepting was last logged
}

// Write implements io.Writer, for one message at a time.
func (l *errorLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	level := slog.LevelDebug
	switch {
	case strings.HasPrefix(text, "http: Accept error"):
		if l.acceptErrorIsDue() {
			level = slog.LevelError
		}
	case strings.HasPrefix(text, "http: panic serving"):
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, text)
	return len(p), nil
}

func (l *errorLog) acceptErrorIsDue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.accepted.IsZero() && now.Sub(l.accepted) < acceptErrorsEvery {
		return false
	}
	l.accepted = now
	return true
}
