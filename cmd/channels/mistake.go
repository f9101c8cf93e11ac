package main

import (
	"regexp"
	"strconv"
)

// Mistake is one thing that is wrong with the settings.
type Mistake struct {
	Field   string // where, such as apps[1].max_batch, CHANNELS_LISTEN or --listen
	Value   string // what it is, as it is shown; "" for secrets, and when there is none
	Problem string // what it should be
}

// Error implements error.
func (m Mistake) Error() string {
	if m.Value == "" {
		return m.Field + ": " + m.Problem
	}
	return m.Field + ": " + m.Value + ": " + m.Problem
}

func (l *loader) mistake(field, value, problem string) {
	l.mistakes = append(l.mistakes, Mistake{field, value, problem})
}

var plainValue = regexp.MustCompile(`^[!#-&(-~]+$`)

// shownValue is a value as a mistake tells it: in quotes when its ends would not
// be seen otherwise, and cut when it is long.
func shownValue(v string) string {
	const longest = 80
	cut := ""
	if len(v) > longest {
		v, cut = v[:longest], "…"
	}
	if plainValue.MatchString(v) {
		return v + cut
	}
	return strconv.Quote(v) + cut
}
