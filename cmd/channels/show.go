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
	showSettings(&b, "", "", serverSettings(), &s)
	b.WriteString("apps:\n")
	for i := range s.Apps {
		app := &s.Apps[i]
		unsaid := "secrets" // one of them stands for the other
		if len(app.OtherSecrets) > 0 {
			unsaid = "secret"
		}
		showItem(&b, "  ", slices.DeleteFunc(appSettings(), func(each setting[hub.App]) bool { return each.name == unsaid }), app)
		showWebhooks(&b, app.Webhooks)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// showItem shows an item of a list.
func showItem[T any](b *strings.Builder, indent string, table []setting[T], of *T) {
	showSettings(b, indent+"- ", indent+"  ", table, of)
}

// showSettings shows settings, those of a group below its name. The first line and the
// others have their own beginnings.
func showSettings[T any](b *strings.Builder, first, others string, table []setting[T], of *T) {
	begin, group := first, ""
	for _, each := range table {
		name := each.name
		if in, rest, ok := strings.Cut(name, "."); ok {
			if in != group {
				fmt.Fprintf(b, "%s%s:\n", begin, in)
				begin, group = others, in
			}
			name = "  " + rest
		}
		fmt.Fprintf(b, "%s%s: %s\n", begin, name, shown(each.secret, each.field(of).String()))
		begin = others
	}
}

func showWebhooks(b *strings.Builder, all []hub.Webhook) {
	if len(all) > 0 {
		b.WriteString("    webhooks:\n")
	}
	for i := range all {
		showItem(b, "      ", webhookSettings(), &all[i])
		if len(all[i].Headers) > 0 {
			b.WriteString("        headers:\n")
		}
		for _, name := range slices.Sorted(maps.Keys(all[i].Headers)) {
			fmt.Fprintf(b, "          %s: '***'\n", name)
		}
	}
}

func shown(secret bool, v string) string {
	if secret && v != "" {
		return "'***'"
	}
	return fmt.Sprintf("%q", v)
}
