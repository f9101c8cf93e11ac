package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// asProgram makes the test binary be the program.
const asProgram = "LOADTEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "6") // they wait more than they compute
	os.Exit(m.Run())
}

// program is a run of the program.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

func newProgram(t testing.TB, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...)}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	return p
}

// loadtest runs the program to its end, and returns its exit code.
func loadtest(t testing.TB, args ...string) (*program, int) {
	t.Helper()
	p := newProgram(t, os.Args[0], args...)
	err := p.cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return p, exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p, 0
}

// result is the part of a result that tests look at, read as a script would.
type result struct {
	Schema     int      `json:"schema"`
	Partial    bool     `json:"partial"`
	Problems   []string `json:"problems"`
	Summary    string   `json:"summary"`
	Expected   int64    `json:"expected"`
	Received   int64    `json:"received"`
	Lost       int64    `json:"lost"`
	Duplicates int64    `json:"duplicates"`
	OutOfOrder int64    `json:"out_of_order"`
	Delivery   quants   `json:"delivery"`
	Spread     quants   `json:"spread"`
	Connect    quants   `json:"connect"`
	Subscribe  quants   `json:"subscribe"`
	Publish    struct {
		Sent   *int64   `json:"sent"`
		Errors *int64   `json:"errors"`
		P99    *float64 `json:"p99_ms"`
	} `json:"publish"`
	PerSecond   *float64 `json:"deliveries_per_second"`
	Connections struct {
		Subscribed, Failed int64
		Closed             int64 `json:"closed_by_server"`
	} `json:"connections"`
	Server struct {
		PerDelivery   *float64 `json:"cpu_us_per_delivery"`
		PerPublish    *float64 `json:"cpu_us_per_publish"`
		PerConnection *float64 `json:"rss_kib_per_connection"`
	} `json:"server"`
	Generator struct {
		Trustworthy *bool    `json:"trustworthy"`
		PerEvent    *float64 `json:"cpu_us_per_event"`
	} `json:"generator"`
	Storm *struct {
		Dropped, Recovered int64
	} `json:"storm"`
	Slow *struct {
		Stalled       int64
		StalledClosed int64 `json:"stalled_closed_by_server"`
	} `json:"slow"`
}

type quants struct {
	P50  *float64 `json:"p50_ms"`
	P90  *float64 `json:"p90_ms"`
	P99  *float64 `json:"p99_ms"`
	P999 *float64 `json:"p999_ms"`
	Max  *float64 `json:"max_ms"`
}

// measured runs the program with a file for its result, and reads it.
func measured(t testing.TB, wantCode int, args ...string) (result, *program) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.json")
	p, code := loadtest(t, append(args, "--json", path)...)
	if code != wantCode {
		t.Fatalf("exit code %d, want %d\n%s%s", code, wantCode, &p.stderr, &p.stdout)
	}
	return readResult(t, path), p
}

func readResult(t testing.TB, path string) result {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// within waits until something is true.
func within(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}
