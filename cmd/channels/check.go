package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"channels/hub"
	"channels/hub/redisbus"
)

// developmentSecret is the default of an app's secret.
const developmentSecret = "app-secret"

// check looks at settings that depend on each other.
func (l *loader) check() {
	l.checkApps()
	l.checkLimits()
	l.checkListeners()
	l.checkTLS()
	l.checkWebhooks()
}

// checkWebhooks looks at the settings of the node that are for webhooks.
func (l *loader) checkWebhooks() {
	s := &l.settings
	if s.Data != "" && s.Redis != "" {
		l.mistake("data", shownValue(s.Data), "is for a node without Redis; with Redis, webhooks are kept there")
	}
	if s.WebhooksCAFile == "" || readable(s.WebhooksCAFile) != nil {
		return // none, or a mistake that has been told
	}
	if _, err := webhookRoots(s.WebhooksCAFile); err != nil {
		l.mistake("webhooks_ca_file", shownValue(s.WebhooksCAFile), err.Error())
	}
}

// checkLimits refuses limits of which one makes another useless.
func (l *loader) checkLimits() {
	s := &l.settings
	node := &s.Limits
	if node.MaxQueueBytes > 0 && node.MaxQueueBytes < node.MaxQueueBytesPerConnection {
		l.mistake("limits.max_queue_bytes", strconv.Itoa(node.MaxQueueBytes),
			fmt.Sprintf("must be at least limits.max_queue_bytes_per_connection, which is %d", node.MaxQueueBytesPerConnection))
	}
	for i, app := range s.Apps {
		field := func(name string) string { return fmt.Sprintf("apps[%d].%s", i, name) }
		if least := app.History.Bytes * redisbus.HistoryShare; app.History.Events > 0 && app.History.Total < least {
			l.mistake(field("history.total"), strconv.Itoa(app.History.Total),
				fmt.Sprintf("must be at least %d times history.bytes, which is %d: %d", redisbus.HistoryShare, app.History.Bytes, least))
		}
		l.checkResume(field, &app)
		if node.MaxRequestBytes > 0 && node.MaxRequestBytes < app.MaxEventBytes {
			l.mistake(field("max_event_bytes"), strconv.Itoa(app.MaxEventBytes),
				fmt.Sprintf("such an event does not fit in a request: limits.max_request_bytes is %d", node.MaxRequestBytes))
		}
		if app.CommandsPerSecond > 0 && app.ClientEventsPerSecond > app.CommandsPerSecond {
			l.mistake(field("client_events_per_second"), strconv.Itoa(app.ClientEventsPerSecond),
				fmt.Sprintf("must be at most commands_per_second, which is %d and counts client events too", app.CommandsPerSecond))
		}
	}
}

// checkResume looks at what an app must have so that clients can be given what they have
// missed.
func (l *loader) checkResume(field func(string) string, app *hub.App) {
	least := min(app.ActivityTimeout, hub.ResumeActivity) + time.Minute
	switch {
	case app.Resume == 0:
	case app.History.Events == 0:
		l.mistake(field("resume"), app.Resume.String(), "needs history.events: clients are given what they have missed from the channels' histories")
	case app.Resume < least:
		l.mistake(field("resume"), app.Resume.String(), fmt.Sprintf("must be at least %s, which is how long it takes to find that a client is away, and a minute", least))
	case app.Resume > app.History.Age:
		l.mistake(field("resume"), app.Resume.String(), fmt.Sprintf("must be at most history.age, which is %s", app.History.Age))
	}
}

// hasPublicSecret says whether an app has the secret for development.
func hasPublicSecret(apps []hub.App) bool {
	return slices.ContainsFunc(apps, func(app hub.App) bool {
		return app.Secret == developmentSecret || slices.Contains(app.OtherSecrets, developmentSecret)
	})
}

func (l *loader) checkApps() {
	ids, keys := map[string]bool{}, map[string]bool{}
	for i, app := range l.settings.Apps {
		field := func(name string) string { return fmt.Sprintf("apps[%d].%s", i, name) }
		if app.ID != "" && ids[app.ID] {
			l.mistake(field("id"), shownValue(app.ID), "another app has it")
		}
		if app.Key != "" && keys[app.Key] {
			l.mistake(field("key"), shownValue(app.Key), "another app has it")
		}
		ids[app.ID], keys[app.Key] = true, true
	}
}

func (l *loader) checkListeners() {
	s := &l.settings
	if s.Listen == "off" {
		l.mistake("listen", "off", "only ops_listen can be switched off")
	}
	if _, port, err := net.SplitHostPort(s.Listen); err == nil && port != "0" && s.Listen == s.OpsListen {
		l.mistake("ops_listen", shownValue(s.OpsListen), "must differ from listen")
	}
	if s.ProxyProtocol && len(s.TrustedProxies) == 0 {
		l.mistake("proxy_protocol", "true", "needs trusted_proxies: connections of others are closed")
	}
	if loopback(s.Listen) {
		return
	}
	if hasPublicSecret(s.Apps) {
		l.mistake("listen", shownValue(s.Listen),
			"the secret for development is public, so set a secret of your own, or listen on a loopback address")
	}
}

// checkTLS loads the certificate once, so that a key which does not belong to it
// is told here and not by the first client.
func (l *loader) checkTLS() {
	t := l.settings.TLS
	if (t.CertFile == "") != (t.KeyFile == "") {
		l.mistake("tls", "", "cert_file and key_file go together")
		return
	}
	if t.CertFile == "" || readable(t.CertFile) != nil || readable(t.KeyFile) != nil {
		return // none, or a mistake that has been told
	}
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		l.mistake("tls", "", "cert_file and key_file must be a certificate and its key, in PEM form: "+err.Error())
	}
}

// loopback says whether only this machine reaches the address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "localhost" {
		return true // other mistakes are told elsewhere
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
