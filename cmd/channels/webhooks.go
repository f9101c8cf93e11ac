package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"channels/hub"
	"channels/hub/webhook"
)

// webhookSettings are those of an endpoint.
func webhookSettings() []setting[hub.Webhook] {
	return []setting[hub.Webhook]{
		{name: "url", meaning: "where occurrences are sent to, http or https",
			secret: true, field: func(w *hub.Webhook) value { return endpointURL{&w.URL} }},
		{name: "events", meaning: "which: " + strings.Join(webhook.Names(), ", "),
			field: func(w *hub.Webhook) value { return hooks{&w.Hooks} }},
		{name: "channel_prefix", meaning: "of the channels that it is told of; empty = all",
			field: func(w *hub.Webhook) value { return text{&w.ChannelPrefix} }},
		{name: "batch", fallback: "true", meaning: "up to 20 events in a request, after 250 ms at most; false = one",
			field: func(w *hub.Webhook) value { return boolean{&w.Batch} }},
		{name: "timeout", fallback: webhook.DefaultTimeout.String(), meaning: "for the answer",
			field: func(w *hub.Webhook) value { return answerTime{duration{&w.Timeout, 100 * time.Millisecond}} }},
	}
}

// newWebhook returns an endpoint with all defaults.
func newWebhook(l *loader) hub.Webhook {
	var w hub.Webhook
	for _, s := range webhookSettings() {
		if s.fallback != "" {
			apply(l, s, &w, s.name, s.fallback)
		}
	}
	return w
}

// readWebhooks reads an app's endpoints.
func (l *loader) readWebhooks(node *yaml.Node, field string) []hub.Webhook {
	if node.Kind != yaml.SequenceNode {
		l.mistake(place(field, node), "", "must be a list of endpoints")
		return nil
	}
	var all []hub.Webhook
	for i, each := range node.Content {
		name := fmt.Sprintf("%s[%d]", field, i)
		if each = resolved(each); each.Kind != yaml.MappingNode {
			l.mistake(place(name, each), "", "must be a mapping with url and events")
			continue
		}
		w := l.readWebhook(each, name)
		if slices.ContainsFunc(all, func(other hub.Webhook) bool {
			return other.URL == w.URL && other.ChannelPrefix == w.ChannelPrefix && w.URL != ""
		}) {
			l.mistake(place(name, each), "", "is the same url and channel_prefix as an endpoint before it: give one of them all events")
		}
		all = append(all, w)
	}
	return all
}

func (l *loader) readWebhook(mapping *yaml.Node, field string) hub.Webhook {
	w := newWebhook(l)
	seen := map[string]bool{}
	l.eachMember(mapping, field+".", func(key, node *yaml.Node) {
		seen[key.Value] = true
		if key.Value == "headers" {
			w.Headers = l.readHeaders(node, field+".headers")
			return
		}
		applyNode(l, webhookSettings(), &w, key.Value, field+"."+key.Value, key, node)
	})
	for _, name := range []string{"url", "events"} {
		if !seen[name] {
			l.mistake(place(field+"."+name, mapping), "", "is missing")
		}
	}
	return w
}

// readHeaders reads what is sent to an endpoint beside our own headers.
func (l *loader) readHeaders(node *yaml.Node, field string) map[string]string {
	if node.Kind != yaml.MappingNode {
		l.mistake(place(field, node), "", "must be a mapping of names and values")
		return nil
	}
	headers := map[string]string{}
	l.eachMember(node, field+".", func(key, value *yaml.Node) {
		name := http.CanonicalHeaderKey(key.Value)
		switch {
		case slices.Contains(webhook.ReservedHeaders(), name):
			l.mistake(place(field+"."+keyName(key), key), "", "is set by the server")
		case key.Value == "" || strings.ContainsFunc(key.Value, notInHeaderName):
			l.mistake(place(field+"."+keyName(key), key), "", "is no name of a header")
		case value.Kind != yaml.ScalarNode || strings.ContainsFunc(scalar(value), unicode.IsControl):
			l.mistake(place(field+"."+keyName(key), key), "", "must be a single line of text")
		default:
			headers[name] = scalar(value)
		}
	})
	return headers
}

func notInHeaderName(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// environmentWebhook is the endpoint that the environment may name.
func (l *loader) environmentWebhook(app *hub.App) (named []string) {
	w := newWebhook(l)
	for _, s := range webhookSettings() {
		if s.name != "url" && s.name != "events" {
			continue
		}
		if by := given(l, s, &w, "", "CHANNELS_APP_WEBHOOK_"+strings.ToUpper(s.name)); by != "" {
			named = append(named, by)
		}
	}
	switch len(named) {
	case 1:
		l.mistake(named[0], "", "needs both CHANNELS_APP_WEBHOOK_URL and CHANNELS_APP_WEBHOOK_EVENTS")
	case 2:
		app.Webhooks = []hub.Webhook{w}
	}
	return named
}

// webhookRoots are those who may sign endpoints' certificates; nil = the system's.
func webhookRoots(name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil
	}
	certificates, err := os.ReadFile(name)
	if err != nil {
		return nil, errors.New("must be a file that can be read: " + cause(err))
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(certificates) {
		return nil, errors.New("must hold certificates in PEM form")
	}
	return roots, nil
}

// answerTime is how long an endpoint may take to answer.
type answerTime struct{ duration }

// mostAnswerTime bounds it, since a request holds one of the endpoint's few places.
const mostAnswerTime = time.Minute

func (v answerTime) set(s string) error {
	var d time.Duration
	if err := (duration{&d, 0}).set(s); err != nil || d < v.min || d > mostAnswerTime {
		return fmt.Errorf("must be a duration between %s and 1m", v.min)
	}
	*v.to = d
	return nil
}

type text struct{ to *string }

func (v text) set(s string) error { *v.to = s; return nil }
func (v text) String() string     { return *v.to }

// endpointURL is where webhooks are sent to.
type endpointURL struct{ to *string }

func (v endpointURL) set(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" {
		return errors.New("must be a URL such as https://example.com/webhooks")
	}
	if u.Fragment != "" {
		return errors.New("must have no part after #, which is not sent")
	}
	*v.to = s
	return nil
}
func (v endpointURL) String() string { return *v.to }

// hooks are kinds of occurrences.
type hooks struct{ to *hub.Hooks }

func (v hooks) set(s string) error { return v.setAll(strings.Split(s, ",")) }

func (v hooks) setAll(items []string) error {
	var all hub.Hooks
	for _, name := range items {
		kind := webhook.KindOf(strings.TrimSpace(name))
		if kind == 0 {
			return fmt.Errorf("must be some of %s, not %s", strings.Join(webhook.Names(), ", "), shownValue(strings.TrimSpace(name)))
		}
		all |= kind
	}
	if all == 0 {
		return errors.New("must be some of " + strings.Join(webhook.Names(), ", "))
	}
	*v.to = all
	return nil
}

func (v hooks) String() string {
	var all []string
	for _, name := range webhook.Names() {
		if v.to.Has(webhook.KindOf(name)) {
			all = append(all, name)
		}
	}
	return strings.Join(all, ",")
}
