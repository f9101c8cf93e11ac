package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"channels/hub"
	"channels/hub/api"
	"channels/hub/ops"
	"channels/hub/transport"
)

// shownMetrics returns the names of all metrics of ours, also of a node with Redis.
func shownMetrics(t *testing.T, soketi bool) []string {
	t.Helper()
	app := hub.DefaultApp()
	app.ID, app.Key, app.Secret = "1", "app-key", "app-secret"
	memory := hub.NewMemory()
	defer memory.Close()
	engine := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory})
	defer engine.Close()
	carrier := transport.New(transport.Options{Hub: engine})
	defer carrier.Close()
	metrics := ops.NewMetrics()
	metrics.Show(ops.Sources{Hub: engine, Queued: hub.NewQueueBudget(0), API: api.New(api.Options{Hub: engine}), Transport: carrier, Soketi: soketi, Port: "6001"})
	families, err := metrics.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		if name := f.GetName(); !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			names = append(names, name)
		}
	}
	for _, d := range append(webhookDescs(), reloadDescs()...) {
		names = append(names, regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1])
	}
	for _, m := range busMetrics() {
		names = append(names, regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(m.desc.String())[1])
	}
	return names
}

// TestMetricsAreDocumented compares the metrics with those that the documents name.
func TestMetricsAreDocumented(t *testing.T) {
	shown := shownMetrics(t, true)
	named := regexp.MustCompile("`((?:channels|soketi)_[a-z_]+)(?:\\{[^`]*\\})?`")
	settings := []string{"soketi_metrics"}
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var documented []string
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			documented = append(documented, m[1])
			if !slices.Contains(shown, m[1]) && !slices.Contains(settings, m[1]) {
				t.Errorf("%s names %s, which does not exist", file, m[1])
			}
		}
		if filepath.Base(file) != "operations.md" {
			continue
		}
		for _, name := range shown {
			if !slices.Contains(documented, name) {
				t.Errorf("%s lacks %s", file, name)
			}
		}
	}
}

func TestSoketiNamesAreOptional(t *testing.T) {
	for _, name := range shownMetrics(t, false) {
		if strings.HasPrefix(name, "soketi_") {
			t.Errorf("%s is shown without the setting", name)
		}
	}
}
