package redisbus

import (
	"regexp"
	"strings"
	"testing"

	"channels/hub"
)

// TestFormsAgree holds what Go sends to what scripts read.
func TestFormsAgree(t *testing.T) {
	topic := hub.Topic{App: "1", Channel: "room"}
	for name, calls := range map[string][]request{
		"publish": {publishCall{}, publishCall{events: []publication{{topic: topic}, {topic: topic}}}},
		"keeping": {publishCall{}, publishCall{events: []publication{{topic: topic}, {topic: topic}}}},
		"erase":   {eraseCall{topic: topic}},
		"claim":   {claimCall{}},
		"begin":   {beginCall{}},
		"past":    {pastCall{}},
		"note":    {noteCall{}, noteCall{[]hub.Mark{{}, {}}}},
		"state":   {stateCall{}},
		"enter":   {enterCall{}},
		"settle":  {settleCall{}, settleCall{olds: []string{"a", "b"}}},
		"bury":    {buryCall{"a"}},
		"clear":   {clearCall{}},
		"sweep":   {sweepCall{}},
		"beat":    {beatCall{}},
		"canary":  {canaryCall{"a"}},
		"compare": {compareCall{}, compareCall{[]hub.Topic{topic, topic}}},
		"roster":  {rosterCall{topic}},
		"deliver": {deliverCall{"1"}},
	} {
		f, known := forms[name]
		if !known {
			t.Errorf("%s has no form", name)
			continue
		}
		width := 1
		if len(f.items) > 0 {
			width = len(f.items[0].fields)
		}
		for i, c := range calls {
			want := len(f.once)
			if i > 0 {
				want += 2 * width
			}
			if got := len(c.args()); got != want {
				t.Errorf("%s: %d arguments, and its form has %d", name, got, want)
			}
		}
	}
	if len(forms) != len(newScripts(false).all()) {
		t.Errorf("%d forms for %d scripts", len(forms), len(newScripts(false).all()))
	}
}

// TestScriptsUseTheirNames wants every name of a form to be used, and no argument to be
// read without one.
func TestScriptsUseTheirNames(t *testing.T) {
	sources := map[string]string{
		"publish": publishLua, "keeping": publishLua, "erase": eraseLua, "claim": claimLua, "note": noteLua, "begin": beginLua, "past": pastLua, "state": stateLua, "enter": enterLua, "settle": settleLua, "bury": buryLua, "clear": clearLua,
		"sweep": sweepLua, "beat": beatLua, "canary": canaryLua, "compare": compareLua, "roster": rosterLua, "deliver": deliverLua,
	}
	for name, f := range forms {
		code := regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(sources[name], "")
		if strings.Contains(code, "ARGV[") {
			t.Errorf("%s reads an argument by its place", name)
		}
		names := f.once
		for _, item := range f.items {
			if !strings.Contains(code, "take("+item.name+")") {
				t.Errorf("%s does not take %s", name, item.name)
			}
			names = append(names, item.fields...)
		}
		for _, each := range names {
			if !regexp.MustCompile(`\b` + each + `\b`).MatchString(code) {
				t.Errorf("%s does not use %s", name, each)
			}
		}
	}
}
