package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

const usage = `chat is a chat for a team. It is live through a server that speaks the Pusher
Channels protocol.

  chat                            serve the chat
  chat user reset-password NAME   give a user a new password, which is printed
  chat user deactivate NAME       end an account: it hears nothing more and cannot sign in; what it wrote remains
  chat user activate NAME         let a deactivated account sign in again
  chat backup FILE                write a copy of the database to a new file
  chat health                     ask the chat that runs with the same settings whether it works
  chat version                    print the version
  chat help                       print this

The environment sets:

`

// writeHelp prints the commands and all settings.
func writeHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString(usage)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range table() {
		absent := ""
		if s.absent != "" {
			absent = " (" + s.absent + ")"
		}
		fmt.Fprintf(t, "  %s\t%s%s\n", s.name, s.meaning, absent)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}
