//go:build conformance

package conformance

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// root is the directory of the module.
const root = "../../.."

// snippetForm is a fenced block behind the comment that names it.
var snippetForm = regexp.MustCompile("(?ms)^<!-- snippet: ([a-z-]+) -->\\s*^```[a-z]*\n(.*?)^```$")

// snippets gives the marked blocks of the README by their names.
func snippets(t testing.TB) map[string]string {
	t.Helper()
	return snippetsOf(t, "README.md")
}

// snippetsOf gives the marked blocks of a document.
func snippetsOf(t testing.TB, document string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, match := range snippetForm.FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = match[2]
	}
	return found
}

// snippet gives one block, with the port of the default server replaced by the
// port of this one. Nothing else is changed.
func snippet(t testing.TB, name string, s *server) string {
	t.Helper()
	text, ok := snippets(t)[name]
	if !ok {
		t.Fatalf("README.md has no block marked <!-- snippet: %s -->", name)
	}
	if !strings.Contains(text, "6001") || !strings.Contains(text, "127.0.0.1") && !strings.Contains(text, "localhost") {
		t.Fatalf("snippet %s does not point at the default server:\n%s", name, text)
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(text, "6001", port)
}

// TestReadmeSubscribes runs each snippet that listens: it prints what it is
// sent.
func TestReadmeSubscribes(t *testing.T) {
	tests := []struct {
		name string
		form *regexp.Regexp // finds channel and event
	}{
		{"pusher-js", regexp.MustCompile(`(?s)subscribe\(["']([^"']+)["']\).*?bind\(["']([^"']+)["']`)},
		{"echo-reverb", regexp.MustCompile(`(?s)channel\(["']([^"']+)["']\).*?listen\(["']\.([^"']+)["']`)},
		{"echo-pusher", regexp.MustCompile(`(?s)channel\(["']([^"']+)["']\).*?listen\(["']\.([^"']+)["']`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			text := snippet(t, tt.name, s)
			names := tt.form.FindStringSubmatch(text)
			if names == nil {
				t.Fatalf("no channel and event in:\n%s", text)
			}
			output := background(t, nodeProgram(t.Context(), t, text))
			awaitSubscribers(t, s, names[1], 1)
			token := fmt.Sprint("token-", time.Now().UnixNano())
			publish(t, s, names[1], names[2], `{"message":"`+token+`"}`)
			output.awaitText(token)
		})
	}
}

// TestReadmePublishes runs each snippet that sends: its event arrives.
func TestReadmePublishes(t *testing.T) {
	python, err := filepath.Abs(".deps/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		command func(ctx context.Context, t testing.TB, text string) *exec.Cmd
	}{
		{"pusher-http-node", nodeProgram},
		{"pusher-http-go", func(ctx context.Context, t testing.TB, text string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, "go", "run", program(t, "main.go", text))
			cmd.Dir = root // where the SDK is known
			return cmd
		}},
		{"python", func(ctx context.Context, t testing.TB, text string) *exec.Cmd {
			return exec.CommandContext(ctx, python, program(t, "main.py", text))
		}},
	}
	form := regexp.MustCompile(`(?i)trigger\(["']([^"']+)["'],\s*["']([^"']+)["']`)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			text := snippet(t, tt.name, s)
			names := form.FindStringSubmatch(text)
			if names == nil {
				t.Fatalf("no channel and event in:\n%s", text)
			}
			c := connect(t, s)
			c.subscribe(names[1])
			ctx, cancel := context.WithTimeout(t.Context(), nodeTimeout)
			defer cancel()
			if out, err := tt.command(ctx, t, text).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			c.expect(names[2], names[1])
		})
	}
}

// TestReadmeElsewhere looks at the snippets whose languages the tests do not
// bring along: host, port and credentials have to be right.
func TestReadmeElsewhere(t *testing.T) {
	t.Parallel()
	all := snippets(t)
	for _, name := range []string{"php", "ruby"} {
		text, ok := all[name]
		if !ok {
			t.Errorf("README.md has no block marked <!-- snippet: %s -->", name)
		}
		for _, part := range []string{"127.0.0.1", "6001", appKey, appSecret, `"` + appID + `"`, "http"} {
			if !strings.Contains(strings.ReplaceAll(text, "'", `"`), part) {
				t.Errorf("snippet %s has no %s:\n%s", name, part, text)
			}
		}
	}
}

// program writes a snippet to a file of its own.
func program(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nodeProgram prepares a run of a snippet beside the packages that it imports.
func nodeProgram(ctx context.Context, t testing.TB, text string) *exec.Cmd {
	t.Helper()
	path := program(t, "main.mjs", text)
	modules, err := filepath.Abs("node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(filepath.Dir(path), "node_modules")); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(ctx, "node", path)
}

// output is what a program that stays prints.
type output struct {
	t     testing.TB
	lines chan string // closed when the program ends
	seen  []string
}

// background starts a program that ends with the test.
func background(t testing.TB, cmd *exec.Cmd) *output {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &output{t: t, lines: make(chan string, 1000)}
	go func() {
		defer close(o.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			o.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range o.lines { // to its end, as Wait requires
		}
		_ = cmd.Wait()
	})
	return o
}

// awaitText waits for a line with this text in it.
func (o *output) awaitText(text string) {
	o.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, running := <-o.lines:
			o.seen = append(o.seen, line)
			if strings.Contains(line, text) {
				return
			}
			if !running {
				o.t.Fatalf("the program ended without printing %s:\n%s", text, strings.Join(o.seen, "\n"))
			}
		case <-deadline:
			o.t.Fatalf("the program did not print %s within %v:\n%s", text, patience, strings.Join(o.seen, "\n"))
		}
	}
}
