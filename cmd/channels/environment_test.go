package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestStrayVariables(t *testing.T) {
	tests := []struct {
		pair, stray, closest string // stray "" = it is none
	}{
		{"CHANNELS_LISTEN=127.0.0.1:0", "", ""},
		{"CHANNELS_CONFIG=x.yaml", "", ""},
		{"CHANNELS_APP_MAX_BATCH=5", "", ""},
		{"CHANNELS_LISTN=127.0.0.1:7001", "CHANNELS_LISTN", "CHANNELS_LISTEN"},
		{"CHANNELS_LISTN=", "", ""}, // as not set
		{"CHANNELS_LISTEN_=x", "CHANNELS_LISTEN_", "CHANNELS_LISTEN"},
		{"CHANNELS_APP_SECERT=hidden", "CHANNELS_APP_SECERT", "CHANNELS_APP_SECRET"},
		{"CHANNELS_SECRET=hidden", "CHANNELS_SECRET", "CHANNELS_APP_SECRET"},
		{"CHANNELS_REDIS=redis://x", "CHANNELS_REDIS", "CHANNELS_REDIS_URL"},
		{"CHANNELS_MAX_QUEUE_BYTES=1", "CHANNELS_MAX_QUEUE_BYTES", "CHANNELS_LIMITS_MAX_QUEUE_BYTES"},
		{"CHANNELS_COLOUR_OF_THE_SKY=blue", "CHANNELS_COLOUR_OF_THE_SKY", ""},
		{"CHANNELS_=x", "CHANNELS_", ""},
		{"CHANNELS=x", "", ""},
		{"channels_listen=x", "", ""},
		{"PATH=/bin", "", ""},
		// What the program sets for itself, and switches for debugging.
		{"CHANNELS_TIMER_SLACK_GIVEN=1", "", ""},
		{"CHANNELS_DEBUG_NO_PARKING=1", "", ""},
		// Kubernetes, for services named channels and channels-redis.
		{"CHANNELS_SERVICE_HOST=10.0.0.1", "", ""},
		{"CHANNELS_SERVICE_PORT=6001", "", ""},
		{"CHANNELS_SERVICE_PORT_HTTP=6001", "", ""},
		{"CHANNELS_PORT=tcp://10.0.0.1:6001", "", ""},
		{"CHANNELS_PORT_6001_TCP=tcp://10.0.0.1:6001", "", ""},
		{"CHANNELS_PORT_6001_TCP_ADDR=10.0.0.1", "", ""},
		{"CHANNELS_REDIS_PORT=tcp://10.0.0.2:6379", "", ""},
		{"CHANNELS_REDIS_SERVICE_HOST=10.0.0.2", "", ""},
		{"CHANNELS_PORT=6001", "CHANNELS_PORT", ""}, // somebody's guess
	}
	for _, tt := range tests {
		t.Run(tt.pair, func(t *testing.T) {
			got := strayVariables([]string{"A=b", tt.pair})
			if tt.stray == "" {
				if len(got) > 0 {
					t.Errorf("got %v, want none", got)
				}
				return
			}
			if len(got) != 1 || got[0] != (strayVariable{tt.stray, tt.closest}) {
				t.Errorf("got %v, want %s, which is close to %q", got, tt.stray, tt.closest)
			}
		})
	}
}

// TestStrayVariablesAreToldByName wants the name and never the value, which may be
// a secret.
func TestStrayVariablesAreToldByName(t *testing.T) {
	environ := []string{"CHANNELS_APP_SECERT=hidden", "CHANNELS_LISTN=127.0.0.1:7001"}
	const want = "CHANNELS_APP_SECERT: is not a setting; did you mean CHANNELS_APP_SECRET?\n" +
		"CHANNELS_LISTN: is not a setting; did you mean CHANNELS_LISTEN?\n"
	t.Run("check-config", func(t *testing.T) {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"check-config"}, environ, &out, &errs); code != 0 || errs.String() != want {
			t.Errorf("got %d %q, want 0 %q", code, &errs, want)
		}
		if !strings.HasPrefix(out.String(), "listen:") || strings.Contains(out.String(), "LISTN") {
			t.Errorf("the settings are not alone on stdout: %q", &out)
		}
	})
	t.Run("beside mistakes", func(t *testing.T) {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"serve", "--listen", "nowhere"}, environ, &out, &errs)
		text := strings.ReplaceAll(errs.String(), "channels: ", "")
		if code != 1 || !strings.HasSuffix(text, want) || !strings.Contains(errs.String(), "--listen: nowhere") {
			t.Errorf("got %d %q, want 1, the mistake and %q", code, &errs, want)
		}
	})
}

func TestLookup(t *testing.T) {
	get := lookup([]string{"AB=1", "A=x=y", "A=second", "B="})
	for name, want := range map[string]string{"A": "x=y", "AB": "1", "B": "", "C": ""} {
		if got := get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
