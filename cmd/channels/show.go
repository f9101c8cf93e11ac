package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"channels/hub"
)

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
			if unsaid := len(s.Apps[i].OtherSecrets) > 0; each.name == "secret" && unsaid || each.name == "secrets" && !unsaid {
				continue // one of them stands for the other
			}
			fmt.Fprintf(&b, "%s%s: %s\n", mark, each.name, shown(each.secret, each.field(&s.Apps[i]).String()))
			mark = "    "
		}
		showWebhooks(&b, s.Apps[i].Webhooks)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func showWebhooks(b *strings.Builder, all []hub.Webhook) {
	if len(all) == 0 {
		return
	}
	b.WriteString("    webhooks:\n")
	for i := range all {
		mark := "      - "
		for _, each := range webhookSettings() {
			fmt.Fprintf(b, "%s%s: %s\n", mark, each.name, shown(each.secret, each.field(&all[i]).String()))
			mark = "        "
		}
		if len(all[i].Headers) == 0 {
			continue
		}
		fmt.Fprintf(b, "%sheaders:\n", mark)
		for _, name := range slices.Sorted(maps.Keys(all[i].Headers)) {
			fmt.Fprintf(b, "%s  %s: '***'\n", mark, name)
		}
	}
}

func shown(secret bool, v string) string {
	if secret && v != "" {
		return "'***'"
	}
	return fmt.Sprintf("%q", v)
}
