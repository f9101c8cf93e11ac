package main

import (
	"crypto/tls"
	"fmt"
	"net"
)

// developmentSecret is the default of an app's secret.
const developmentSecret = "app-secret"

// check looks at settings that depend on each other.
func (l *loader) check() {
	s := &l.settings
	l.checkApps()
	l.checkListeners()
	l.checkTLS()
	s.DevelopmentApp = len(s.Apps) == 1 && s.Apps[0].Secret == developmentSecret
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
	if loopback(s.Listen) {
		return
	}
	for _, app := range s.Apps {
		if app.Secret == developmentSecret {
			l.mistake("listen", shownValue(s.Listen),
				"the secret for development is public, so set a secret of your own, or listen on a loopback address")
			return
		}
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
