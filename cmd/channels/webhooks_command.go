package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"channels/hub/webhook"
)

// errWebhooks is for a command line of `channels webhooks` that says nothing we know.
var errWebhooks = fmt.Errorf("webhooks: say list [APP], failed [APP], replay ID [APP], replay all [APP], or test [URL] [APP]: %w", errUsage)

// webhooksTimeout is how long the server may take for it; a test waits for the endpoints.
const webhooksTimeout = 40 * time.Second

// webhooks asks the server with these settings, on this machine, about its webhooks.
func webhooks(ctx context.Context, s Settings, words []string, stdout io.Writer) error {
	if len(words) == 0 {
		return errWebhooks
	}
	ask := url.Values{}
	verb, words := words[0], words[1:]
	take := func(name string, is func(string) bool) bool {
		if len(words) == 0 || !is(words[0]) {
			return false
		}
		ask.Set(name, words[0])
		words = words[1:]
		return true
	}
	anything := func(string) bool { return true }
	method, show := http.MethodGet, showOverview
	switch verb {
	case "list":
	case "failed":
		show = showFailed
	case "replay":
		method, show = http.MethodPost, showReplayed
		if !take("id", anything) {
			return errWebhooks
		}
	case "test":
		method, show = http.MethodPost, showAttempts
		take("url", func(word string) bool { return strings.Contains(word, "://") })
	default:
		return errWebhooks
	}
	if take("app", anything); len(words) > 0 {
		return errWebhooks
	}
	ctx, cancel := context.WithTimeout(ctx, webhooksTimeout)
	defer cancel()
	text, err := operate(ctx, s, method, "/webhooks/"+verb+"?"+ask.Encode())
	if err != nil {
		return err
	}
	return show(text, stdout)
}

func showOverview(text []byte, w io.Writer) error {
	var o webhook.Overview
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	fmt.Fprintf(w, "app %s: %s\n", o.App, strings.Join(o.Endpoints, ", "))
	for i := range o.Recent {
		showAttempt(&o.Recent[i], w)
	}
	_, err := fmt.Fprintf(w, "%d recent requests; %d deliveries were given up\n", len(o.Recent), o.Failed)
	return err
}

func showAttempt(a *webhook.Attempt, w io.Writer) {
	outcome := fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
	if a.Error != "" {
		outcome = a.Error
	}
	fmt.Fprintf(w, "%s  %s  try %d, %d events, %v: %s", a.At.Local().Format(time.DateTime), a.ID, a.Try, a.Events, a.Took.Round(time.Millisecond), outcome)
	if a.Answer != "" {
		fmt.Fprintf(w, " %q", a.Answer)
	}
	fmt.Fprintf(w, "  %s\n", a.URL)
}

func showFailed(text []byte, w io.Writer) error {
	var all []webhook.Failed
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for _, f := range all {
		fmt.Fprintf(w, "%s  %s  %s: %s\n  %s\n", f.Created.Local().Format(time.DateTime), f.ID, f.URL, f.Reason, f.Body)
	}
	_, err := fmt.Fprintf(w, "%d deliveries were given up\n", len(all))
	return err
}

func showReplayed(text []byte, w io.Writer) error {
	var answer struct {
		Replayed int `json:"replayed"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d deliveries are sent again\n", answer.Replayed)
	return err
}

// errTestFailed is for an endpoint that did not take a test event.
var errTestFailed = errors.New("not every endpoint has taken the test event")

func showAttempts(text []byte, w io.Writer) error {
	var attempts []webhook.Attempt
	if err := json.Unmarshal(text, &attempts); err != nil {
		return err
	}
	var err error
	for i := range attempts {
		attempts[i].Try = 1
		showAttempt(&attempts[i], w)
		if attempts[i].Error != "" || attempts[i].Status/100 != 2 {
			err = errTestFailed
		}
	}
	return err
}
