//go:build conformance && !goroutinereaders

package conformance

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// neighbour is the revision of an earlier version whose nodes run beside those of
// this one. Whoever changes the schema sets it anew.
const neighbour = "c6b980c9aa32af6ed599531390b708429d6df1bf"

// TestRollingUpgrade: nodes of an earlier version are replaced by those of this one
// under load, one after the other, and back again.
func TestRollingUpgrade(t *testing.T) {
	earlier := mustNeighbour(t)
	for name, step := range map[string][2]string{
		"up": {earlier, mustBinary(t)}, "back": {mustBinary(t), earlier},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRedis(t)
			nodes := make([]*server, 3)
			for i := range nodes {
				nodes[i] = startNodeOf(t, r, step[0])
			}
			rollOver(t, nodes, func() *server { return startNodeOf(t, r, step[1]) })
		})
	}
}

// TestNeighbours: a node of each version do together what two of one do, whichever
// of them the publisher has.
func TestNeighbours(t *testing.T) {
	this, earlier := mustBinary(t), mustNeighbour(t)
	for name, pair := range map[string][2]string{
		"from this version": {this, earlier}, "from the earlier one": {earlier, this},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRedis(t)
			acrossNodes(t, startNodeOf(t, r, pair[0], countsTold), startNodeOf(t, r, pair[1], countsTold))
		})
	}
}

// mustNeighbour gives the path of the earlier version's server. A clone without its
// history does not have that: there this version is its own neighbour.
func mustNeighbour(t testing.TB) string {
	t.Helper()
	known := exec.Command("git", "-C", root, "cat-file", "-e", neighbour+"^{commit}")
	if err := known.Run(); err != nil {
		t.Logf("revision %s is not in this clone: this version is its own neighbour", neighbour)
		return mustBinary(t)
	}
	path, err := buildNeighbour()
	if err != nil {
		t.Fatalf("the version before, %s: %v", neighbour, err)
	}
	return path
}

// buildNeighbour builds it from the revision's stored files.
var buildNeighbour = sync.OnceValues(func() (string, error) {
	source, path := filepath.Join(buildDir, "neighbour"), filepath.Join(buildDir, "channels-neighbour")
	script := fmt.Sprintf("mkdir -p %[1]q && git archive %[2]s | tar -x -C %[1]q && cd %[1]q && go build -buildvcs=false -o %[3]q ./cmd/channels",
		source, neighbour, path)
	run := exec.Command("bash", "-o", "pipefail", "-c", script)
	run.Dir = root
	if out, err := run.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})
