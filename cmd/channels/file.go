package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"channels/hub"
)

// readFile applies a YAML file. It walks over the nodes itself, so that every
// mistake is told, each with its place.
func (l *loader) readFile(name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		l.mistake("config", shownValue(name), "must be a file that can be read: "+cause(err))
		return
	}
	l.readYAML(shownValue(name), text)
}

// cause is an error of a file without the name, which stands beside it.
func cause(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// readYAML applies the text of a file; name is for mistakes that have no other place.
func (l *loader) readYAML(name string, text []byte) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, next yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return
	}
	if err == nil && !errors.Is(decoder.Decode(&next), io.EOF) {
		l.mistake("config", name, "must be a single YAML document")
		return
	}
	if err != nil {
		l.mistake("config", name, yamlProblem(err))
		return
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		l.mistake("config", name, "must be a mapping of settings")
		return
	}
	l.readMapping(root, "")
}

// yamlProblem keeps the name of an unknown anchor to itself: it may well be a
// secret that begins with an asterisk.
func yamlProblem(err error) string {
	if strings.Contains(err.Error(), "unknown anchor") {
		return "is not YAML: a value that begins with * needs quotes"
	}
	return "is not YAML: " + err.Error()
}

// readMapping applies the settings of the whole server below a prefix.
func (l *loader) readMapping(mapping *yaml.Node, prefix string) {
	l.eachMember(mapping, prefix, func(key, node *yaml.Node) {
		name := prefix + key.Value
		switch {
		case prefix == "" && (key.Value == "tls" || key.Value == "limits"):
			if node.Kind != yaml.MappingNode {
				l.mistake(place(name, node), "", "must be a mapping")
				return
			}
			l.readMapping(node, name+".")
		case name == "apps":
			l.settings.FileApps = true
			l.readApps(node)
		default:
			applyNode(l, serverSettings(), &l.settings, name, name, key, node)
		}
	})
}

// eachMember visits the members of a mapping, aliases resolved. It tells those
// that stand there twice, of which YAML would let the last one win.
func (l *loader) eachMember(mapping *yaml.Node, prefix string, visit func(key, node *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		if line, twice := first[key.Value]; twice {
			l.mistake(place(prefix+keyName(key), key), "", fmt.Sprintf("is set already in line %d", line))
			continue
		}
		first[key.Value] = key.Line
		visit(key, resolved(mapping.Content[i+1]))
	}
}

func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// applyNode applies one member of a mapping.
func applyNode[T any](l *loader, table []setting[T], to *T, name, field string, key, node *yaml.Node) {
	for _, s := range table {
		if s.name == name {
			applyValue(l, s, to, field, node)
			return
		}
	}
	field = strings.TrimSuffix(field, key.Value) + keyName(key)
	if strings.Contains(key.Value, ":") {
		l.mistake(place(field, key), "", "needs a space after the colon")
		return
	}
	said := "is not a setting"
	if meant := closestName(key.Value, namesIn(table, strings.TrimSuffix(name, key.Value))); meant != "" {
		said += "; did you mean " + meant + "?"
	}
	l.mistake(place(field, key), "", said)
}

// namesIn are the names that a group of settings may have members of.
func namesIn[T any](table []setting[T], group string) (names []string) {
	for _, s := range table {
		if rest, ok := strings.CutPrefix(s.name, group); ok {
			name, _, _ := strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	return names
}

func applyValue[T any](l *loader, s setting[T], to *T, field string, node *yaml.Node) {
	if many, ok := s.field(to).(list); ok && node.Kind == yaml.SequenceNode {
		items, err := scalars(node)
		if err != nil {
			l.mistake(place(field, node), "", err.Error())
			return
		}
		noteMistake(l, s, field, strings.Join(items, ", "), many.setAll(items))
		return
	}
	if node.Kind != yaml.ScalarNode {
		l.mistake(place(field, node), "", "must be a single value")
		return
	}
	apply(l, s, to, field, scalar(node))
}

func (l *loader) readApps(node *yaml.Node) {
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		l.mistake(place("apps", node), "", "must be a list of apps")
		return
	}
	for i, each := range node.Content {
		field := fmt.Sprintf("apps[%d]", i)
		each = resolved(each)
		if each.Kind != yaml.MappingNode {
			l.mistake(place(field, each), "", "must be a mapping of an app's settings")
			continue
		}
		l.settings.Apps = append(l.settings.Apps, l.readApp(each, field))
	}
}

func (l *loader) readApp(mapping *yaml.Node, field string) hub.App {
	app := newApp(l)
	seen := map[string]bool{}
	l.eachMember(mapping, field+".", func(key, node *yaml.Node) {
		seen[key.Value] = true
		switch key.Value {
		case "webhooks":
			app.Webhooks = l.readWebhooks(node, field+".webhooks")
			return
		case "history":
			l.readHistory(node, field+".history", &app)
			return
		}
		applyNode(l, appSettings(), &app, key.Value, field+"."+key.Value, key, node)
	})
	if seen["secret"] && seen["secrets"] {
		l.mistake(field+".secrets", "", "stands in place of secret, which is set too")
	}
	for _, s := range appSettings() {
		if s.flag && !seen[s.name] && (s.name != "secret" || !seen["secrets"]) {
			l.mistake(field+"."+s.name, "", "is missing")
		}
	}
	return app
}

// readHistory applies the group of an app's settings that are about histories.
func (l *loader) readHistory(node *yaml.Node, field string, app *hub.App) {
	if node.Kind != yaml.MappingNode {
		l.mistake(place(field, node), "", "must be a mapping")
		return
	}
	l.eachMember(node, field+".", func(key, node *yaml.Node) {
		applyNode(l, appSettings(), app, "history."+key.Value, field+"."+key.Value, key, node)
	})
}

// scalar returns a node's value as text.
func scalar(node *yaml.Node) string {
	if node.Tag == "!!null" {
		return ""
	}
	return node.Value
}

// scalars returns the values of a list.
func scalars(node *yaml.Node) ([]string, error) {
	items := make([]string, len(node.Content))
	for i, each := range node.Content {
		each = resolved(each)
		if each.Kind != yaml.ScalarNode {
			return nil, errors.New("must be a list of single values")
		}
		items[i] = scalar(each)
	}
	return items, nil
}

// keyName is a key as it is told. What follows a colon is the value of one who
// forgot the space, and may be secret.
func keyName(key *yaml.Node) string {
	name, _, _ := strings.Cut(key.Value, ":")
	return shownValue(name)
}

// place names a field and its line.
func place(field string, node *yaml.Node) string {
	return fmt.Sprintf("%s (line %d)", field, node.Line)
}
