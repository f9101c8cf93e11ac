package main

import (
	"fmt"
	"slices"
	"strings"
)

// subcommand is one that has the settings of the server.
type subcommand struct {
	name    string
	usage   string // behind the program's name
	meaning string
}

// commands are all of them, in the order of the help.
func commands() []subcommand {
	return []subcommand{
		{"serve", "[serve] [flags]", "run the server"},
		{"check-config", "check-config [flags]", "say all that is wrong with the settings, or show them"},
		{"health", "health [flags]", "ask the server that runs with the same settings whether it is ready"},
		{"reload", "reload [flags]", "have the server that runs with the same settings read its file again"},
		{"webhooks", "webhooks list|failed|replay|test [flags]", "look at the webhooks of the server that runs with the same settings"},
		{"version", "version", "say which version this is"},
		{"help", "help", "show this"},
	}
}

// commandOf tells a command from its arguments, which may stand on both sides of it;
// none means serve.
func commandOf(args []string) (name string, rest []string) {
	name = "serve"
	if at := commandAt(args); at >= 0 {
		name, args = args[at], slices.Delete(slices.Clone(args), at, at+1)
	}
	switch {
	case wants(args, "h", "help"):
		return "help", nil
	case wants(args, "version"):
		return "version", nil
	}
	return name, args
}

// commandAt returns where the command stands: at the first word. -1: there is none.
func commandAt(args []string) int {
	if words := wordsAt(args); len(words) > 0 {
		return words[0]
	}
	return -1
}

// wordsAt returns where the arguments stand that are neither flags nor flags' values.
func wordsAt(args []string) (at []int) {
	known := knownFlags()
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "-")
		name = strings.TrimPrefix(name, "-")
		switch {
		case !isFlag:
			at = append(at, i)
		case known[name]:
			i++ // its value
		}
	}
	return at
}

// operands tells words from flags with their values.
func operands(args []string) (words, flags []string) {
	at := wordsAt(args)
	for i, arg := range args {
		if slices.Contains(at, i) {
			words = append(words, arg)
		} else {
			flags = append(flags, arg)
		}
	}
	return words, flags
}

// wants says whether a flag without a value is among the arguments.
func wants(args []string, names ...string) bool {
	for _, arg := range args {
		name, isFlag := strings.CutPrefix(arg, "-")
		if isFlag && slices.Contains(names, strings.TrimPrefix(name, "-")) {
			return true
		}
	}
	return false
}

// unknownCommand says that a name is none, and which one was probably meant.
func unknownCommand(name string) error {
	best, least := "", max(2, len(name)/3)+1
	for _, c := range commands() {
		if d := distance(name, c.name); d < least {
			best, least = c.name, d
		}
	}
	if best == "" {
		return fmt.Errorf("unknown command %q: %w", name, errUsage)
	}
	return fmt.Errorf("unknown command %q; did you mean %s? %w", name, best, errUsage)
}
