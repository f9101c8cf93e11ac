package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// writeHelp lists the commands and every setting.
func writeHelp(w io.Writer) error {
	fmt.Fprint(w, `channels is a realtime server that speaks the Pusher Channels protocol.

Usage:
  channels [serve] [flags]     run the server
  channels check-config        say all that is wrong with the settings, or show them
  channels health              ask the server that runs with the same settings whether it is ready
  channels version
  channels help

A setting is taken from its flag, else from its environment variable, else from
the YAML file that --config or CHANNELS_CONFIG names, else it has its default.

`)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "Flag\tEnvironment\tIn the file\tDefault\tMeaning")
	fmt.Fprintln(t, "--config\tCHANNELS_CONFIG\t\t\tYAML file with settings and apps")
	for _, s := range serverSettings() {
		writeSetting(t, s, s.flagName(), s.envName("CHANNELS_"), s.name)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nPer app, in the file below apps: as a list; flags and environment describe a single app:\n\n")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "Flag\tEnvironment\tIn the file\tDefault\tMeaning")
	for _, s := range appSettings() {
		flag := s.flagName()
		if flag != "" {
			flag = "app-" + flag
		}
		writeSetting(t, s, flag, s.envName("CHANNELS_APP_"), s.name)
	}
	return t.Flush()
}

func writeSetting[T any](w io.Writer, s setting[T], flag, env, name string) {
	if flag != "" {
		flag = "--" + flag
	}
	fmt.Fprintln(w, strings.Join([]string{flag, env, name, s.fallback, s.meaning}, "\t"))
}
