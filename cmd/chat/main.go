// Command chat is a chat for a team, live through any server that speaks the
// Pusher Channels protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
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
		fmt.Fprintln(stderr, "chat:", err)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	return 1
}

// errUsage is for a command line that says nothing we know.
var errUsage = errors.New("see `chat help`")

// command carries out one command; none means serve.
func command(ctx context.Context, args []string, environ []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		args = []string{"serve"}
	}
	switch {
	case len(args) == 1 && (args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help"):
		return writeHelp(stdout)
	case len(args) == 1 && args[0] == "version":
		_, err := fmt.Fprintln(stdout, "chat", version())
		return err
	}
	do, err := commandOf(args)
	if err != nil {
		return err
	}
	s, err := loadSettings(lookup(environ))
	s.strays = strayVariables(environ)
	if err == nil {
		err = do(ctx, s, stdout, stderr)
	}
	if err != nil && len(s.strays) > 0 { // they may be the cause
		err = fmt.Errorf("%w\n%s", err, strings.Join(s.strays, "\n"))
	}
	return err
}

// commandOf finds the command of a command line that needs settings.
func commandOf(args []string) (func(context.Context, settings, io.Writer, io.Writer) error, error) {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return func(ctx context.Context, s settings, _, stderr io.Writer) error {
			return serve(ctx, s, newLogger(stderr))
		}, nil
	case len(args) == 1 && args[0] == "health":
		return func(ctx context.Context, s settings, stdout, _ io.Writer) error {
			return health(ctx, s, stdout)
		}, nil
	case len(args) == 2 && args[0] == "backup" && args[1] != "":
		return func(ctx context.Context, s settings, stdout, _ io.Writer) error {
			return backup(ctx, s, args[1], stdout)
		}, nil
	case len(args) == 3 && args[0] == "user" && userCommands[args[1]] != nil:
		return func(ctx context.Context, s settings, stdout, _ io.Writer) error {
			return changeUser(ctx, s, args[1], args[2], stdout)
		}, nil
	}
	return nil, fmt.Errorf("unknown command %q: %w", args, errUsage)
}
