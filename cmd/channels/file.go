package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"channels/hub"
)

// readFile applies a YAML file. It walks over the nodes itself, so that every
// mistake is told, each with its place.
func (l *loader) readFile(name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		l.mistake("config", strconv.Quote(name), "must be a file that can be read: "+err.Error())
		return
	}
	l.readYAML(text)
}

func (l *loader) readYAML(text []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		l.mistake("config", "", "is not YAML: "+err.Error())
		return
	}
	if len(doc.Content) == 0 {
		return
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		l.mistake("config", "", "must be a mapping of settings")
		return
	}
	l.readMapping(root, "")
}

// readMapping applies the settings of the whole server below a prefix.
func (l *loader) readMapping(mapping *yaml.Node, prefix string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, node := mapping.Content[i], mapping.Content[i+1]
		name := prefix + key.Value
		switch {
		case prefix == "" && (key.Value == "tls" || key.Value == "limits"):
			if node.Kind != yaml.MappingNode {
				l.mistake(place(name, node), "", "must be a mapping")
				continue
			}
			l.readMapping(node, name+".")
		case name == "apps":
			l.readApps(node)
		default:
			applyNode(l, serverSettings(), &l.settings, name, name, key, node)
		}
	}
}

// applyNode applies one member of a mapping.
func applyNode[T any](l *loader, table []setting[T], to *T, name, field string, key, node *yaml.Node) {
	for _, s := range table {
		if s.name != name {
			continue
		}
		v, err := scalar(node)
		if err != nil {
			l.mistake(place(field, node), "", err.Error())
			return
		}
		apply(l, s, to, field, v)
		return
	}
	l.mistake(place(field, key), "", "is not a setting")
}

func (l *loader) readApps(node *yaml.Node) {
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		l.mistake(place("apps", node), "", "must be a list of apps")
		return
	}
	for i, each := range node.Content {
		field := fmt.Sprintf("apps[%d]", i)
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
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, node := mapping.Content[i], mapping.Content[i+1]
		seen[key.Value] = true
		if key.Value == "webhooks" {
			l.mistake(place(field+".webhooks", key), "", "webhooks are not supported yet")
			continue
		}
		applyNode(l, appSettings(), &app, key.Value, field+"."+key.Value, key, node)
	}
	for _, s := range appSettings() {
		if s.flag && !seen[s.name] {
			l.mistake(field+"."+s.name, "", "is missing")
		}
	}
	return app
}

// scalar returns a node's value as text; that of a list is separated by commas.
func scalar(node *yaml.Node) (string, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return "", nil
	case node.Kind == yaml.ScalarNode:
		return node.Value, nil
	case node.Kind != yaml.SequenceNode:
		return "", fmt.Errorf("must be a single value")
	}
	var list []string
	for _, each := range node.Content {
		if each.Kind != yaml.ScalarNode {
			return "", fmt.Errorf("must be a list of single values")
		}
		list = append(list, each.Value)
	}
	return strings.Join(list, ","), nil
}

// place names a field and its line.
func place(field string, node *yaml.Node) string {
	return fmt.Sprintf("%s (line %d)", field, node.Line)
}
