package ops

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"channels/hub"
	"channels/protocol"
)

// TestEveryReasonIsListed compares the list with the constants of package hub.
func TestEveryReasonIsListed(t *testing.T) {
	declared := closeReasons(t)
	if len(declared) < 10 {
		t.Fatalf("only %v found in package hub", declared)
	}
	var listed []string
	for _, end := range ends {
		listed = append(listed, string(end.Reason))
	}
	slices.Sort(listed)
	listed = slices.Compact(listed)
	if got, want := strings.Join(listed, " "), strings.Join(declared, " "); got != want {
		t.Errorf("listed here: %s\ndeclared in package hub: %s", got, want)
	}
}

// closeReasons returns the values of hub's constants of type CloseReason, sorted.
func closeReasons(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || fmt.Sprint(spec.Type) != "CloseReason" {
				return true
			}
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				reasons = append(reasons, text)
			}
			return true
		})
	}
	slices.Sort(reasons)
	return reasons
}

// TestEndsAreDocumented compares the list with the table of docs/operations.md.
func TestEndsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Why was a connection closed?\n")
	if !found {
		t.Fatal("docs/operations.md lacks the section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		for code := range strings.SplitSeq(m[2], ", ") {
			documented = append(documented, code+" "+m[1])
		}
		if strings.TrimSpace(m[3]) == "" || strings.TrimSpace(m[4]) == "" {
			t.Errorf("%s: the meaning, or what to do, is missing", m[1])
		}
	}
	var listed []string
	for _, end := range ends {
		listed = append(listed, codeLabel(end.Code)+" "+string(end.Reason))
	}
	for _, end := range listed {
		if !slices.Contains(documented, end) {
			t.Errorf("%s is not documented", end)
		}
	}
	for _, end := range documented {
		if !slices.Contains(listed, end) {
			t.Errorf("%s is documented but not listed", end)
		}
	}
}

func TestZerosAreShown(t *testing.T) {
	slow := hub.End{Code: protocol.CodeOverCapacity, Reason: hub.SlowConsumer}
	unlisted := hub.End{Code: 1011, Reason: hub.ClientClosed}
	all := withZeros(map[hub.End]uint64{slow: 3, unlisted: 2})
	if len(all) != len(ends)+1 || all[slow] != 3 || all[unlisted] != 2 {
		t.Errorf("got %v", all)
	}
}
