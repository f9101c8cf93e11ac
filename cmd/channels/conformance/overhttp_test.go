//go:build conformance && !goroutinereaders

package conformance

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ofTheProtocol are the tests of what holds whatever carries a connection: those that
// use [dial], and nothing of WebSockets. TestClientEventRate is none: there is no burst
// of messages that are a request each.
var ofTheProtocol = []string{
	"TestAcceptedHandshake", "TestOrigin", "TestRefusedKeys",
	"TestSubscribeDataAsString", "TestPublishedDataIsUntouched", "TestPublishedObject", "TestLimitsThatPass",
	"TestAnswers", "TestChannelKinds", "TestPresenceRoster", "TestPresenceLimit", "TestCache", "TestOrderOfOneChannel",
	"TestClientEvent", "TestClientEventRaw", "TestClientEventsOff", "TestClientEventTooLarge",
	"TestSubscriptionCount", "TestConnectionLimit", "TestSubscriptionsBeyondTheLimit",
	"TestBadSignature", "TestBadMember", "TestInvalidChannelName", "TestInvalidChannelNameText",
	"TestGoSDKTrigger", "TestGoSDKTriggerWithParams", "TestGoSDKTriggerBatch", "TestGoSDKChannels",
	"TestGoSDKAuthorize", "TestGoSDKAuthorizePresence", "TestGoSDKUsers", "TestGoSDKEncrypted",
	"TestPythonTerminates", "TestQuota", "TestNotAuthorizedInTime", "TestTwoApps", "TestTwoSecrets", "TestShutdown",
	"TestAcrossNodes", "TestQuotaAcrossNodes", "TestRefusalsAreLogged",
}

// TestOverHTTP runs those tests again, over each of the HTTP transports.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	if os.Getenv(transportVariable) != "" {
		t.Fatal("runs itself")
	}
	binary, err := checkedBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range []string{"xhr_streaming", "xhr_polling"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run", "^("+strings.Join(ofTheProtocol, "|")+")$", "-test.v", "-test.timeout", "8m", "-test.parallel", "24")
			cmd.Env = append(os.Environ(), transportVariable+"="+transport, binaryVariable+"="+binary)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, failures(string(out)))
			}
			for _, name := range ofTheProtocol {
				if !strings.Contains(string(out), "--- PASS: "+name+" ") && err == nil {
					t.Errorf("%s was not run", name)
				}
			}
		})
	}
}

// failures are the parts of a test's output that do not tell of what passed.
func failures(out string) string {
	lines := strings.Split(out, "\n")
	return strings.Join(slices.DeleteFunc(lines, regexp.MustCompile(`^\s*(=== |--- PASS)`).MatchString), "\n")
}

// TestRefusedKeys connects with what names no app, or not as it must.
func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		code    int
		message string
	}{
		"/app/nobody?protocol=7":   {4001, "App key nobody not in this cluster. Did you forget to specify the cluster?"},
		"/app/app-key?protocol=3":  {4007, "Unsupported protocol version"},
		"/app/app-key?client=js":   {4008, "No protocol version supplied"},
		"/app/app-key?protocol=x7": {4007, "Unsupported protocol version"},
	} {
		c := dial(t, start(t), path)
		c.expectErrorCode(want.code, want.message)
		c.expectClose(want.code, want.message)
	}
}
