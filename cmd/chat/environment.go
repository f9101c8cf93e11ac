package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// serviceLink finds the variables that Kubernetes sets in every container for a
// service whose name begins with "chat": CHAT_SERVICE_HOST,
// CHAT_PORT=tcp://10.0.0.1:8080 and so on.
var serviceLink = regexp.MustCompile(`^CHAT_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)=|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|=(tcp|udp|sctp)://))`)

// lookup returns the value of a variable in an environment, as os.Getenv does.
func lookup(environ []string) func(name string) string {
	return func(name string) string {
		for _, pair := range environ {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// strayVariables tells of every variable that looks like a setting of the chat and
// is none. Most likely it is mistyped, but it may have been set for something
// else, so that it is no mistake. Values are not told.
func strayVariables(environ []string) []string {
	var names, strays []string
	for _, row := range table() {
		names = append(names, row.name)
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "CHAT_") || strings.TrimSpace(value) == "" || slices.Contains(names, name) || serviceLink.MatchString(pair) {
			continue
		}
		text := name + ": is not a setting"
		if meant := closestName(name, names); meant != "" {
			text += fmt.Sprintf("; did you mean %s?", meant)
		}
		strays = append(strays, text)
	}
	slices.Sort(strays)
	return strays
}

// closestName returns the name that shares the most of its beginning and its end
// with a mistyped one; "" if that is less than all but two letters.
func closestName(name string, names []string) string {
	best, most := "", max(len(name)-2, len("CHAT_")+1)
	for _, other := range names {
		begin := 0
		for begin < min(len(name), len(other)) && name[begin] == other[begin] {
			begin++
		}
		end := 0
		for end < min(len(name), len(other))-begin && name[len(name)-1-end] == other[len(other)-1-end] {
			end++
		}
		if same := begin + end; same >= most && len(other)-same <= 2 {
			best, most = other, same
		}
	}
	return best
}
