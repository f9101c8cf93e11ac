package main

import (
	"fmt"
	"io"
	"strings"
)

// helpWidth is how many columns a terminal has at least.
const helpWidth = 80

// writeHelp lists the commands, then every setting.
func writeHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString("channels is a realtime server that speaks the Pusher Channels protocol.\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  channels %s\n%s", c.usage, wrapped(c.meaning, 6))
	}
	b.WriteString(`
A setting is taken from its flag, else from its environment variable, else from
the YAML file that --config or CHANNELS_CONFIG names, else it has its default.
check-config, health and the others take the same settings as the server.

  --config, CHANNELS_CONFIG
      YAML file with settings and apps
`)
	for _, s := range serverSettings() {
		writeSetting(&b, s, s.flagName(), s.envName("CHANNELS_"))
	}
	b.WriteString("\nPer app, in the file below apps: as a list; flags and environment describe a\nsingle app:\n\n")
	for _, s := range appSettings() {
		flag := s.flagName()
		if flag != "" {
			flag = "app-" + flag
		}
		writeSetting(&b, s, flag, s.envName("CHANNELS_APP_"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeSetting names a setting in all of its forms, with its default and meaning.
func writeSetting[T any](b *strings.Builder, s setting[T], flag, env string) {
	names := []string{s.name, env}
	if flag != "" {
		names = []string{"--" + flag, s.name, env}
	}
	b.WriteString(wrapped(strings.Join(names, ", "), 2))
	meaning := s.meaning
	if s.fallback != "" {
		meaning += " (default " + s.fallback + ")"
	}
	b.WriteString(wrapped(meaning, 6))
}

// wrapped breaks a text into lines that fit on the terminal, behind an indent.
func wrapped(text string, indent int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
			b.WriteString(strings.Repeat(" ", indent))
			column = indent
		case column+1+len(word) > helpWidth:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteString("\n")
	return b.String()
}
