package chatapp

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFoldName(t *testing.T) {
	for _, test := range []struct {
		name, a, b string
		same       bool
	}{
		{"case", "Anna", "aNNA", true},
		{"umlaut", "JÜRGEN", "jürgen", true},
		{"composed and decomposed", "Jos\u00e9", "JOSE\u0301", true},
		{"sharp s", "Straße", "STRASSE", true},
		{"Greek final sigma", "ΟΔΥΣΣΕΥΣ", "οδυσσευς", true},
		{"full width", "Ａnna", "anna", true},
		{"ligature", "ﬁn", "FIN", true},
		{"accent", "José", "Jose", false},
		{"space inside", "An na", "Anna", false},
		{"Turkish dotless i", "ı", "i", false},
	} {
		if got := foldName(test.a) == foldName(test.b); got != test.same {
			t.Errorf("%s: %q and %q the same: %v, want %v (%q, %q)", test.name, test.a, test.b, got, test.same, foldName(test.a), foldName(test.b))
		}
	}
}

func TestCleanName(t *testing.T) {
	for _, test := range []struct{ name, in, want, code string }{
		{"plain", "Anna", "Anna", ""},
		{"trimmed", " \tAnna\u00a0\n", "Anna", ""},
		{"composed", "JOSE\u0301", "JOS\u00c9", ""},
		{"markup is text", "<b>x</b>", "<b>x</b>", ""},
		{"emoji", "👍", "👍", ""},
		{"empty", "", "", "bad_name"},
		{"spaces only", "  ", "", "bad_name"},
		{"line break", "a\nb", "", "bad_name"},
		{"right-to-left override", "a\u202eb", "", "bad_name"},
		{"zero width space", "a\u200bb", "", "bad_name"},
		{"NUL", "a\x00", "", "bad_name"},
		{"too long", strings.Repeat("ä", MaxName+1), "", "bad_name"},
		{"not UTF-8", "\xc3", "", "invalid_utf8"},
	} {
		got, err := cleanName(test.in)
		wantFault(t, test.name, err, test.code)
		if got != test.want {
			t.Errorf("%s: cleanName(%q) = %q, want %q", test.name, test.in, got, test.want)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	for _, test := range []struct{ name, in, code string }{
		{"shortest", strings.Repeat("ä", MinPassword), ""},
		{"longest", strings.Repeat("ä", MaxPassword), ""},
		{"too short", strings.Repeat("ä", MinPassword-1), "bad_password"},
		{"too long", strings.Repeat("a", MaxPassword+1), "bad_password"},
		{"spaces count", strings.Repeat(" ", MinPassword), ""},
		{"not UTF-8", strings.Repeat("\xff", MinPassword), "bad_password"},
	} {
		wantFault(t, test.name, checkPassword(test.in), test.code)
	}
}

// FuzzNames checks that what cleanName lets through stays as it is when it is
// cleaned again, and that folding is settled after once.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"Anna", " Straße ", "JOSE\u0301", "\u0345", "ΐ", "\xff", "a\x00b", "ﬃ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := cleanName(name)
		if err != nil {
			return
		}
		if again, err := cleanName(clean); err != nil || again != clean {
			t.Errorf("cleanName(%q) = %q, but again %q, %v", name, clean, again, err)
		}
		if key := foldName(clean); !utf8.ValidString(key) || foldName(key) != key {
			t.Errorf("foldName(%q) = %q, but again %q", clean, key, foldName(key))
		}
	})
}
