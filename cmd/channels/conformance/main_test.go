//go:build conformance

package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// raceVariable switches the race detector of the server under test. It is on
// unless the variable is "0": a data race then ends the server with a report
// and a non-zero exit code, which fails the test that caused it.
const raceVariable = "CHANNELS_TEST_RACE"

// binaryVariable is the path of a server that is built already, for tests that run
// tests.
const binaryVariable = "CHANNELS_TEST_BINARY"

// buildDir holds the built servers for the lifetime of the test process.
var buildDir string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	if !parallelIsSet() {
		// The tests wait for other processes more than they compute.
		if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}

	deps := exec.Command("sh", "deps.sh")
	deps.Stdout, deps.Stderr = os.Stderr, os.Stderr
	if err := deps.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "installing what the conformance tests need (deps.sh):", err)
		return 1
	}

	dir, err := os.MkdirTemp("", "channels-conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	buildDir = dir
	if _, err := checkedBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

	return m.Run()
}

func parallelIsSet() bool {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	return set
}

// checkedBinary builds the server once, with the race detector unless
// [raceVariable] says otherwise, and gives its path.
var checkedBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryVariable); path != "" {
		return path, nil
	}
	if os.Getenv(raceVariable) == "0" {
		return plainBinary()
	}
	return build("channels-race", "-race")
})

// plainBinary gives the path of the server as it is released. For what is
// measured: the race detector distorts memory.
func plainBinary() (string, error) { return released("channels") }

// released gives the path of a program as `make build` makes it.
func released(name string) (string, error) {
	dir, err := makeBuild()
	return filepath.Join(dir, name), err
}

// makeBuild runs `make build` once, into a directory of its own.
var makeBuild = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(buildDir, "released")
	out, err := exec.Command("make", "-C", root, "build", "BIN="+dir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return dir, nil
})

func build(name string, flags ...string) (string, error) {
	path := filepath.Join(buildDir, name)
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.Command("go", append(args, "..")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build %v: %w\n%s", flags, err, out)
	}
	return path, nil
}

// mustBinary gives the path of the server to test.
func mustBinary(t testing.TB) string {
	t.Helper()
	path, err := checkedBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
