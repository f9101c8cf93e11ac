//go:build conformance

package conformance

import (
	"debug/elf"
	"testing"
)

// TestReleasedProgramsAreStatic wants programs that need neither a loader nor a
// C library.
func TestReleasedProgramsAreStatic(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"channels", "chat", "loadtest"} {
		path, err := released(name)
		if err != nil {
			t.Fatal(err)
		}
		program, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range program.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s is linked dynamically: it has a %s", name, p.Type)
			}
		}
		if program.Section(".debug_info") != nil || program.Section(".symtab") != nil {
			t.Errorf("%s carries symbols for a debugger", name)
		}
		_ = program.Close()
	}
}
