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

	"channels/hub/scheduling"
)

func main() {
	if name, _ := commandOf(os.Args[1:]); name == "serve" {
		scheduling.SlackenTimers()
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run carries out one command until it is done or the process is told to end,
// and returns the exit code. What went wrong is told on stderr.
func run(ctx context.Context, args []string, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := command(ctx, args, environ, stdout, stderr)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(stderr, "channels:", line)
		}
	}
	return exitCode(err)
}

// errUsage is for a command line that says nothing we know.
var errUsage = errors.New("see `channels help`")

// exitCode is 2 for a wrong command line and 1 for everything else that fails.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	return 1
}

// command carries out one command.
func command(ctx context.Context, args []string, environ []string, stdout, stderr io.Writer) error {
	name, args := commandOf(args)
	switch name {
	case "help":
		return writeHelp(stdout)
	case "version":
		_, err := fmt.Fprintln(stdout, versionLine())
		return err
	case "serve", "check-config", "health", "reload", "webhooks":
	default:
		return unknownCommand(name)
	}
	var words []string
	if name == "webhooks" {
		words, args = operands(args)
	}
	s, err := loadSettings(args, lookup(environ))
	strays := strayVariables(environ)
	if err != nil {
		return beside(err, strays)
	}
	switch name {
	case "check-config":
		for _, each := range strays {
			fmt.Fprintln(stderr, each)
		}
		return writeSettings(stdout, s)
	case "health":
		return health(ctx, s, stdout)
	case "reload":
		told, err := askReload(ctx, s)
		if err == nil {
			_, err = fmt.Fprintln(stdout, told)
		}
		return err
	case "webhooks":
		return webhooks(ctx, s, words, stdout)
	}
	load := func() (Settings, error) { return loadSettings(args, lookup(environ)) }
	return beside(serve(ctx, s, load, strays, stderr), strays)
}

// beside adds stray variables to an error, of which they may be the cause.
func beside(err error, strays []strayVariable) error {
	if err == nil {
		return nil
	}
	all := []error{err}
	for _, each := range strays {
		all = append(all, each)
	}
	return errors.Join(all...)
}

// readableDuration writes durations as in 10s in JSON, too, which knows nanoseconds only.
func readableDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

func newLogger(format string, level slog.Leveler, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readableDuration}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
