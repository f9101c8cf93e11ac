package redisbus

import (
	"crypto/sha1" //nolint:gosec // the name by which Redis knows scripts
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"channels/hub"
)

//go:embed lua/common.lua
var commonLua string

//go:embed lua/log.lua
var logLua string

//go:embed lua/send.lua
var sendLua string

//go:embed lua/occur.lua
var occurLua string

//go:embed lua/members.lua
var membersLua string

//go:embed lua/cache.lua
var cacheLua string

//go:embed lua/publish.lua
var publishLua string

//go:embed lua/history.lua
var historyLua string

//go:embed lua/erase.lua
var eraseLua string

//go:embed lua/past.lua
var pastLua string

//go:embed lua/begin.lua
var beginLua string

//go:embed lua/claim.lua
var claimLua string

//go:embed lua/note.lua
var noteLua string

//go:embed lua/state.lua
var stateLua string

//go:embed lua/enter.lua
var enterLua string

//go:embed lua/settle.lua
var settleLua string

//go:embed lua/bury.lua
var buryLua string

//go:embed lua/clear.lua
var clearLua string

//go:embed lua/sweep.lua
var sweepLua string

//go:embed lua/beat.lua
var beatLua string

//go:embed lua/canary.lua
var canaryLua string

//go:embed lua/compare.lua
var compareLua string

//go:embed lua/roster.lua
var rosterLua string

//go:embed lua/deliver.lua
var deliverLua string

// script is a Lua script and the name by which Redis knows it once loaded.
type script struct {
	source string
	hash   string
}

// scripts are all there are.
type scripts struct {
	publish, keeping, state, enter, settle, bury, clear, sweep, beat, canary, compare, roster, deliver, erase, claim, note, past, begin script
}

// preamble is what stands before the scripts: the command that publishes, and times.
// In a cluster they publish to the shard.
func preamble(sharded bool) string {
	publish := "PUBLISH"
	if sharded {
		publish = "SPUBLISH"
	}
	return fmt.Sprintf(`local publish = '%s'
local log_age, settle_step, bury_again = %d, %d, %d -- in µs
local sweep_pause, dead_kept, wake_pause = %d, %d, %d -- in ms
local history_slack = %d -- in µs
local most_occurrences, history_cost = %d, %d`,
		publish, logAge.Microseconds(), settleStep.Microseconds(), buryAgain.Microseconds(),
		sweepPause.Milliseconds(), deadKept.Milliseconds(), wakePause.Milliseconds(),
		hub.HistorySlack.Microseconds(), mostOccurrences, historyCost)
}

// newScripts returns the scripts.
func newScripts(sharded bool) *scripts {
	// A script defines what it uses, since it does so each time that it runs.
	before := []string{preamble(sharded), commonLua}
	publishes := append(slices.Clone(before), logLua, sendLua, occurLua)
	changes := append(slices.Clone(publishes), membersLua)
	made := func(name, own string, parts []string) script {
		form := forms[name]
		source := strings.Join(slices.Concat([]string{form.header()}, parts, []string{form.expand(own)}), "\n")
		sum := sha1.Sum([]byte(source)) //nolint:gosec // not for secrecy
		return script{source, hex.EncodeToString(sum[:])}
	}
	return &scripts{
		publish: made("publish", cacheLua+publishLua, publishes), keeping: made("keeping", cacheLua+historyLua+publishLua, publishes), state: made("state", stateLua, changes),
		enter: made("enter", enterLua, before), settle: made("settle", settleLua, changes), bury: made("bury", buryLua, before),
		clear: made("clear", clearLua, changes), sweep: made("sweep", historyLua+sweepLua, changes), beat: made("beat", beatLua, before),
		canary: made("canary", canaryLua, before), compare: made("compare", compareLua, changes), roster: made("roster", rosterLua, changes),
		deliver: made("deliver", deliverLua, before), erase: made("erase", historyLua+eraseLua, before),
		claim: made("claim", claimLua, before), note: made("note", noteLua, before), past: made("past", pastLua, before), begin: made("begin", beginLua, before),
	}
}

func (s *scripts) all() []script {
	return []script{
		s.publish, s.keeping, s.state, s.enter, s.settle, s.bury, s.clear, s.sweep, s.beat, s.canary, s.compare, s.roster, s.deliver, s.erase, s.claim, s.note, s.past, s.begin,
	}
}

// The first word of a script's answer, where it has done nothing. Else it is ok.
const (
	answeredLate    = "late"    // past the deadline
	answeredFenced  = "fenced"  // the node was declared dead
	answeredUnknown = "unknown" // Redis does not know the node
)
