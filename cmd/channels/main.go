// Command channels is a realtime server that speaks the Pusher Channels
// protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "channels:", err)
		os.Exit(exitCode(err))
	}
}

// errUsage is for a command line that says nothing we know.
var errUsage = errors.New("see `channels help`")

// exitCode is 2 for a wrong command line and 1 for everything else.
func exitCode(err error) int {
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// run carries out one command; none means serve.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	command := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	if wantsHelp(args) {
		command, args = "help", nil
	}
	switch command {
	case "help":
		return writeHelp(stdout)
	case "version":
		_, err := fmt.Fprintln(stdout, versionLine())
		return err
	case "serve", "check-config":
	default:
		return fmt.Errorf("unknown command %q: %w", command, errUsage)
	}
	s, err := loadSettings(args, getenv)
	if err != nil {
		return err
	}
	if command == "check-config" {
		return writeSettings(stdout, s)
	}
	return serve(ctx, s, newLogger(s, stderr))
}

func wantsHelp(args []string) bool {
	for _, arg := range args {
		if arg == "-h" || arg == "-help" || arg == "--help" {
			return true
		}
	}
	return false
}

func newLogger(s Settings, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
