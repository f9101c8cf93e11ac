//go:build conformance

package conformance

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nodeTimeout ends a file of Node tests that hangs.
const nodeTimeout = 5 * time.Minute

// fileSettings are what the servers of some files are told beside the defaults.
var fileSettings = map[string][]string{
	"counts.test.mjs": {"CHANNELS_APP_SUBSCRIPTION_COUNT_EVENTS=true"},
}

// TestNode runs each file of node/ against a server of its own.
func TestNode(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("node/*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in node/: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test.mjs"), func(t *testing.T) {
			t.Parallel()
			runNode(t, start(t, fileSettings[filepath.Base(file)]...), "--test", filepath.Base(file))
		})
	}
}

// runNode runs Node.js in node/ with the server's address in the environment.
func runNode(t testing.TB, s *server, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir = "node"
	cmd.Env = nodeEnvironment(t, s)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("node %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func nodeEnvironment(t testing.TB, s *server) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	certificate := mustCertificate(t)
	return append(os.Environ(),
		"CHANNELS_CERT_FILE="+certificate.certFile,
		"CHANNELS_KEY_FILE="+certificate.keyFile,
		"CHANNELS_HOST="+host,
		"CHANNELS_PORT="+port,
		"CHANNELS_APP_ID="+appID,
		"CHANNELS_APP_KEY="+appKey,
		"CHANNELS_APP_SECRET="+appSecret,
		"CHANNELS_BINARY="+mustBinary(t),
	)
}
