package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"channels/hub"
)

// Mistake is one thing that is wrong with the settings.
type Mistake struct {
	Field   string // where, such as apps[1].max_batch
	Value   string // what it is; "" when there is nothing to show
	Problem string // what it should be
}

// Error implements error.
func (m Mistake) Error() string {
	if m.Value == "" {
		return m.Field + ": " + m.Problem
	}
	return fmt.Sprintf("%s: %s: %s", m.Field, m.Value, m.Problem)
}

// developmentSecret is the default of an app's secret.
const developmentSecret = "app-secret"

// loader gathers settings from their sources, and all mistakes on the way.
type loader struct {
	getenv   func(string) string
	flags    map[string]string // by name, as they are written
	mistakes []error
	settings Settings
	single   string // where the single app was named; "" = nowhere
}

// loadSettings reads flags, environment and file, and checks everything. The
// error joins a Mistake for all that is wrong.
func loadSettings(args []string, getenv func(string) string) (Settings, error) {
	l := &loader{getenv: getenv}
	l.parseFlags(args)
	for _, s := range serverSettings() {
		apply(l, s, &l.settings, s.name, s.fallback)
	}
	if name := l.source("config", "CHANNELS_CONFIG"); name != "" {
		l.readFile(name)
	}
	for _, s := range serverSettings() {
		given(l, s, &l.settings, s.flagName(), s.envName("CHANNELS_"))
	}
	l.addSingleApp()
	l.check()
	return l.settings, errors.Join(l.mistakes...)
}

func (l *loader) mistake(field, value, problem string) {
	l.mistakes = append(l.mistakes, Mistake{field, value, problem})
}

// flagName is how the setting is written as a flag, without dashes.
func (s setting[T]) flagName() string {
	if !s.flag {
		return ""
	}
	return strings.ReplaceAll(s.name, "_", "-")
}

func (s setting[T]) envName(prefix string) string {
	if s.env != "" {
		return s.env
	}
	return prefix + strings.ToUpper(strings.ReplaceAll(s.name, ".", "_"))
}

// source returns what a flag, or else an environment variable, says.
func (l *loader) source(flag, env string) string {
	if v, ok := l.flags[flag]; ok {
		return v
	}
	return l.getenv(env)
}

// given applies what the environment and then a flag say.
func given[T any](l *loader, s setting[T], to *T, flag, env string) (named bool) {
	if v := l.getenv(env); v != "" {
		apply(l, s, to, env, v)
		named = true
	}
	if v, ok := l.flags[flag]; ok && flag != "" {
		apply(l, s, to, "--"+flag, v)
		named = true
	}
	return named
}

// apply fills a setting's field, and notes a mistake under the name by which it
// was given.
func apply[T any](l *loader, s setting[T], to *T, name, v string) {
	if err := s.field(to).set(v); err != nil {
		if s.secret {
			v = ""
		} else {
			v = fmt.Sprintf("%q", v)
		}
		l.mistake(name, v, err.Error())
	}
}

// newApp returns an app with all defaults but for its credentials.
func newApp(l *loader) hub.App {
	var app hub.App
	for _, s := range appSettings() {
		if !s.flag {
			apply(l, s, &app, s.name, s.fallback)
		}
	}
	return app
}

// addSingleApp adds the app of flags and environment. Without any app it is the
// one for development; beside apps of a file it is a mistake.
func (l *loader) addSingleApp() {
	app := newApp(l)
	for _, s := range appSettings() {
		flag := ""
		if s.flag {
			flag = "app-" + s.name
			apply(l, s, &app, s.name, s.fallback)
		}
		env := s.envName("CHANNELS_APP_")
		if given(l, s, &app, flag, env) {
			l.single = env
		}
	}
	switch {
	case len(l.settings.Apps) == 0:
		l.settings.Apps = []hub.App{app}
	case l.single != "":
		l.mistake(l.single, "", "apps are named in the file, so flags and environment must not name one too")
	}
}

// check looks at settings that depend on each other.
func (l *loader) check() {
	s := &l.settings
	l.checkApps()
	if s.Listen == "off" {
		l.mistake("listen", "off", "only ops_listen can be switched off")
	}
	if (s.TLS.CertFile == "") != (s.TLS.KeyFile == "") {
		l.mistake("tls", "", "cert_file and key_file go together")
	}
	if s.Redis != "" {
		l.mistake("redis", "", "several nodes over Redis are not supported yet")
	}
	s.DevelopmentApp = len(s.Apps) == 1 && s.Apps[0].Secret == developmentSecret
}

func (l *loader) checkApps() {
	ids, keys := map[string]bool{}, map[string]bool{}
	for i, app := range l.settings.Apps {
		field := func(name string) string { return fmt.Sprintf("apps[%d].%s", i, name) }
		if app.ID != "" && ids[app.ID] {
			l.mistake(field("id"), app.ID, "another app has it")
		}
		if app.Key != "" && keys[app.Key] {
			l.mistake(field("key"), app.Key, "another app has it")
		}
		ids[app.ID], keys[app.Key] = true, true
		if app.Secret == developmentSecret && !loopback(l.settings.Listen) {
			l.mistake("listen", l.settings.Listen,
				"the secret for development is public, so set a secret of your own, or listen on a loopback address")
		}
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

// parseFlags reads --name value and --name=value, with one dash or two.
func (l *loader) parseFlags(args []string) {
	known := map[string]bool{"config": true}
	for _, s := range serverSettings() {
		known[s.flagName()] = s.flag
	}
	for _, s := range appSettings() {
		known["app-"+s.flagName()] = s.flag
	}
	l.flags = make(map[string]string)
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, v, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if !strings.HasPrefix(arg, "-") || !known[name] {
			l.mistakes = append(l.mistakes, fmt.Errorf("unknown argument %q: %w", arg, errUsage))
			if !hasValue && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				args = args[1:] // its value, most likely
			}
			continue
		}
		if !hasValue {
			if len(args) == 0 {
				l.mistake("--"+name, "", "needs a value")
				continue
			}
			v, args = args[0], args[1:]
		}
		l.flags[name] = v
	}
}

// writeSettings shows the settings in effect, in the form of a file.
func writeSettings(w io.Writer, s Settings) error {
	var b strings.Builder
	section := ""
	for _, each := range serverSettings() {
		name, indent := each.name, ""
		if group, rest, ok := strings.Cut(each.name, "."); ok {
			if group != section {
				fmt.Fprintf(&b, "%s:\n", group)
				section = group
			}
			name, indent = rest, "  "
		}
		fmt.Fprintf(&b, "%s%s: %s\n", indent, name, shown(each.secret, each.field(&s).String()))
	}
	b.WriteString("apps:\n")
	for i := range s.Apps {
		mark := "  - "
		for _, each := range appSettings() {
			fmt.Fprintf(&b, "%s%s: %s\n", mark, each.name, shown(each.secret, each.field(&s.Apps[i]).String()))
			mark = "    "
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func shown(secret bool, v string) string {
	if secret && v != "" {
		return "'***'"
	}
	return fmt.Sprintf("%q", v)
}
