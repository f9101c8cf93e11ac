//go:build conformance

package conformance

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// TestPusherHTTPNode runs the remote tests of pusher-http-node 5.3.4, unmodified from
// its npm package, over HTTP and then over HTTPS, both also through a proxy of theirs,
// which has one port.
func TestPusherHTTPNode(t *testing.T) {
	t.Parallel()
	for scheme, k := range map[string]kind{"http": plain, "https": overTLS} {
		t.Run(scheme, func(t *testing.T) { runMocha(t, k.start(t), scheme) })
	}
}

func runMocha(t *testing.T, s *server, scheme string) {
	cmd := exec.Command("npx", "mocha", "--reporter", "json", "tests/remote/**/*.js")
	cmd.Dir = ".deps/pusher-http-node-5.3.4"
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+mustCertificate(t).certFile,
		"PUSHER_URL="+scheme+"://"+appKey+":"+appSecret+"@"+s.Addr+"/apps/"+appID)
	out, err := cmd.Output()
	var report struct {
		Stats    struct{ Tests, Passes, Pending int }
		Failures []struct {
			FullTitle string
			Err       struct{ Message string }
		}
	}
	if bad := json.Unmarshal(out, &report); bad != nil {
		t.Fatalf("mocha: %v, %v\n%s", err, bad, out)
	}
	for _, f := range report.Failures {
		t.Errorf("%s: %s", f.FullTitle, f.Err.Message)
	}
	if n := report.Stats; err != nil || n.Tests == 0 || n.Passes != n.Tests {
		t.Errorf("%d of %d tests passed, %d were not run: %v", n.Passes, n.Tests, n.Pending, err)
	}
}
