package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"channels/chatapp"
)

// How long the end may take: answers that are under way, then what is left to
// be told to browsers.
const (
	answersGrace = 10 * time.Second
	relayGrace   = 3 * time.Second
)

func newLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// open opens the database that the settings name.
func (s settings) open(ctx context.Context, visitor bool) (*chatapp.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return chatapp.OpenStore(ctx, chatapp.StoreConfig{
		URL: s.databaseURL, Dir: s.data, Visitor: visitor, Holder: "chat on " + s.listen,
	})
}

// serve serves the chat until the context ends.
func serve(ctx context.Context, s settings, log *slog.Logger) (err error) {
	defer surviveHangups(log)()
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("CHAT_LISTEN: %w", err)
	}
	defer listener.Close() //nolint:errcheck // the server has closed it
	store, err := s.open(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	app, err := chatapp.NewServer(s.chat, store, log)
	if err != nil {
		return err
	}
	log.Info("chat", "listen", listener.Addr().String(), "version", version(), "signup", s.chat.Signup, "transport", s.chat.Transport)
	for _, each := range s.strays {
		log.Warn("a variable of the environment is ignored", "variable", each)
	}
	return serveOn(ctx, listener, app, log)
}

// serveOn serves until the context ends, then finishes what was begun.
func serveOn(ctx context.Context, listener net.Listener, app *chatapp.Server, log *slog.Logger) error {
	// Live delivery goes on until the last answer is given.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { app.Run(background) })

	server := &http.Server{
		Handler:           app,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	running.Go(func() { served <- server.Serve(listener) })
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("ending")
	grace, cancel := context.WithTimeout(background, answersGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("wait for answers under way: %w", err), server.Close())
	}
	drain, cancel := context.WithTimeout(background, relayGrace)
	defer cancel()
	app.Drain(drain)
	return err
}

// backup copies the database, beside a running chat or without.
func backup(ctx context.Context, s settings, path string, stdout io.Writer) (err error) {
	store, err := s.open(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Backup(ctx, path); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "The database is in", path)
	return err
}
