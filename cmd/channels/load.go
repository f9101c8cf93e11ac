package main

import (
	"errors"
	"strings"

	"channels/hub"
)

// loader gathers settings from their sources, and all mistakes on the way.
type loader struct {
	getenv   func(string) string
	flags    map[string]string // by name, as they are written
	mistakes []error
	settings Settings
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
		l.settings.Config = name
		l.readFile(name)
	}
	for _, s := range serverSettings() {
		given(l, s, &l.settings, s.flagName(), s.envName("CHANNELS_"))
	}
	l.addSingleApp()
	l.check()
	return l.settings, errors.Join(l.mistakes...)
}

// envName is the environment variable of a setting, below a prefix.
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

// given applies what the environment and then a flag say. It returns the name
// by which the setting was given, or "" if it was not.
func given[T any](l *loader, s setting[T], to *T, flag, env string) (by string) {
	if v := l.getenv(env); v != "" {
		apply(l, s, to, env, v)
		by = env
	}
	if v, ok := l.flags[flag]; ok && flag != "" {
		by = "--" + flag
		apply(l, s, to, by, v)
	}
	return by
}

// apply fills a setting's field, and notes a mistake under the name by which it
// was given.
func apply[T any](l *loader, s setting[T], to *T, name, v string) {
	noteMistake(l, s, name, v, s.field(to).set(v))
}

func noteMistake[T any](l *loader, s setting[T], name, v string, err error) {
	if err == nil {
		return
	}
	if s.secret {
		l.mistake(name, "", err.Error())
		return
	}
	l.mistake(name, shownValue(v), err.Error())
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
	var named []string
	for _, s := range appSettings() {
		flag := ""
		if s.flag {
			flag = "app-" + s.flagName()
			apply(l, s, &app, s.name, s.fallback)
		}
		if by := given(l, s, &app, flag, s.envName("CHANNELS_APP_")); by != "" {
			named = append(named, by)
		}
	}
	named = append(named, l.environmentWebhook(&app)...)
	if l.getenv("CHANNELS_APP_SECRETS") != "" && l.source("app-secret", "CHANNELS_APP_SECRET") != "" {
		l.mistake("CHANNELS_APP_SECRETS", "", "stands in place of the single secret, which is set too")
	}
	switch {
	case !l.settings.FileApps:
		l.settings.Apps = []hub.App{app}
	case len(named) > 0:
		l.mistake(strings.Join(named, ", "), "", "apps are named in the file, so flags and environment must not name one too")
	}
}
