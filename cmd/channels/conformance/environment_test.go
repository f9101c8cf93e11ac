//go:build conformance

package conformance

import (
	"strings"
	"testing"
)

// TestMistypedVariable is told in the log, and what an orchestrator sets is not.
func TestMistypedVariable(t *testing.T) {
	t.Parallel()
	s := start(t, "CHANNELS_LOG_LEVL=debug-"+appSecret, "CHANNELS_PORT=tcp://10.0.0.1:6001", "CHANNELS_SERVICE_HOST=10.0.0.1")
	eventually(t, "a word of the mistyped variable", func() (string, bool) {
		log := s.log.String()
		return log, strings.Contains(log, "level=WARN") && strings.Contains(log, "CHANNELS_LOG_LEVL: is not a setting; did you mean CHANNELS_LOG_LEVEL?")
	})
	for _, not := range []string{"CHANNELS_PORT", "SERVICE_HOST", "TIMER_SLACK", appSecret} {
		if strings.Contains(s.log.String(), not) {
			t.Errorf("the log has %s:\n%s", not, s.log)
		}
	}
	s.alive()
}

// TestMistypedVariableIsChecked wants it beside the settings, which are in order.
func TestMistypedVariableIsChecked(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runToEnd(t, []string{"check-config"}, "CHANNELS_LISTN=127.0.0.1:7001")
	if code != 0 || !strings.Contains(stderr, "CHANNELS_LISTN: is not a setting; did you mean CHANNELS_LISTEN?") {
		t.Errorf("got %d %q %q, want 0 and a word of CHANNELS_LISTN", code, stdout, stderr)
	}
}
