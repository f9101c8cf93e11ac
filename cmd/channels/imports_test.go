package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports holds the rules of who may know whom. Each package lists what it
// must not reach, directly or through others.
func TestImports(t *testing.T) {
	const (
		web       = "net/http"
		websocket = "github.com/coder/websocket"
		redis     = "github.com/redis/go-redis/v9"
		metrics   = "github.com/prometheus/client_golang/prometheus"
		sdk       = "github.com/pusher/pusher-http-go/v5"
		postgres  = "github.com/jackc/pgx/v5"
	)
	for name, rule := range map[string]struct {
		ours   []string // packages of ours that it may reach
		others []string // packages that it must not reach
	}{
		"channels/protocol":     {nil, []string{web, "net", "log/slog", websocket, redis, metrics}},
		"channels/hub":          {[]string{"channels/protocol"}, []string{web, websocket, redis, metrics, sdk, postgres}},
		"channels/hub/server":   {[]string{"channels/protocol", "channels/hub"}, []string{redis, sdk, postgres}},
		"channels/hub/redisbus": {[]string{"channels/protocol", "channels/hub"}, []string{web, websocket, sdk, postgres}},
		"channels/hub/webhook":  {[]string{"channels/protocol", "channels/hub"}, []string{websocket, redis, sdk, postgres}},
		"channels/cmd/channels": {[]string{"channels/protocol", "channels/hub", "channels/hub/server", "channels/hub/redisbus", "channels/hub/webhook"}, []string{sdk, postgres}},
		"channels/chatapp":      {nil, []string{websocket, redis, metrics}},
		"channels/cmd/chat":     {[]string{"channels/chatapp"}, []string{websocket, redis, metrics}},
		"channels/loadtest":     {[]string{"channels/protocol"}, []string{redis, sdk, postgres}},
	} {
		if !exists(t, name) {
			continue // not written yet
		}
		t.Run(name, func(t *testing.T) {
			for _, reached := range dependencies(t, name) {
				ours := strings.HasPrefix(reached, "channels/")
				if ours && !slices.Contains(rule.ours, reached) && !strings.HasPrefix(reached, name) {
					t.Errorf("reaches %s", reached)
				}
				if slices.Contains(rule.others, reached) {
					t.Errorf("reaches %s", reached)
				}
			}
		})
	}
}

func exists(t *testing.T, name string) bool {
	return slices.Contains(goList(t, "channels/..."), name)
}

func dependencies(t *testing.T, name string) []string {
	return slices.DeleteFunc(goList(t, "-deps", name), func(reached string) bool { return reached == name })
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Fields(string(out))
}
