package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports holds the rules of who may know whom. A rule is for a package and
// those below it that have no rule of their own; one that is not written yet has
// nothing to break.
func TestImports(t *testing.T) {
	const (
		protocol, hub  = "channels/protocol", "channels/hub"
		transport, api = "channels/hub/transport", "channels/hub/api"
		scheduling     = "channels/hub/scheduling"
		fallback       = "channels/hub/transport/fallback"
		refusals       = "channels/hub/refusals"
	)
	rules := map[string]struct {
		ours     []string // packages of ours that it may reach, beside those below it
		notReach []string // standard packages that it must not reach, through whomever
		notName  []string // standard packages that it must not import itself
	}{
		protocol:                {notReach: []string{"net", "net/http", "log/slog"}, notName: []string{"os"}},
		hub:                     {ours: []string{protocol}, notReach: []string{"net/http"}},
		"channels/hub/contract": {ours: []string{protocol, hub}, notReach: []string{"net/http"}},
		refusals:                {notReach: []string{"net/http"}},
		scheduling:              {notReach: []string{"net/http", "log/slog"}},
		transport:               {ours: []string{protocol, hub, scheduling}},
		fallback:                {ours: []string{protocol, hub}},
		api:                     {ours: []string{protocol, hub, refusals}},
		"channels/hub/ops":      {ours: []string{protocol, hub, scheduling, transport, fallback, api, refusals}},
		"channels/hub/server":   {ours: []string{protocol, hub, scheduling, transport, fallback, refusals}},
		"channels/hub/redisbus": {ours: []string{protocol, hub}, notReach: []string{"net/http"}},
		"channels/hub/webhook":  {ours: []string{protocol, hub}},
		"channels/cmd/channels": {ours: []string{protocol, hub, scheduling, transport, fallback, api, refusals, "channels/hub/ops", "channels/hub/server", "channels/hub/redisbus", "channels/hub/webhook"}},
		"channels/chatapp":      {},
		"channels/cmd/chat":     {ours: []string{"channels/chatapp"}},
		"channels/loadtest":     {ours: []string{protocol}},
	}
	for _, p := range goPackages(t) {
		name, ruled := closest(p.name, rules)
		if !ruled {
			continue
		}
		rule := rules[name]
		for _, reached := range p.reaches {
			if strings.HasPrefix(reached, transport+"/") {
				reached = transport // its parts come with it
			}
			below := reached == name || strings.HasPrefix(reached, name+"/") && name != hub
			if strings.HasPrefix(reached, "channels/") && !below && !slices.Contains(rule.ours, reached) {
				t.Errorf("%s reaches %s", p.name, reached)
			}
			if slices.Contains(rule.notReach, reached) {
				t.Errorf("%s reaches %s", p.name, reached)
			}
		}
		for _, named := range p.names {
			if slices.Contains(rule.notName, named) {
				t.Errorf("%s imports %s", p.name, named)
			}
		}
	}
}

// TestDependenciesStayWhereTheyBelong holds each library to the packages that
// are there for it.
func TestDependenciesStayWhereTheyBelong(t *testing.T) {
	belongs := map[string][]string{
		"github.com/coder/websocket":              {"channels/hub/transport", "channels/loadtest"},
		"github.com/pires/go-proxyproto":          {"channels/hub/server"},
		"github.com/redis/go-redis":               {"channels/hub/redisbus"},
		"github.com/pusher/pusher-http-go":        {"channels/chatapp"},
		"github.com/jackc/pgx":                    {"channels/chatapp"},
		"modernc.org/sqlite":                      {"channels/chatapp"},
		"github.com/prometheus/client_golang":     {"channels/hub/ops", "channels/cmd/channels"},
		"golang.org/x/time":                       {"channels/hub", "channels/chatapp", "channels/loadtest"},
		"github.com/HdrHistogram/hdrhistogram-go": {"channels/loadtest"},
		"github.com/klauspost/compress":           {"channels/protocol"},
		"go.yaml.in/yaml":                         {"channels/cmd/channels"},
	}
	for _, p := range goPackages(t) {
		for _, named := range p.names {
			library, known := closest(named, belongs)
			if !known {
				continue
			}
			if _, ok := closest(p.name, set(belongs[library])); !ok {
				t.Errorf("%s imports %s, which belongs to %v", p.name, named, belongs[library])
			}
		}
	}
}

// goPackage is one of ours: what it imports, and all that it so depends on.
type goPackage struct {
	name           string
	names, reaches []string
}

// goPackages asks go list for all packages of ours.
func goPackages(t *testing.T) []goPackage {
	t.Helper()
	const form = `{{.ImportPath}};{{join .Imports ","}};{{join .Deps ","}}`
	out, err := exec.Command("go", "list", "-f", form, "channels/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for line := range strings.Lines(string(out)) {
		part := strings.Split(strings.TrimSpace(line), ";")
		if len(part) != 3 {
			t.Fatalf("go list printed %q", line)
		}
		all = append(all, goPackage{part[0], strings.Split(part[1], ","), strings.Split(part[2], ",")})
	}
	if len(all) < 4 {
		t.Fatalf("go list knows only %v", all)
	}
	return all
}

// closest returns the longest of the paths that is name or stands above it.
func closest[T any](name string, paths map[string]T) (string, bool) {
	for name != "" {
		if _, ok := paths[name]; ok {
			return name, true
		}
		name = name[:max(strings.LastIndexByte(name, '/'), 0)]
	}
	return "", false
}

func set(names []string) map[string]bool {
	all := make(map[string]bool, len(names))
	for _, name := range names {
		all[name] = true
	}
	return all
}
