package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// environmentPrefix starts the name of every variable that is ours.
const environmentPrefix = "CHANNELS_"

// internalVariables are no settings: the program sets them for itself, and
// switches for debugging are told where they are read.
var internalVariables = regexp.MustCompile(`^CHANNELS_(TIMER_SLACK_GIVEN|DEBUG_\w+)$`)

// serviceLink finds the variables that Kubernetes sets in every container for a
// service whose name begins with "channels": CHANNELS_SERVICE_HOST,
// CHANNELS_PORT=tcp://10.0.0.1:6001 and so on.
var serviceLink = regexp.MustCompile(`^CHANNELS_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)=|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|=(tcp|udp|sctp)://))`)

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

// strayVariable is a variable of the environment that looks like a setting and is
// none. Most likely it is mistyped, but it may have been set for something else,
// so that it is no mistake.
type strayVariable struct {
	Name    string
	Closest string // the setting that is meant, probably; "" = nobody knows
}

// Error implements error, for those that are told beside mistakes.
func (v strayVariable) Error() string {
	text := v.Name + ": is not a setting"
	if v.Closest != "" {
		text += fmt.Sprintf("; did you mean %s?", v.Closest)
	}
	return text
}

// strayVariables returns those of an environment, by name. As everywhere, an empty
// one counts as not set.
func strayVariables(environ []string) []strayVariable {
	known := knownVariables()
	var strays []strayVariable
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, environmentPrefix) || value == "" || slices.Contains(known, name) ||
			internalVariables.MatchString(name) || serviceLink.MatchString(pair) {
			continue
		}
		strays = append(strays, strayVariable{name, closestName(name, known)})
	}
	slices.SortFunc(strays, func(a, b strayVariable) int { return strings.Compare(a.Name, b.Name) })
	return strays
}

// knownVariables are those that set something.
func knownVariables() []string {
	known := []string{environmentPrefix + "CONFIG"}
	for _, s := range serverSettings() {
		known = append(known, s.envName(environmentPrefix))
	}
	for _, s := range appSettings() {
		known = append(known, s.envName(environmentPrefix+"APP_"))
	}
	return append(known, "CHANNELS_APP_WEBHOOK_URL", "CHANNELS_APP_WEBHOOK_EVENTS")
}

// closestName returns what somebody meant who wrote name: a name that differs in a
// few letters, or else one of which it is the beginning or the end. It returns ""
// if nothing is close.
func closestName(name string, known []string) string {
	word := strings.TrimPrefix(name, environmentPrefix)
	best, least := "", max(2, len(word)/4)+1
	for _, k := range known {
		if d := distance(word, strings.TrimPrefix(k, environmentPrefix)); d < least {
			best, least = k, d
		}
	}
	if best != "" || word == "" {
		return best
	}
	for _, k := range known {
		if strings.HasPrefix(k, name+"_") || strings.HasSuffix(k, "_"+word) {
			return k
		}
	}
	return ""
}

// distance is how many letters have to be put in, taken out or replaced to make b
// of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
