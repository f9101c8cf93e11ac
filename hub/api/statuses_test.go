package api

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// TestStatuses looks for statuses in the source that are not counted.
func TestStatuses(t *testing.T) {
	named := map[string]int{}
	for status := 100; status < 600; status++ {
		named[regexp.MustCompile(`[^A-Za-z]`).ReplaceAllString(http.StatusText(status), "")] = status
	}
	named["OK"] = http.StatusOK
	form := regexp.MustCompile(`http\.Status([A-Z]\w+)|Status: (\d{3})`)
	found := 0
	for _, pattern := range []string{"*.go", "../../protocol/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if match, _ := filepath.Match("*_test.go", filepath.Base(file)); match {
				continue
			}
			for _, m := range form.FindAllStringSubmatch(string(text), -1) {
				if m[1] == "Text" {
					continue
				}
				status, known := named[m[1]]
				if m[1] == "" {
					status, _ = strconv.Atoi(m[2])
					known = true
				}
				found++
				if !known || !slices.Contains(statuses[:], status) {
					t.Errorf("%s: %s is not in statuses", file, m[0])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d statuses found in the source", found)
	}
}
