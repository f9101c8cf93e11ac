package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wallClock are the names, in the packages time and syscall, of what reads a wall
// clock, or makes a time.Time forget its monotonic reading. A duration that comes
// of these is wrong after a step of the clock.
var wallClock = map[string]bool{
	"Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true,
	"Date": true, "Clock": true, "Format": true, "AppendFormat": true, "ParseInLocation": true,
	"UTC": true, "Local": true, "AddDate": true, "Round": true, "Truncate": true,
	"Gettimeofday": true, "ClockGettime": true,
}

// TestNothingIsMeasuredByTheWallClock: rates, leases, time-outs and liveness go by
// the monotonic clock, which is what time.Time compares unless a program makes it
// forget. The functions that do, and why they may, are listed.
func TestNothingIsMeasuredByTheWallClock(t *testing.T) {
	mayUse := map[string]string{
		"protocol/request.go checkTimestamp":         "compares the application's clock with ours",
		"protocol/request.go formatTime":             "is for people",
		"protocol/request.go SignRequest":            "is for the other side's clock",
		"hub/server/welcome.go sendWelcomeEvent":     "is for people",
		"hub/contract/history.go stateKeeps":         "compares the backend's clock with ours",
		"hub/memory.go NewMemory":                    "begins to number events, higher than before it was started again",
		"hub/redisbus/server.go Error":               "rounds a duration, for people",
		"hub/webhook/body.go bodyOf":                 "is for the receiver's clock",
		"hub/webhook/operator.go Failed":             "is for people",
		"hub/webhook/parcel.go newParcel":            "is for the receiver's clock",
		"hub/webhook/parcel.go replayed":             "is for the receiver's clock",
		"hub/webhook/parcel.go unpack":               "reads what an earlier process has written",
		"hub/transport/handshake.go appendBuffered":  "wants any time that is over",
		"hub/transport/fallback/signature.go sign":   "is for another node's clock",
		"hub/transport/fallback/signature.go verify": "compares another node's clock with ours",
	}
	used := wallClockUses(t, "../..", "protocol", "hub")
	for _, where := range slices.Sorted(maps.Keys(used)) {
		if mayUse[where] == "" {
			t.Errorf("%s uses %v: a step of the wall clock changes what it makes of them", where, used[where])
		}
	}
	for where := range mayUse {
		if used[where] == nil {
			t.Errorf("%s is listed, and does not use a wall clock any more", where)
		}
	}
}

// wallClockUses returns the names that are used, by file and function, in the
// folders of a module and below them, without tests.
func wallClockUses(t *testing.T, module string, folders ...string) map[string][]string {
	t.Helper()
	used := make(map[string][]string)
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(module, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(module, path)
			for _, d := range file.Decls {
				where := filepath.ToSlash(name) + " " + declared(d)
				if names := wallClockNames(d); names != nil {
					used[where] = append(used[where], names...)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return used
}

// declared returns the name of a function; "" for any other declaration.
func declared(d ast.Decl) string {
	if f, ok := d.(*ast.FuncDecl); ok {
		return f.Name.Name
	}
	return ""
}

// wallClockNames returns the names in a declaration. Whose methods they are is not
// looked at: none of ours is called so.
func wallClockNames(d ast.Decl) (names []string) {
	ast.Inspect(d, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && wallClock[s.Sel.Name] {
			names = append(names, s.Sel.Name)
		}
		return true
	})
	return names
}
