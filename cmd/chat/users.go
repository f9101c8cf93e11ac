package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"channels/chatapp"
)

// userCommands are what the administrator does with an account, by the word that
// follows `chat user`. Each returns a sentence about what it has done.
var userCommands = map[string]func(ctx context.Context, store *chatapp.Store, name string) (string, error){
	"reset-password": resetPassword,
	"deactivate":     deactivate,
	"activate":       activate,
}

// changeUser carries out one of userCommands, beside a running chat or without.
func changeUser(ctx context.Context, s settings, word, name string, stdout io.Writer) (err error) {
	store, err := s.open(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	done, err := userCommands[word](ctx, store, name)
	if err != nil {
		return fmt.Errorf("%s %q: %w", word, name, err)
	}
	_, err = fmt.Fprintln(stdout, done)
	return err
}

// resetPassword gives a user a password that nobody knows but who reads it.
func resetPassword(ctx context.Context, store *chatapp.Store, name string) (string, error) {
	password := strings.ToLower(rand.Text()[:16])
	return fmt.Sprintf("The password of %s is now: %s", name, password), chatapp.ResetPassword(ctx, store, name, password)
}

func deactivate(ctx context.Context, store *chatapp.Store, name string) (string, error) {
	return name + " is deactivated: all sessions have ended, and nobody can sign in with that name.", chatapp.Deactivate(ctx, store, name)
}

func activate(ctx context.Context, store *chatapp.Store, name string) (string, error) {
	return name + " can sign in again.", chatapp.Activate(ctx, store, name)
}
