package main

import (
	"fmt"
	"strings"
)

// flagName is how the setting is written as a flag, without dashes; "" = it is
// none.
func (s setting[T]) flagName() string {
	if !s.flag {
		return ""
	}
	return strings.ReplaceAll(s.name, "_", "-")
}

// parseFlags reads --name value and --name=value, with one dash or two. Of an
// unknown flag only the name is told: its value may be a mistyped secret.
func (l *loader) parseFlags(args []string) {
	known := knownFlags()
	l.flags = make(map[string]string)
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		written, v, hasValue := strings.Cut(arg, "=")
		name := strings.TrimPrefix(strings.TrimPrefix(written, "-"), "-")
		if !strings.HasPrefix(arg, "-") || !known[name] {
			l.mistakes = append(l.mistakes, unknownArgument(written, name))
			if !hasValue && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				args = args[1:] // its value, most likely
			}
			continue
		}
		if !hasValue {
			if len(args) == 0 {
				l.mistake("--"+name, "", "needs a value")
				continue
			}
			v, args = args[0], args[1:]
		}
		l.flags[name] = v
	}
}

// unknownArgument says that a flag is none, and which one was probably meant.
func unknownArgument(written, name string) error {
	best, least := "", max(2, len(name)/4)+1
	for known := range knownFlags() {
		if d := distance(name, known); d < least || d == least && known < best {
			best, least = known, d
		}
	}
	if best == "" || !strings.HasPrefix(written, "-") {
		return fmt.Errorf("unknown argument %q: %w", written, errUsage)
	}
	return fmt.Errorf("unknown argument %q; did you mean --%s? %w", written, best, errUsage)
}

func knownFlags() map[string]bool {
	known := map[string]bool{"config": true}
	for _, s := range serverSettings() {
		if s.flag {
			known[s.flagName()] = true
		}
	}
	for _, s := range appSettings() {
		if s.flag {
			known["app-"+s.flagName()] = true
		}
	}
	return known
}
